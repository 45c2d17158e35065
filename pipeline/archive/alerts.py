"""Messages of tracebraid.alerts as rows of table `alerts`.

In: Records of that topic. Out: rows of schemas.alert.ALERTS. Never: a row of a message that is no alert, nor a stop because of one.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pyarrow as pa

from tracebraid.pipeline.kernel.records import Records
from tracebraid.schemas.alert import ALERTS
from tracebraid.schemas.table import LATEST_US

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def alert_rows(records: Records, now_us: int) -> tuple[pa.RecordBatch, list[int]]:
    """(rows, offsets of the messages that could not be read). `now_us`: when the rows are made."""
    rows, refused = [], []
    columns = (records.batch.column(name).to_pylist() for name in ("kafka_offset", "kafka_time_ms", "value"))
    for offset, kafka_ms, value in zip(*columns, strict=True):
        try:
            rows.append(
                _row(value) | {"kafka_partition": records.partition.number, "kafka_offset": offset, "kafka_time": kafka_ms * 1000, "ingested_at": now_us}
            )
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            refused.append(offset)
    return pa.RecordBatch.from_pylist(rows, schema=ALERTS.arrow), refused


def _row(value: bytes) -> dict[str, Any]:
    message = orjson.loads(value)
    window = message["window"]
    row = {
        "day": (_EPOCH + timedelta(microseconds=_moment(window["end_us"]))).date(),
        "alert_id": message["id"],
        "kind": message["kind"],
        "rule_name": message["rule"],
        "transition": message.get("transition"),
        "reason": message.get("reason"),
        "severity": message.get("severity"),
        "series": [(str(name), str(text)) for name, text in message["series"].items()],
        "window_start": _moment(window["start_us"]),
        "window_end": _moment(window["end_us"]),
        "measured": _number(message.get("value")),
        "threshold": _number(message.get("threshold")),
        "service_at_fault": message.get("service"),
        "message": value.decode(),
    }
    for name in ("alert_id", "kind", "rule_name", "transition", "reason", "severity", "service_at_fault"):
        if not isinstance(row[name], str | None if name not in ("alert_id", "kind", "rule_name") else str):
            raise TypeError(f"{name} is no text")
    return row


def _moment(value: Any) -> int:
    us = int(value)
    if not 0 <= us <= LATEST_US:
        raise ValueError(f"{us} is no time between 1970 and 2100")
    return us


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
