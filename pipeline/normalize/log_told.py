"""What was recognized in logs, and where each column of their rows came from: for a person who asks, never in the way of a batch.

In: Records and their Decoded. Out: a Told a log. Never: another reading than the one of logs.py, whose functions are called here one row at a time.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.kernel.formats import FormatSettings
from tracebraid.pipeline.kernel.records import Decoded, Records
from tracebraid.pipeline.normalize.context import Context
from tracebraid.pipeline.normalize.log_library import library_of
from tracebraid.pipeline.normalize.log_picks import Pick, Picks
from tracebraid.pipeline.normalize.logs import Prepared, prepare
from tracebraid.schemas.table import STRING

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A field's role → the column that shows it, where they differ.
_COLUMNS = {"message": "body", "level": "severity_text", "level_maybe": "severity_text", "nanos": "time", "logger_maybe": "logger", "service": "service_name"}
_IDS = {"traceparent", "trace_maybe", "contexts", "datadog_high"}
_FLAGS = {"flags": "flags", "sampled": "flags"}
# The columns of a row that are shown, under the names that read_row gives their values.
_SHOWN = {
    "time": "time_unix_nano",
    "service_name": "service",
    **{name: name for name in ("severity_text", "severity_number", "body", "event_name", "logger", "thread", "trace_id", "span_id", "flags")},
    **{name: name for name in ("exception_type", "exception_message", "exception_stacktrace")},
}


class Told(NamedTuple):
    """record: its index. format: the library's, the line's or the user's own; null where none is known. columns: each with its value and where that is from."""

    record: int
    envelope: str | None
    format: str | None
    columns: dict[str, tuple[Any, str]]
    attributes: list[str]


def tell_logs(records: Records, decoded: Decoded, formats: Sequence[FormatSettings]) -> list[Told]:
    """Of every log that is no OTLP."""
    logs = decoded.logs.filter(pc.not_equal(decoded.logs.column("form"), pa.scalar("otlp", STRING)))
    if not logs.num_rows:
        return []
    context = Context.of(records, 0, "", formats)
    prepared = prepare(context, logs)
    envelopes, numbers = logs.column("envelope").to_pylist(), logs.column("record").to_pylist()
    names = [dict(items or ()) for items in logs.column("attributes").to_pylist()]
    told = []
    for row in range(logs.num_rows):
        used: list[Pick] = []
        values = prepared.read(row, used.append)
        line = prepared.lines.get(row)
        mine = [name for field, (_, name) in context.formats.fields.items() if field in names[row]]
        known = line.format if line else f"format {mine[0]}" if mine else library_of(names[row]) if prepared.bodies[row] is None else None
        left = [name for name in (line.fields if line else names[row]) if name not in {pick.name for pick in used}]
        columns = _columns(prepared, row, values, used)
        told.append(Told(numbers[row], envelopes[row], known, columns, left))
    return told


def _columns(prepared: Prepared, row: int, values: Mapping[str, Any], used: Sequence[Pick]) -> dict[str, tuple[Any, str]]:
    by_field = _by_field(prepared.fields.of(row), used)
    is_text = prepared.bodies[row] is not None
    found = {}
    for column, name in _SHOWN.items():
        value = values.get(name)
        if value is None or (column == "severity_number" and not value):
            continue
        if column == "trace_id":
            origin = str(values["trace_id_source"]).replace("field:", "field ")
        elif column in by_field:
            origin = f"field {by_field[column]}"
        elif column in ("span_id", "flags"):
            origin = "where trace_id is from"
        elif column == "severity_number":
            origin = "severity_text"
        elif column == "time":
            origin = "envelope" if values.get("observed_unix_nano") is None and prepared.around(row).envelope_time else "text"
        elif column == "body":
            origin = "the whole text" if is_text else "message"
        else:
            origin = "stack trace" if column.startswith("exception") else "text"
        found[column] = _moment(value) if column == "time" else value, origin
    return found


def _moment(nanos: int) -> str:
    return f"{(_EPOCH + timedelta(microseconds=nanos // 1000)).isoformat(timespec='microseconds').removesuffix('+00:00')[:-7]}.{nanos % 10**9:09d}Z"


def _by_field(picks: Picks, used: Sequence[Pick]) -> dict[str, str]:
    """Column → the field that was used for it; the first where several were."""
    roles = {pick.place: role for role, candidates in picks.items() for pick in candidates}
    found: dict[str, str] = {}
    for pick in used:
        role = roles[pick.place]
        found.setdefault("trace_id" if role in _IDS else _FLAGS.get(role) or _COLUMNS.get(role, role), pick.name)
    return found
