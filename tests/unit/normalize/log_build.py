"""Records of logs through decode and normalize, as the flow would."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from tracebraid.pipeline.decode.registry import decode
from tracebraid.pipeline.kernel.records import Normalized, Partition, Records
from tracebraid.pipeline.normalize.batch import normalize
from tracebraid.schemas.records import RECORDS
from tracebraid.schemas.table import HEADERS

KAFKA_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
# What every row has of its record and of its moment; the rest is the log's own.
_GIVEN = {
    "day",
    "tenant",
    "kafka_cluster",
    "kafka_topic",
    "kafka_topic_id",
    "kafka_partition",
    "kafka_offset",
    "kafka_time",
    "ingested_at",
    "time",
    "observed_time",
}


def records_of(values: Sequence[bytes], encoding: str = "auto", headers: Sequence[Any] | None = None) -> Records:
    batch = pa.record_batch(
        [
            pa.array(range(len(values)), pa.int64()),
            pa.array([KAFKA_MS] * len(values), pa.int64()),
            pa.nulls(len(values), pa.binary()),
            pa.array(values, pa.binary()),
            pa.array(headers or [None] * len(values), HEADERS),
        ],
        schema=RECORDS,
    )
    return Records(Partition("cluster", "topic", "id", 0), batch, encoding)


def normalized(values: Sequence[bytes], encoding: str = "auto", headers: Sequence[Any] | None = None) -> Normalized:
    records = records_of(values, encoding, headers)
    return normalize(records, decode(records), now_us=KAFKA_MS * 1000)


def own_columns(row: dict[str, Any]) -> dict[str, Any]:
    """The columns of a log row that hold something, but for those that its record gave; maps as dicts."""
    maps = {name: dict(value) for name, value in row.items() if isinstance(value, list)}
    return {name: value for name, value in {**row, **maps}.items() if name not in _GIVEN and value not in (None, 0, {})}


def logs_of(*values: bytes, encoding: str = "auto") -> list[dict[str, Any]]:
    return [own_columns(row) for row in normalized(values, encoding).logs.to_pylist()]
