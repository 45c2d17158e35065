"""How far the lake has come, and how complete it is, by the table `intervals`.

In: a Snapshot, the clock, and a function that says where partitions end. Out: a LakeStatus. Never: a connection to Kafka.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.query.render import to_text
from tracebraid.pipeline.query.snapshot import Snapshot
from tracebraid.pipeline.query.statement import question

Watermarks = Callable[[Collection[Partition]], Mapping[Partition, int]]
FILES_CLUSTER = "files"  # rows loaded without a broker: no lag
# A gap: offsets that no interval covers; an overlap: offsets that two do. A lake that ingest fills has neither.
_PARTITIONS = """
WITH chained AS (
    SELECT *, lag(last_offset) OVER (PARTITION BY kafka_cluster, kafka_topic_id, kafka_partition ORDER BY first_offset, last_offset) AS before FROM intervals
)
SELECT kafka_cluster, any_value(kafka_topic), kafka_topic_id, kafka_partition,
    min(first_offset), max(last_offset) + 1,
    sum(records_in), sum(rows_spans), sum(rows_logs), sum(rows_rejected), sum(rows_dropped), sum(clock_skewed),
    coalesce(sum(last_offset - first_offset + 1) FILTER (kind = 'lost'), 0),
    coalesce(sum(greatest(first_offset - before - 1, 0)), 0),
    coalesce(sum(greatest(before - first_offset + 1, 0)), 0),
    max(event_time_max), max(ingested_at)
FROM chained GROUP BY kafka_cluster, kafka_topic_id, kafka_partition ORDER BY 2, 1, 3, 4
"""


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """One partition. Offsets and rows are counts; lost, gaps and overlaps count offsets; lag: None where the end is not known."""

    cluster: str
    topic: str
    topic_id: str
    partition: int
    first_offset: int
    next_offset: int
    lag: int | None
    records: int
    spans: int
    logs: int
    rejected: int
    dropped: int
    clock_skewed: int
    lost: int
    gaps: int
    overlaps: int
    newest_event: str
    ingested_at: str

    @property
    def complete(self) -> bool:
        """Every offset from the first one on is accounted for, once, and none was lost."""
        return not (self.lost or self.gaps or self.overlaps)


@dataclass(frozen=True, slots=True)
class LakeStatus:
    """rows: by table, rows in its files; accounted: rows that intervals account for. They differ by a cycle that is being committed."""

    lake: str
    partitions: list[PartitionStatus]
    newest_event: str
    commit_age_s: float | None
    rows: dict[str, int]
    accounted: dict[str, int]

    @property
    def complete(self) -> bool:
        return all(partition.complete for partition in self.partitions)


def status(snapshot: Snapshot, clock: Clock, watermarks: Watermarks | None = None) -> LakeStatus:
    """`watermarks`: for partitions, where each ends; it may leave some out. Without it no lag is known."""
    with question(snapshot, _PARTITIONS) as (_, blocks):
        rows = [row for block in blocks for row in block]
    keys = [Partition(row[0], row[1], row[2], row[3]) for row in rows]
    asked = [key for key in keys if key.cluster != FILES_CLUSTER]
    ends = watermarks(asked) if watermarks is not None and asked else {}
    partitions = [_partition(row, _lag(key, row[5], ends)) for key, row in zip(keys, rows, strict=True)]
    commits = [table.committed_ms for table in snapshot if table.committed_ms is not None and table.files]
    return LakeStatus(
        lake=snapshot.lake,
        partitions=partitions,
        newest_event=to_text(max((row[15] for row in rows if row[15] is not None), default=None)),
        commit_age_s=round(clock.unix_nano() / 1e9 - max(commits) / 1e3, 1) if commits else None,
        rows={name: sum(file.rows or 0 for file in snapshot.tables[name].files) for name in ("spans", "logs", "rejects")},
        accounted={
            "spans": sum(each.spans for each in partitions),
            "logs": sum(each.logs for each in partitions),
            "rejects": sum(each.rejected for each in partitions),
        },
    )


def _lag(partition: Partition, next_offset: int, ends: Mapping[Partition, int]) -> int | None:
    if partition.cluster == FILES_CLUSTER:
        return 0
    return max(ends[partition] - next_offset, 0) if partition in ends else None


def _partition(row: tuple[Any, ...], lag: int | None) -> PartitionStatus:
    values = [*row[:6], lag, *(int(count) for count in row[6:15]), to_text(row[15]), to_text(row[16])]
    return PartitionStatus(*values)
