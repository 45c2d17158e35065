"""Decoded logs of every form → the columns of table `logs`.

In: DECODED_LOGS with their resources, or WALKED_LOGS, or WALKED_OBJECTS. Out: a Part, in the order of the rows. Never: a log refused, or a body changed.

OTLP logs keep their typed fields; what they lack of ids is looked for in their attributes and their body. JSON objects and texts are
read row by row (log_row.py), over fields found once a batch (log_picks.py). A service that a JSON log names itself goes before the one
that its envelope suggests.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.kernel.held import as_held, plain, take
from tracebraid.pipeline.kernel.lines import LINES
from tracebraid.pipeline.normalize.attributes import add, promote
from tracebraid.pipeline.normalize.context import Context, Part, count_by_service
from tracebraid.pipeline.normalize.log_fields import ID_ROLES
from tracebraid.pipeline.normalize.log_formats import read_formats
from tracebraid.pipeline.normalize.log_joined import join_columns, join_traces
from tracebraid.pipeline.normalize.log_lines import Line, read_line
from tracebraid.pipeline.normalize.log_objects import read_objects, read_pairs, read_within
from tracebraid.pipeline.normalize.log_picks import Fields, with_fields
from tracebraid.pipeline.normalize.log_row import Around, Use, read_row
from tracebraid.pipeline.normalize.log_shapes import read_shapes
from tracebraid.pipeline.normalize.log_text import MAY_HOLD_IDS
from tracebraid.pipeline.normalize.log_texts import read_texts
from tracebraid.pipeline.normalize.service import NormalizedResources
from tracebraid.pipeline.normalize.time import exact_nanos, micros, timestamps
from tracebraid.pipeline.normalize.trace_id import canonical_span_ids, canonical_trace_ids, find_ids
from tracebraid.schemas.records import WALKED_LOGS, WALKED_OBJECTS
from tracebraid.schemas.semconv import EXCEPTION, Promoted
from tracebraid.schemas.table import BOOL, FALSE, HELD_ATTRIBUTES, INT32, INT64, STRING

_OTLP_NAMES = (
    Promoted("logger", ("log.logger", "logger.name", "logger_name"), "Name of the logger."),
    Promoted("thread", ("thread.name", "thread_name"), "Name of the thread."),
    *EXCEPTION,
)
# What each form fills; the text columns of a JSON or text log come from read_row under these names.
_TEXTS = (
    *("trace_id", "span_id", "severity_text", "body", "event_name", "logger", "thread", "exception_type", "exception_message", "exception_stacktrace"),
    *("trace_id_source", "service"),
)
_TYPES = {
    **dict.fromkeys(_TEXTS, STRING),
    **dict.fromkeys(("flags", "time_unix_nano", "observed_unix_nano"), INT64),
    "severity_number": INT32,
    **dict.fromkeys(("invalid", "invalid_span"), BOOL),
}
Columns = dict[str, pa.Array]


def normalize_logs(context: Context, logs: pa.RecordBatch, resources: NormalizedResources) -> Part:
    """Columns of schemas.logs.LOGS that differ from the decoded ones, rows in the order of `logs`.

    noticed: ('invalid_trace_id', service) and ('invalid_span_id', service).
    """
    columns = _otlp(logs) if logs.schema == WALKED_LOGS else _objects(context, logs) if logs.schema == WALKED_OBJECTS else _both_forms(context, logs)
    from_resource, own_service = resources.service_name(logs.column("resource")), columns.pop("service")
    service_name = from_resource if own_service.null_count == logs.num_rows else pc.coalesce(plain(own_service), plain(from_resource))
    noticed: Counter[tuple[str, str]] = Counter()
    for what, chosen in (("invalid_trace_id", columns.pop("invalid")), ("invalid_span_id", columns.pop("invalid_span"))):
        noticed += count_by_service(what, chosen, service_name)
    observed_us = micros(columns["observed_unix_nano"])
    event_us = pc.coalesce(micros(columns["time_unix_nano"]), observed_us)
    kafka_us = context.row_kafka_us(logs.column("record"))
    times = {"time": timestamps(pc.coalesce(event_us, kafka_us)), "observed_time": timestamps(observed_us)}
    return Part({**columns, **times, "service_name": service_name}, event_us, noticed)


def _both_forms(context: Context, logs: pa.RecordBatch) -> Columns:
    typed = pc.equal(logs.column("form"), pa.scalar("otlp", STRING))
    count = pc.sum(typed).as_py() or 0
    if count == logs.num_rows:
        return _otlp(logs)
    if count == 0:
        return _read(context, logs)
    return _merged(_otlp(logs.filter(typed)), _read(context, logs.filter(pc.invert(typed))), typed.to_numpy(zero_copy_only=False))


def _merged(first: Columns, second: Columns, mask: npt.NDArray[np.bool_]) -> Columns:
    """Rows of `first` where the mask is true, of `second` elsewhere, each in their order."""
    return _together([(np.flatnonzero(mask), first), (np.flatnonzero(~mask), second)])


def _together(parts: Sequence[tuple[npt.NDArray[np.int64], Columns]]) -> Columns:
    """All rows in order, given the places that each part has."""
    parts = [part for part in parts if len(part[0])]
    if len(parts) == 1:
        return parts[0][1]
    order = np.argsort(np.concatenate([places for places, _ in parts]))
    merged = {}
    for name in parts[0][1]:
        held = [columns[name] for _, columns in parts]
        if any(column.type != held[0].type for column in held):
            held = [as_held(each, HELD_ATTRIBUTES) if name == "attributes" else plain(each) for each in held]
        merged[name] = take(pa.concat_arrays(held), order)
    return merged


def _objects(context: Context, logs: pa.RecordBatch) -> Columns:
    """Log objects from the walker: all at once, and one by one those that are unusual."""
    columns, unusual = read_objects(context, logs)
    if not unusual.any():
        return columns
    rows = np.flatnonzero(unusual)
    none = pa.nulls(len(rows), STRING)
    said = {"body": none, "envelope": none, "envelope_time": none, "attributes": plain(take(logs.column("attributes"), rows))}
    said |= {name: take(logs.column(name), rows) for name in ("record", "resource")}
    found = _read(context, pa.record_batch(list(said.values()), names=list(said)))
    if len(rows) == logs.num_rows:
        return found
    usual = np.flatnonzero(~unusual)
    return _merged({name: take(column, usual) for name, column in columns.items()}, found, ~unusual)


def _otlp(logs: pa.RecordBatch) -> Columns:
    trace_id, invalid = canonical_trace_ids(logs.column("trace_id"))
    span_id, invalid_span = canonical_span_ids(logs.column("span_id"))
    promoted, attributes = promote(logs.column("attributes"), _OTLP_NAMES)
    columns = dict(zip((named.column for named in _OTLP_NAMES), promoted, strict=True))
    columns["logger"] = _loggers(columns["logger"], logs.column("scope_name"))
    time_ns, time_beyond = exact_nanos(logs.column("time_unix_nano"))
    observed_ns, observed_beyond = exact_nanos(logs.column("observed_unix_nano"))
    columns |= {"trace_id": trace_id, "span_id": span_id, "flags": logs.column("flags"), "invalid": invalid, "invalid_span": invalid_span}
    columns |= {"trace_id_source": _typed_source(trace_id)}
    columns |= {"time_unix_nano": _set(time_ns), "observed_unix_nano": _set(observed_ns), "service": pa.nulls(logs.num_rows, STRING)}
    columns |= {name: logs.column(name) for name in ("severity_text", "body", "event_name")}
    columns["severity_number"] = pc.fill_null(logs.column("severity_number"), pa.scalar(0, INT32))
    columns["attributes"] = attributes
    if trace_id.null_count:
        _find_ids(columns)
    left = [
        (f"tracebraid.{name}", _where(chosen, logs.column(column)))
        for name, column, chosen in (
            *(("invalid_trace_id", "trace_id", invalid), ("invalid_span_id", "span_id", invalid_span)),
            *(("time_unix_nano", "time_unix_nano", time_beyond), ("observed_unix_nano", "observed_unix_nano", observed_beyond)),
        )
        if chosen.true_count
    ]
    if left:
        columns["attributes"] = add(plain(columns["attributes"]), left)
    return columns


def _loggers(named: pa.StringArray, scopes: pa.Array) -> pa.Array:
    """The logger that an attribute names, else the scope's name."""
    if named.null_count == len(named) and pa.types.is_dictionary(scopes.type) and "" not in scopes.dictionary.to_pylist():
        return scopes
    scopes = plain(scopes)
    return pc.coalesce(named, pc.if_else(pc.equal(scopes, pa.scalar("", STRING)), pa.scalar(None, STRING), scopes))


def _typed_source(ids: pa.StringArray) -> pa.DictionaryArray:
    none = ids.is_null().to_numpy(zero_copy_only=False)
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(ids), np.int32), mask=none), pa.array(["otlp"], STRING))


def _find_ids(columns: Columns) -> None:
    """Ids of the OTLP logs without a typed one, from attributes and body, into the columns. Only rows that may hold some are looked at."""
    lacking = columns["trace_id"].is_null().to_numpy(zero_copy_only=False)
    fields = Fields(columns["attributes"], ID_ROLES, among=lacking)
    may = pc.fill_null(pc.match_substring_regex(columns["body"].filter(pa.array(lacking)), MAY_HOLD_IDS), FALSE).to_numpy(zero_copy_only=False)
    rows = np.union1d(np.flatnonzero(lacking)[may], np.array(fields.rows(), np.int64))
    if not len(rows):
        return
    where = np.zeros(len(lacking), np.bool_)
    where[rows] = True
    looked = pa.array(where)
    columns["trace_id_source"] = plain(columns["trace_id_source"])
    found = [find_ids(fields.of(row), body, None, fields.use) for row, body in zip(rows.tolist(), columns["body"].filter(looked).to_pylist(), strict=True)]
    for name, values in (
        ("trace_id", [ids.trace_id for ids in found]),
        ("trace_id_source", [ids.source for ids in found]),
        ("span_id", [ids.span_id or typed for ids, typed in zip(found, columns["span_id"].filter(looked).to_pylist(), strict=True)]),
        ("flags", [typed if ids.flags is None else ids.flags for ids, typed in zip(found, columns["flags"].filter(looked).to_pylist(), strict=True)]),
        ("invalid", [ids.invalid or typed for ids, typed in zip(found, columns["invalid"].filter(looked).to_pylist(), strict=True)]),
    ):
        columns[name] = pc.replace_with_mask(columns[name], looked, pa.array(values, _TYPES[name]))
    columns["attributes"] = fields.rest()


class Prepared(NamedTuple):
    """Logs that are not OTLP's, ready to be read row by row. bodies: null where a log is an object. lines: by row, the texts of a known shape."""

    bodies: list[str | None]
    lines: dict[int, Line]
    fields: Fields
    outside: tuple[list[str | None], list[str | None], list[str | None], list[int]]  # the columns of Around: made a row at a time, none is kept

    def around(self, row: int) -> Around:
        times, headers, states, kafka_ns = self.outside
        return Around(times[row], headers[row], states[row], kafka_ns[row])

    def read(self, row: int, use: Use) -> dict[str, Any]:
        line, body = self.lines.get(row), self.bodies[row]
        values = read_row(self.fields.of(row), None if line and line.whole else body, self.around(row), use)
        if values["body"] is None:
            values["body"] = body  # a line without a message is its own
        return values


def prepare(context: Context, logs: pa.RecordBatch) -> Prepared:
    """What read_row needs of each row of `logs`."""
    bodies: list[str | None] = logs.column("body").to_pylist()
    lines: dict[int, Line] = {}
    attributes = logs.column("attributes")
    if logs.column("body").null_count < logs.num_rows:
        lines = read_formats(context.formats.patterns, logs.column("body")) if context.formats.patterns else {}
        lines |= {row: line for row, body in enumerate(bodies) if body and row not in lines and (line := read_line(body))}
        attributes = with_fields(attributes, {row: line.fields for row, line in lines.items()})
    headers = context.with_header("traceparent")
    states = context.with_header("tracestate") if headers else {}
    times, records = logs.column("envelope_time").to_pylist(), logs.column("record").to_pylist()
    kafka_ns = pc.multiply(context.row_kafka_us(logs.column("record")), pa.scalar(1000, INT64)).to_pylist()
    none: list[str | None] = [None] * len(records)
    traceparents, tracestates = ([held.get(record) for record in records] if held else none for held in (headers, states))
    own = {name: column for name, (column, _) in context.formats.fields.items()}
    return Prepared(bodies, lines, Fields(attributes, own=own), (times, traceparents, tracestates, kafka_ns))


def _read(context: Context, logs: pa.RecordBatch) -> Columns:
    """Logs that are not OTLP's: texts all at once where they may be, and one by one those that are unusual."""
    bodies = logs.column("body")
    if logs.schema != LINES:
        return _read_rows(context, logs, join=bodies.null_count < logs.num_rows)
    texts = read_texts(context, logs)
    if len(texts.usual) == logs.num_rows:
        join_columns(texts.columns, bodies, logs.column("resource").to_numpy(), texts.kinds)
        return texts.columns
    parts = [(texts.usual, {name: take(column, texts.usual) for name, column in texts.columns.items()})]
    parts += [read_within(context, logs), read_pairs(context, logs, texts.kinds), *read_shapes(context, logs, texts)]
    others = np.ones(logs.num_rows, np.bool_)
    for rows, _ in parts:
        others[rows] = False
    left = np.flatnonzero(others)
    if len(left):
        parts.append((left, _read_rows(context, logs.take(pa.array(left)), join=False)))
    columns = _together(parts)
    join_columns(columns, bodies, logs.column("resource").to_numpy(), texts.kinds)
    return columns


def _read_rows(context: Context, logs: pa.RecordBatch, *, join: bool) -> Columns:
    """One row after the other; `join`: lines of stack traces are told what they belong to."""
    prepared = prepare(context, logs)
    fields = prepared.fields
    if prepared.lines:
        rows = [prepared.read(row, fields.use) for row in range(logs.num_rows)]
    else:
        around = map(Around, *prepared.outside)
        rows = [read_row(fields.of(row), body, next(around), fields.use) for row, body in enumerate(prepared.bodies)]
    if join:
        join_traces(prepared.bodies, logs.column("resource").to_pylist(), rows)
    columns = {name: pa.array(_values(rows, name), kind) for name, kind in _TYPES.items()}
    for name in ("invalid", "invalid_span"):
        columns[name] = pc.fill_null(columns[name], FALSE)
    left = [("tracebraid.envelope_time", "envelope_left")] + ([("tracestate", "tracestate")] if any(prepared.outside[2]) else [])
    columns["attributes"] = add(fields.rest(), [(name, pa.array(_values(rows, key), STRING)) for name, key in left])
    return columns


def _values(rows: Iterable[dict[str, Any]], name: str) -> list[Any]:
    return [row.get(name) for row in rows]


def _set(nanos: pa.Int64Array) -> pa.Int64Array:
    """OTLP's 0 is 'not set'."""
    return pc.if_else(pc.equal(nanos, pa.scalar(0, INT64)), pa.scalar(None, INT64), nanos)


def _where(chosen: pa.BooleanArray, values: pa.Array) -> pa.StringArray:
    return pc.if_else(chosen, values.cast(STRING), pa.scalar(None, STRING))
