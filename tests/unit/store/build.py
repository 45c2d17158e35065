"""Small cycles for the tests of the store: rows of any table with every required column filled."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.store.lake import Lake
from tracebraid.pipeline.store.ledger import Cycle, Interval
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.rejects import REJECTS
from tracebraid.schemas.spans import SPANS
from tracebraid.schemas.table import Table

DAY_US = 86_400_000_000
NOON_US = 1_767_355_200_000_000  # 2026-01-02T12:00:00Z
GROUP = "tracebraid-test"
REQUIRED: dict[str, Any] = {
    "day": date(2026, 1, 2),
    "tenant": "",
    "record_index": 0,
    "kafka_time": NOON_US,
    "ingested_at": NOON_US,
    "reason": "malformed",
    "message": "not a record",
    "encoding": "otlp_proto",
    "value_bytes": 1,
    "value_sha256": "00",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a lake is, how it is reached, and the folder in which its files can be seen without any client."""

    url: str
    options: Mapping[str, str]
    folder: Path

    def delta(self, table: str) -> DeltaTable:
        return DeltaTable(f"{self.url}/{table}", storage_options=dict(self.options))


def folder_of(place: Path | Place) -> Path:
    return place.folder if isinstance(place, Place) else place


def partition(number: int = 0, topic: str = "otlp_spans") -> Partition:
    return Partition("cluster", topic, f"id-of-{topic}", number)


def rows(table: Table, owner: Partition, offsets: Iterable[int], **columns: Any) -> pa.RecordBatch:
    """One row an offset, of trace 'trace-<offset>' where the table has traces."""
    provenance = {"kafka_cluster": owner.cluster, "kafka_topic": owner.topic, "kafka_topic_id": owner.topic_id, "kafka_partition": owner.number}
    values = [{**REQUIRED, **provenance, "kafka_offset": offset, "trace_id": f"trace-{offset:04}", **columns} for offset in offsets]
    return pa.RecordBatch.from_pylist([{name: row.get(name) for name in table.arrow.names} for row in values], schema=table.arrow)


def cycle(  # offsets of each kind of row; the interval reaches from first to the one before last
    owner: Partition, first: int, last: int, expected: int | None, *, spans: Iterable[int] = (), logs: Iterable[int] = (), rejects: Iterable[int] = ()
) -> Cycle:
    """The records from `first` up to and without `last`; those that give no row are dropped."""
    kept = {"rows_spans": len(list(spans)), "rows_logs": len(list(logs)), "rows_rejected": len(list(rejects))}
    rows_in = max(last - first, sum(kept.values()))
    interval = Interval(
        partition=owner,
        kind="stored",
        reason="",
        first_offset=first,
        last_offset=last - 1,
        records_in=last - first,
        rows_in=rows_in,
        rows_dropped=rows_in - sum(kept.values()),
        kafka_time_us=(NOON_US, NOON_US),
        **kept,
    )
    return Cycle(
        spans=[rows(SPANS, owner, spans)],
        logs=[rows(LOGS, owner, logs)],
        rejects=[rows(REJECTS, owner, rejects)],
        intervals=[interval],
        expected={owner: expected},
        group=GROUP,
    )


def offsets(lake: Path | Place, table: str) -> list[tuple[int, int]]:
    """(partition, offset) of every row that a reader sees, without our code and without statistics."""
    found = []
    for uri in DeltaTable(str(folder_of(lake) / table)).file_uris():
        read = pq.ParquetFile(uri).read(columns=["kafka_partition", "kafka_offset"])
        found += zip(read["kafka_partition"].to_pylist(), read["kafka_offset"].to_pylist(), strict=True)
    return sorted(found)


def files_on_disk(place: Path | Place) -> set[str]:
    lake = folder_of(place)
    return {str(path.relative_to(lake)) for path in lake.rglob("*.parquet") if "_delta_log" not in path.parts}


def files_in_snapshots(place: Path | Place) -> set[str]:
    lake = folder_of(place)
    return {str(Path(uri).relative_to(lake)) for table in ("spans", "logs", "rejects", "intervals") for uri in DeltaTable(str(lake / table)).file_uris()}


def utc(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / 1e6, UTC)


P, Q = partition(0), partition(1)


def opened(place: Path | Place, *partitions: Partition) -> Lake:
    lake = Lake.open(place.url, place.options, Clock()) if isinstance(place, Place) else Lake.open(str(place), {}, Clock())
    for owner in partitions or (P,):
        lake.read_ledger(owner)
    return lake


def mixed(first: int = 0, expected: int | None = None, owner: Partition = P) -> Cycle:
    """Ten records: four spans, three logs, two rejects, one dropped."""
    at = range(first, first + 10)
    return cycle(owner, first, first + 10, expected, spans=at[:4], logs=at[4:7], rejects=at[7:9])


def visible(place: Path | Place) -> dict[str, list[int]]:
    return {table: [offset for _, offset in offsets(place, table)] for table in ("spans", "logs", "rejects")}


ONCE = {"spans": [0, 1, 2, 3], "logs": [4, 5, 6], "rejects": [7, 8]}
