"""Rows through measure and detect in this process: the same code as in the stream, without Kafka.

In: rules, rows as the tables hold them, watermarks. Out: transitions. Never: a clock.
"""

from collections.abc import Iterable, Sequence

import orjson
import pyarrow as pa

from tracebraid.pipeline.detect.build import EngineSettings
from tracebraid.pipeline.detect.engine import Engine
from tracebraid.pipeline.detect.transitions import Transition
from tracebraid.pipeline.kernel.records import Normalized, Partition, Records
from tracebraid.pipeline.measure.windows import OpenWindows
from tracebraid.pipeline.rules.measures import merge_measures
from tracebraid.pipeline.rules.program import Program
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.rejects import REJECTS
from tracebraid.schemas.spans import SPANS
from tracebraid.schemas.windows import PARTIALS, SOURCE_HEADER, Watermark


class Replay:
    """add() rows, advance() watermarks."""

    def __init__(self, programs: Sequence[Program]) -> None:
        self.windows = OpenWindows(merge_measures(measure for program in programs for measure in program.measures))
        self.engine = Engine(programs, EngineSettings(shards=1))

    def add(self, partition: Partition, offsets: tuple[int, int], spans: pa.RecordBatch, logs: pa.RecordBatch) -> None:
        """Rows of one source partition, of records from the first of `offsets` up to and without the second."""
        first, behind = offsets
        records = Records(partition, pa.record_batch({"kafka_offset": pa.array([first, behind - 1], pa.int64())}))
        self.windows.add(records, Normalized(spans, logs, pa.RecordBatch.from_pylist([], schema=REJECTS.arrow)))

    def advance(self, watermarks: Iterable[Watermark]) -> list[Transition]:
        """What was added is merged, the watermarks move, and windows that they have passed are evaluated."""
        for piece in self.windows.pieces(1):
            source = orjson.loads(dict(piece.headers)[SOURCE_HEADER])
            key = (source["cluster"], source["topic"], source["topic_id"], source["partition"])
            batch = pa.ipc.read_record_batch(pa.py_buffer(piece.value), PARTIALS)
            self.engine.merge(0, key, source["first_offset"], source["next_offset"], batch, part=source["part"])
        self.windows.settle()
        self.engine.watermark(0, list(watermarks))
        return self.engine.tick()


def empty(signal: str) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=(SPANS if signal == "spans" else LOGS).arrow)
