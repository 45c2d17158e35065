"""What a cycle is, what it accounts for, and how far each table has come.

In: intervals of offsets, snapshots of tables. Out: the rows of table intervals; ledger versions; positions that tables hold ahead of
their ledger. Never: a commit.

The ledger of a partition in a table is the version of its application transaction (app_id = Partition.ledger_key): the next offset.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.store.files import File
from tracebraid.pipeline.store.parquet import Encoded
from tracebraid.pipeline.store.transactions import Transactions
from tracebraid.schemas.intervals import INTERVALS

Position = tuple[int, int]  # kafka_offset, record_index
BAND_OFFSETS = 1000  # as far apart may offsets lie that are looked for together
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Interval:
    """A closed interval of offsets of one partition and what became of its records; the columns of table intervals.

    kind: 'stored'; 'start' (the first start: last_offset = first_offset - 1); 'lost' (taken by retention). Times in microseconds since 1970.
    """

    partition: Partition
    kind: str
    reason: str
    first_offset: int
    last_offset: int
    records_in: int = 0
    rows_in: int = 0
    rows_spans: int = 0
    rows_logs: int = 0
    rows_rejected: int = 0
    rows_dropped: int = 0
    clock_skewed: int = 0
    event_time_us: tuple[int, int] | None = None
    kafka_time_us: tuple[int, int] | None = None
    decoder_version: int = 0


@dataclass(slots=True)
class Progress:
    """How far the commit of a cycle has come, so that the same cycle can be committed again after an error."""

    files: dict[str, list[File]] = field(default_factory=dict)
    attempts: dict[str, list[str]] = field(default_factory=dict)  # table → one path of each attempted commit: it tells whether that one took place
    fenced: set[str] = field(default_factory=set)  # tables that a commit without rows has kept from other writers
    versions: dict[str, int] = field(default_factory=dict)  # table → its version with the cycle in it, once that is durable
    others: int = 0
    conflicts: int = 0


@dataclass(slots=True)
class Cycle:
    """Rows and intervals that become visible together. spans, logs, rejects: batches of the tables' Arrow schemas.

    expected: for each partition of `intervals` the ledger version of table intervals that we last wrote or read; None: none yet.
    The intervals of a partition follow one another without a gap from there.
    """

    spans: list[pa.RecordBatch]
    logs: list[pa.RecordBatch]
    rejects: list[pa.RecordBatch]
    intervals: list[Interval]
    expected: dict[Partition, int | None]
    group: str
    progress: Progress = field(default_factory=Progress, repr=False)
    ahead: dict[str, Future[list[Encoded]]] = field(default_factory=dict, repr=False)  # by table, where encoding was begun before the commit

    def is_encoded(self) -> bool:
        """Whether nothing that was begun ahead is still under way."""
        return all(each.done() for each in self.ahead.values())

    def encoded_ahead(self, table: str) -> list[Encoded] | None:
        """What was begun ahead, once it is done. It is kept for when the cycle is given again; what failed is not."""
        begun = self.ahead.pop(table, None)
        if begun is None:
            return None
        encoded = begun.result()
        self.ahead[table] = begun
        return encoded

    def abandon(self) -> None:
        """No commit will take it: what was begun ahead, and does not run yet, need not."""
        for each in self.ahead.values():
            each.cancel()


@dataclass(frozen=True, slots=True)
class Committed:
    """What a cycle added, by table: version that holds it, files, bytes, rows. A table without rows has no entry.

    others: commits of other writers between the snapshots that were checked and those that hold the cycle, stepped over. conflicts: attempts that
    had to be made again from a new snapshot.
    """

    versions: dict[str, int]
    files: dict[str, int]
    bytes: dict[str, int]
    rows: dict[str, int]
    others: int = 0
    conflicts: int = 0


@dataclass(frozen=True, slots=True)
class Held:
    """What the lake holds of a partition.

    next_offset: by the ledger of intervals; None: never started. ahead: positions from there on that other tables hold already, because
    a cycle was torn, with the table that holds each; they must not be written again. ahead_until: the offset below which they lie.
    """

    next_offset: int | None
    ahead: dict[Position, str] = field(default_factory=dict)
    ahead_until: int = 0


def next_offsets(cycle: Cycle) -> dict[Partition, int]:
    """The ledger that intervals will have. Raises ValueError where the intervals leave a gap, overlap, or do not add up: a fault of ours."""
    ledgers = {partition: cycle.expected[partition] for partition in dict.fromkeys(interval.partition for interval in cycle.intervals)}
    for interval in cycle.intervals:
        expected = ledgers[interval.partition]
        if expected is not None and interval.first_offset != expected:
            raise ValueError(f"interval of {interval.partition} starts at {interval.first_offset}, the ledger says {expected}")
        if interval.last_offset < interval.first_offset - 1:
            raise ValueError(f"interval of {interval.partition} ends at {interval.last_offset}, before its start {interval.first_offset}")
        kept = interval.rows_spans + interval.rows_logs + interval.rows_rejected
        if interval.rows_in != kept + interval.rows_dropped:
            raise ValueError(f"interval of {interval.partition}: {interval.rows_in} rows in, {kept} kept, {interval.rows_dropped} dropped")
        ledgers[interval.partition] = interval.last_offset + 1
    return {partition: offset for partition, offset in ledgers.items() if offset is not None}


def interval_rows(intervals: Sequence[Interval], group: str, now_us: int) -> pa.RecordBatch:
    """Rows of table intervals. Their day is that of the latest Kafka timestamp, of `now_us` where there is none."""
    rows = [_row(interval, group, now_us) for interval in intervals]
    return pa.RecordBatch.from_pylist(rows, schema=INTERVALS.arrow)


def _row(interval: Interval, group: str, now_us: int) -> dict[str, Any]:
    event_min, event_max = interval.event_time_us or (None, None)
    kafka_min, kafka_max = interval.kafka_time_us or (None, None)
    latest = now_us if kafka_max is None else kafka_max
    return {
        "day": (_EPOCH + timedelta(microseconds=latest)).date(),
        "kind": interval.kind,
        "reason": interval.reason or None,
        "kafka_cluster": interval.partition.cluster,
        "kafka_topic": interval.partition.topic,
        "kafka_topic_id": interval.partition.topic_id,
        "kafka_partition": interval.partition.number,
        "first_offset": interval.first_offset,
        "last_offset": interval.last_offset,
        "records_in": interval.records_in,
        "rows_in": interval.rows_in,
        "rows_spans": interval.rows_spans,
        "rows_logs": interval.rows_logs,
        "rows_rejected": interval.rows_rejected,
        "rows_dropped": interval.rows_dropped,
        "clock_skewed": interval.clock_skewed,
        "event_time_min": event_min,
        "event_time_max": event_max,
        "kafka_time_min": kafka_min,
        "kafka_time_max": kafka_max,
        "decoder_version": interval.decoder_version,
        "group_name": group,
        "ingested_at": now_us,
    }


def ledger(found: Transactions, partition: Partition) -> int | None:
    """The next offset of the partition in a table; None where it never had rows of it."""
    return found.get(partition.ledger_key)


def mark_key(partition: Partition) -> str:
    """The application transaction that tells commits apart which leave a partition's ledger in a table where it was."""
    return f"{partition.ledger_key}/mark"


def mark(found: Transactions, partition: Partition) -> int:
    return found.get(mark_key(partition)) or 0


def new_mark(cycle: Cycle, *, fence: bool) -> int:
    """No other cycle's, for names of files are never used twice; and not the same for a cycle's fence and for its rows."""
    name = cycle.progress.files[INTERVALS.name][0].path
    return int.from_bytes(hashlib.sha256(f"{name} {fence}".encode()).digest()[:6])


def positions_from(snapshot: DeltaTable, offsets: Mapping[Partition, int]) -> dict[Partition, list[Position]]:
    """Positions that the snapshot holds of each partition, at its offset of `offsets` or above. Only files whose statistics allow it are opened."""
    found: dict[Partition, list[Position]] = {partition: [] for partition in offsets}
    if not offsets:
        return found
    topics: dict[tuple[str, str], dict[int, Partition]] = defaultdict(dict)
    for partition in offsets:
        topics[partition.cluster, partition.topic_id][partition.number] = partition
    dataset = snapshot.to_pyarrow_dataset()
    for (cluster, topic_id), of_topic in topics.items():
        wanted = (pc.field("kafka_cluster") == cluster) & (pc.field("kafka_topic_id") == topic_id)
        bands = _any_of(_bands({number: offsets[partition] for number, partition in of_topic.items()}))
        rows = dataset.to_table(columns=["kafka_partition", "kafka_offset", "record_index"], filter=wanted & bands)
        for number, offset, index in zip(*(column.to_pylist() for column in rows.columns), strict=True):
            if offset >= offsets[of_topic[number]]:
                found[of_topic[number]].append((offset, index))
    return found


def _bands(offsets: Mapping[int, int]) -> list[pc.Expression]:
    """A filter for each lot of partitions whose offsets lie close together; it lets a little more through than is wanted.

    A term for each of a thousand partitions takes Arrow 7 s to evaluate; one with the lowest offset of all would read whole histories.
    """
    lots: list[tuple[int, list[int]]] = []
    for number, offset in sorted(offsets.items(), key=lambda each: each[1]):
        if not lots or offset - lots[-1][0] > BAND_OFFSETS:
            lots.append((offset, []))
        lots[-1][1].append(number)
    return [(pc.field("kafka_offset") >= offset) & pc.field("kafka_partition").isin(numbers) for offset, numbers in lots]


def _any_of(terms: Sequence[pc.Expression]) -> pc.Expression:
    """Halved again and again: a chain of a thousand would be a thousand deep."""
    if len(terms) == 1:
        return terms[0]
    middle = len(terms) // 2
    return _any_of(terms[:middle]) | _any_of(terms[middle:])
