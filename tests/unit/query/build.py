"""Small lakes for the tests of queries: every file is one list of rows, written by delta-rs, whose statistics are not ours."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from tracebraid.schemas.intervals import INTERVALS
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.rejects import REJECTS
from tracebraid.schemas.spans import SPANS
from tracebraid.schemas.table import Table

NOON_NS = 1_767_355_200_000_000_000  # 2026-01-02T12:00:00Z
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
DAY = date(2026, 1, 2)
SECOND = 1_000_000_000
MS = 1_000_000
Row = dict[str, Any]
_REQUIRED: Row = {
    **{"day": DAY, "tenant": "", "kafka_cluster": "c", "kafka_topic": "t", "kafka_topic_id": "id", "kafka_partition": 0, "kafka_offset": 0, "record_index": 0},
    **{"kafka_time": NOON, "ingested_at": NOON, "reason": "malformed", "message": "m", "encoding": "json", "value_bytes": 0, "value_sha256": ""},
    **{"kind": "stored", "records_in": 0, "rows_in": 0, "rows_spans": 0, "rows_logs": 0, "rows_rejected": 0, "rows_dropped": 0, "clock_skewed": 0},
    **{"decoder_version": 1, "group_name": "g", "first_offset": 0, "last_offset": 0},
}
PROPERTIES = {"tracebraid.schemaVersion": "1", "delta.dataSkippingNumIndexedCols": "-1"}


def write(lake: Path, table: Table, *files: Sequence[Row], properties: dict[str, str] | None = None) -> Path:
    """Append one commit for each list of rows; columns not given are null, or a constant where they are required."""
    place = str(lake / table.name)
    settings = PROPERTIES | (properties or {})
    DeltaTable.create(place, table.arrow, mode="ignore", partition_by=["day"], configuration=settings, raise_if_key_not_exists=False)
    for rows in files:
        required = {column.name: _REQUIRED[column.name] for column in table.columns if column.required}
        values = [{**dict.fromkeys(table.arrow.names), **required, **row} for row in rows]
        data = pa.Table.from_pylist(values, schema=table.arrow)
        write_deltalake(place, data, mode="append")
    return lake


def span(trace: str, number: str, parent: str | None = None, *, at_ms: float = 0, ms: float = 1, **columns: Any) -> Row:
    """A span that starts `at_ms` after noon. Ids are given by their last characters."""
    start = NOON_NS + int(at_ms * MS)
    end = start + int(ms * MS)
    return {
        **{"trace_id": trace.zfill(32), "span_id": number.zfill(16), "parent_span_id": parent and parent.zfill(16), "name": f"op {number}", "kind": "SERVER"},
        **{"start_unix_nano": start, "end_unix_nano": end, "duration_ns": end - start, "status_code": "UNSET", "service_name": "shop"},
        **{"start_time": moment(start), "end_time": moment(end), **columns},
    }


def log(trace: str | None, number: str | None, body: str, *, at_ms: float = 0, **columns: Any) -> Row:
    at = NOON_NS + int(at_ms * MS)
    ids = {"trace_id": trace and trace.zfill(32), "span_id": number and number.zfill(16)}
    said = {"severity_number": 9, "severity_text": "INFO", "service_name": "shop", "body": body}
    return {**ids, "time": moment(at), "time_unix_nano": at, **said, **columns}


def moment(ns: int) -> datetime:
    return datetime.fromtimestamp(ns / 1e9, UTC)


def shop_lake(lake: Path) -> Path:
    """Trace a: gateway → cart → db, the root sent twice, with logs; trace b: a span whose parent is absent; a log of trace c; one of none."""
    root = span("a", "1", at_ms=0, ms=100, service_name="gateway", name="GET /")
    first = [root, span("a", "2", "1", at_ms=10, ms=50, service_name="cart", name="add", status_code="ERROR", status_message="sold out")]
    second = [root, span("a", "3", "2", at_ms=20, ms=20, service_name="db", name="SELECT", kind="CLIENT"), span("b", "9", "8", service_name="cart")]
    write(lake, SPANS, first, second)
    write(
        lake,
        LOGS,
        [log("a", "2", "adding", at_ms=11, service_name="cart"), log("a", None, "loose", at_ms=99, service_name="gateway")],
        [log("c", "7", "alone", at_ms=5), log(None, None, "no id", at_ms=6)],
    )
    write(lake, REJECTS, [{"kafka_offset": 4, "record_value": b"\x00\xffbad", "value_bytes": 5, "record_headers": [{"key": "k", "value": b"v\x1b[31m"}]}])
    done = {"records_in": 5, "rows_in": 10, "rows_spans": 5, "rows_logs": 4, "rows_rejected": 1, "first_offset": 0, "last_offset": 4}
    write(lake, INTERVALS, [{**done, "event_time_max": moment(NOON_NS + 100 * MS)}])
    return lake
