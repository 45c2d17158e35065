"""`python -m benchmarks.stages [--rows N] [--load WORD]`: where each microsecond of processor time goes, a row, from the broker into the lake.

In: a load of benchmarks/loads.py, a broker. Out: a table. The stages are called here one after the other, in one thread, on batches as large as a poll; what
cannot be called alone (fetching, committing, the loop) is what a whole `tracebraid ingest --drain` takes beyond them and beyond its start.
Never: wall time.
"""

import argparse
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table

from benchmarks.drain import OURS, Filled, drain_tracebraid, filled, warm
from benchmarks.loads import LOADS, PEERS, Load
from tests.batches import PARTITION
from tests.brokers.kafka import running_broker, unavailable
from tracebraid.pipeline.decode.registry import decode
from tracebraid.pipeline.decode.walkers.batch import JSON, _all_as_protobuf, _walked, bytes_of, may_be_walked
from tracebraid.pipeline.decode.walkers.memory import SPANS as SPAN_SIGNAL
from tracebraid.pipeline.decode.walkers.memory import Scratch
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.held import one_batch, take_rows
from tracebraid.pipeline.kernel.records import Records
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.pipeline.normalize.batch import normalize
from tracebraid.pipeline.redact.rows import redact
from tracebraid.pipeline.store.parquet import DAY, encode_rows
from tracebraid.schemas import table as tables
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.records import RECORDS
from tracebraid.schemas.spans import SPANS

TABLES = {"spans": SPANS, "logs": LOGS}
FILE_ROWS = 131_072
Result = TypeVar("Result")


class Spent:
    """Processor seconds of this process by stage."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    def on(self, stage: str, work: Callable[[], Result]) -> Result:
        before = _used_s()
        found = work()
        self.seconds[stage] += _used_s() - before  # type: ignore[assignment]
        return found


def _used_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def batches(load: Load, rows: int) -> Iterator[tuple[Records, int]]:
    """As polls give them; and how many rows each holds."""
    values: list[bytes] = []
    size = held = offset = 0
    for value, count in load.make(rows):
        values.append(value)
        size, held = size + len(value), held + count
        if size >= limits.poll_bytes_max or len(values) >= limits.poll_records_max:
            yield _records(values, offset, load.encoding), held
            offset += len(values)
            values, size, held = [], 0, 0
    if values:
        yield _records(values, offset, load.encoding), held


def _records(values: list[bytes], offset: int, encoding: str) -> Records:
    count = len(values)
    columns = [
        pa.array(range(offset, offset + count), pa.int64()),
        pa.array([int(time.time() * 1000)] * count, pa.int64()),
        pa.nulls(count, pa.binary()),
        pa.array(values, pa.binary()),
        pa.nulls(count, RECORDS.field("headers").type),
    ]
    return Records(PARTITION, pa.record_batch(columns, schema=RECORDS), encoding)


def stages(load: Load, rows: int) -> tuple[Counter[str], int]:
    """Seconds by stage, and how many rows they were for. Sorting is within Parquet's stage, and timed a second time for itself."""
    spent, scratch, again, settings = Spent(), Scratch(), Scratch(), Settings()
    held: list[pa.RecordBatch] = []
    table, done = TABLES[load.table], 0
    for records, count in batches(load, rows):
        for piece in [records] if load.table == "spans" else records.split(limits.decode_bytes_max):
            decoded = spent.on("decode", lambda piece=piece: decode(piece, scratch=scratch))  # type: ignore[misc]
            if decoded.walked is not None:
                spent.on("walk, within decode", lambda piece=piece: _walk_alone(piece, again))  # type: ignore[misc]
            rows_of = spent.on("normalize", lambda piece=piece, decoded=decoded: normalize(piece, decoded, now_us=int(time.time() * 1e6)))  # type: ignore[misc]
            rows_of = spent.on("redact", lambda found=rows_of: redact(found, settings))  # type: ignore[misc]
            held.append(rows_of.spans if load.table == "spans" else rows_of.logs)
        done += count
        if sum(batch.num_rows for batch in held) >= FILE_ROWS:
            _encode(spent, table, held)
            held = []
    if held:
        _encode(spent, table, held)
    return spent.seconds, done


def _walk_alone(records: Records, scratch: Scratch) -> None:
    values = records.batch.column("value")
    kinds, (data, starts) = may_be_walked(values), bytes_of(values)
    if (kinds == JSON).any():
        data, starts = _all_as_protobuf(data, starts, kinds)
    _walked(data, starts, kinds, scratch, SPAN_SIGNAL)


def _encode(spent: Spent, table: tables.Table, held: list[pa.RecordBatch]) -> None:
    spent.on("sort, within Parquet", lambda: _sorted(table, held))
    spent.on("sort and Parquet", lambda: encode_rows(table, held))


def _sorted(table: tables.Table, held: list[pa.RecordBatch]) -> pa.RecordBatch:
    whole = one_batch(held, table.held)
    keys = [(DAY, "ascending"), *((name, "ascending") for name in table.sort_by)]
    return take_rows(whole, pc.sort_indices(whole, keys).to_numpy().astype(np.int64))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--load", default="spans, 200", help="the first load whose name begins so")
    arguments = parser.parse_args()
    if why := unavailable() or ("" if PEERS.is_dir() else f"the benchmark's spans are made by {PEERS}, which is absent"):
        raise SystemExit(f"skipped: {why}")
    load = next((load for load in LOADS if load.name.startswith(arguments.load)), None)
    if load is None:
        raise SystemExit(f"no load begins with {arguments.load!r}: {', '.join(load.name for load in LOADS)}")
    pa.set_cpu_count(1)
    with running_broker(heap_mib=1024) as broker:
        warm(broker, load)
        topic = broker.create_topic(broker.unique("empty"), 1)
        start_s = drain_tracebraid(Filled(broker, topic, load, 0), OURS[0]).cpu_s
        with filled(broker, load, arguments.rows) as on:
            whole = drain_tracebraid(on, OURS[0])
    stages(load, 20_000)  # loads the kernels
    spent, rows = stages(load, arguments.rows)
    within = [name for name in spent if ", within " in name]
    rest = whole.cpu_s - start_s - sum(seconds for name, seconds in spent.items() if name not in within)
    table = Table("µs a row", "share of the drain", "stage", title=f"{load.name}: {rows:,} rows")
    for name, seconds in [("start", start_s), *spent.items(), ("fetch, commit and the rest", rest), ("the whole drain", whole.cpu_s)]:
        table.add_row(f"{seconds / rows * 1e6:.2f}", f"{seconds / whole.cpu_s:.0%}", name)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
