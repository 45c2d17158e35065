"""What tests of detect share: rows as plain values, measured the slow way into messages."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tracebraid.pipeline.detect.build import EngineSettings
from tracebraid.pipeline.detect.engine import Engine
from tracebraid.pipeline.kernel.histogram import bucket_of
from tracebraid.pipeline.kernel.series import series_hash
from tracebraid.pipeline.rules.compile import compile_rule
from tracebraid.pipeline.rules.load import load_rules
from tracebraid.pipeline.rules.measures import Measure
from tracebraid.pipeline.rules.program import Program
from tracebraid.schemas.windows import PARTIALS, Watermark

MINUTE = 60_000_000
SECOND = 1_000_000
T0 = 1_700_000_040_000_000  # a whole minute
Key = tuple[str, str, str, int]


@dataclass(frozen=True)
class Row:
    """One span or log. duration: in ns; partition, offset: of the source."""

    time_us: int
    labels: tuple[str, ...] = ("checkout",)
    duration: float = 1e6
    error: bool = False
    partition: int = 0
    offset: int = 0
    signal: str = "spans"
    true: bool = False  # what a rule over rows asks
    trace_id: str = ""


CONDITIONS: dict[str, Callable[[Row], bool]] = {
    "duration > 50ms": lambda row: row.duration > 50e6,
    "status_code <> 'ERROR'": lambda row: not row.error,
}


def programs(text: str) -> list[Program]:
    return [compile_rule(rule) for rule in load_rules(text, "rules.yaml")]


def measures(of: Iterable[Program]) -> list[Measure]:
    return list({measure.id: measure for program in of for measure in program.measures}.values())


def source(partition: int = 0) -> Key:
    return ("kafka", "spans", "t1", partition)


def partials(rows: Iterable[Row], of: Sequence[Measure]) -> pa.RecordBatch:
    """As ingest measures them."""
    groups: dict[tuple[int, tuple[str, ...], int], list[Row]] = defaultdict(list)
    by_id = {measure.id: measure for measure in of}
    for row in rows:
        for measure in of:
            if measure.signal == row.signal:
                groups[measure.id, row.labels[: len(measure.by)], row.time_us - row.time_us % measure.pane_us].append(row)
    return pa.RecordBatch.from_pylist([_entry(by_id[key[0]], key[1], key[2], held) for key, held in groups.items()], schema=PARTIALS)


def _entry(measure: Measure, labels: tuple[str, ...], pane_us: int, rows: list[Row]) -> dict[str, Any]:
    counts = [len(rows), sum(row.error for row in rows), sum(not row.trace_id for row in rows)]
    counts += [sum(CONDITIONS[text](row) for row in rows) for text in measure.conditions]
    slowest = sorted((row for row in rows if row.trace_id), key=lambda row: -row.duration)
    kept = {row.trace_id: row for row in [*slowest[:3], *[row for row in slowest if row.error][:3]]}
    return {
        "measure": measure.id,
        "series": series_hash(measure.by, labels),
        "labels": list(labels),
        "pane_us": pane_us,
        "counts": counts,
        "columns": [_column(rows) for _ in measure.columns],
        "exemplars": [{"trace_id": row.trace_id, "value": row.duration, "failing": row.error} for row in kept.values()],
        "observations": [{"time_us": row.time_us, "offset": row.offset, "index": 0, "true": row.true} for row in rows] if measure.observe else [],
    }


def _column(rows: list[Row]) -> dict[str, Any]:
    values = np.array([row.duration for row in rows])
    bucket, bucket_n = np.unique(bucket_of(values), return_counts=True)
    last = max(rows, key=lambda row: (row.time_us, row.duration))
    numbers = {"n": len(rows), "sum": values.sum(), "min": values.min(), "max": values.max(), "last": last.duration, "last_us": last.time_us}
    return {**numbers, "bucket": bucket.tolist(), "bucket_n": bucket_n.tolist()}


def told(partition: int, event_us: int | None, *, caught_up: bool = False) -> Watermark:
    cluster, topic, topic_id, number = source(partition)
    return Watermark(cluster, topic, topic_id, number, 0, event_us, caught_up)


class Bench:
    """An engine with one shard and one source, fed a window at a time."""

    def __init__(self, text: str, settings: EngineSettings | None = None) -> None:
        self.programs = programs(text)
        self.engine = Engine(self.programs, settings or EngineSettings(shards=4))
        self.offset = 0

    def feed(self, rows: Sequence[Row], shard: int = 0) -> None:
        self.engine.merge(shard, source(), self.offset, self.offset + 1, partials(rows, measures(self.programs)))
        self.offset += 1

    def minute(self, number: int, rows: Sequence[Row] = (), shard: int = 0) -> list[tuple[str, str, int]]:
        """Rows, then the watermark that closes minute `number`; what changed: (transition, reason, minute its window ended in)."""
        self.feed(rows, shard)
        self.engine.watermark(shard, [told(0, T0 + (number + 1) * MINUTE + 10 * SECOND)])
        return [(each.transition, each.reason, (each.end_us - T0) // MINUTE - 1) for each in self.engine.tick()]


def at(minute: int, n: int = 1, **values: Any) -> list[Row]:
    """n equal rows within a minute."""
    return [Row(T0 + minute * MINUTE + place * 1000, **values) for place in range(n)]
