"""Log objects that a compiled walker read → the columns of table `logs`, for the whole batch at once.

In: schemas.records.WALKED_OBJECTS. Out: columns, and the rows that are not usual enough: log_row.py, which reads a row at a time, is asked about those, and
decides the same of all others. Never: a rule of its own; where a second name, a second form or the text might have a say, the row is not usual.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.kernel.held import as_held, is_id, nothing, take, texts_at
from tracebraid.pipeline.kernel.line_pairs import joined, pairs_of
from tracebraid.pipeline.kernel.lines import PAIRS
from tracebraid.pipeline.kernel.moments import LOCAL, NONE, UNUSUAL, ZONED, times_of
from tracebraid.pipeline.kernel.picking import picked
from tracebraid.pipeline.normalize.attributes import kept
from tracebraid.pipeline.normalize.context import Context
from tracebraid.pipeline.normalize.log_fields import NAMES, Role, role_of
from tracebraid.pipeline.normalize.log_row import DURATION, LEVEL_CHARS_MAX, NAME_CHARS_MAX, flag, structured
from tracebraid.pipeline.normalize.log_text import MAY_HOLD_IDS
from tracebraid.pipeline.normalize.severity import severity_number
from tracebraid.pipeline.normalize.trace_id import NO_TRACE, flags_in, sampled_in, source_of
from tracebraid.schemas.table import CODED, FALSE, HELD_ATTRIBUTES, INT32, INT64, STRING

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Columns = dict[str, pa.Array]
_ROLES = {name: number for number, name in enumerate(NAMES)}
_UNUSUAL_ROLES = ("traceparent", "datadog_high", "contexts", "nanos", "exception_stacktrace")
# Roles whose field fills the column of that name as it is.
_NAMES = ("thread", "exception_type", "event_name")
_Judge = Callable[[str], Any]


class _Batch:
    """The fields of one batch by role, what was taken of them, and the rows that turned out to be unusual."""

    def __init__(self, context: Context, attributes: pa.MapArray) -> None:
        own = {name: column for name, (column, _) in context.formats.fields.items()}
        self.attributes = attributes
        self.names: list[str] = attributes.keys.dictionary.to_pylist()
        found = [Role(own[name], -1) if name in own else role_of(name) for name in self.names]
        roles = np.array([-1 if role is None else _ROLES.get(role.role, -1) for role in found], np.int32)
        ranks = np.array([0 if role is None else role.rank for role in found], np.int32)
        odd_names = np.array([role is not None and (bool(role.scale) or role.role not in _ROLES) for role in found], np.bool_)
        self.places, self._more, self.unusual = picked(attributes, roles, ranks, len(_ROLES))
        self.keep = np.ones(len(attributes.keys), np.bool_)
        for role in _UNUSUAL_ROLES:
            self.unusual |= self.of(role) >= 0
        # Names with a scale, or a role that only the user's settings know, are read with care wherever they stand.
        if odd_names.any():
            odd = odd_names[attributes.keys.indices.to_numpy()]
            self.unusual |= np.add.reduceat(odd, attributes.offsets.to_numpy()[:-1]) > 0

    def of(self, role: str) -> Ints:
        places: Ints = self.places[_ROLES[role]]
        return places

    def several(self, role: str) -> Bools:
        several: Bools = (self._more >> _ROLES[role]) & 1 > 0
        return several

    def texts(self, role: str) -> pa.StringArray:
        return texts_at(self.attributes.items, self.of(role))

    def use(self, role: str, rows: Bools) -> None:
        places = self.of(role)[rows]
        self.keep[places[places >= 0]] = False

    def judged(self, role: str, judge: _Judge) -> tuple[pa.DictionaryArray, Bools]:
        """The texts of a role, and which of them `judge` calls good; it is asked once for each distinct one. The others' rows are unusual."""
        texts = self.texts(role).dictionary_encode()
        numbers = texts.indices.fill_null(-1).to_numpy()
        good = np.array([*(bool(judge(text)) for text in texts.dictionary.to_pylist()), False])[numbers]
        self.unusual |= ~good & (numbers >= 0)
        return texts, good


def read_objects(context: Context, logs: pa.RecordBatch) -> tuple[Columns, Bools]:
    """The columns of log_row.py's rows, `attributes` among them, and which rows they are not right for, which are to be read one by one."""
    batch = _Batch(context, logs.column("attributes"))
    columns: Columns = {}
    if context.with_header("traceparent"):
        batch.unusual[:] = True
    columns["body"] = body = batch.texts("message")
    batch.use("message", batch.of("message") >= 0)
    batch.unusual |= _true(pc.match_substring(body, "\n"))
    _ids(batch, columns)
    _level(batch, columns)
    _time(batch, columns, logs.column("envelope_time") if "envelope_time" in logs.schema.names else nothing(logs.num_rows, STRING))
    _names(batch, columns)
    rows = len(body)
    columns["exception_stacktrace"] = nothing(rows, STRING)
    columns |= {name: pa.array(np.zeros(rows, np.bool_)) for name in ("invalid", "invalid_span")}
    columns["attributes"] = kept(batch.attributes.keys, batch.attributes.items, batch.attributes.offsets.to_numpy().astype(np.int64), batch.keep)
    return columns, batch.unusual


def read_within(context: Context, logs: pa.RecordBatch) -> tuple[Ints, Columns]:
    """Objects among `logs`, kernel/lines.py's LINES: those that are usual, and their columns."""
    rows = np.flatnonzero(logs.column("body").is_null().to_numpy(zero_copy_only=False) & (np.diff(logs.column("attributes").offsets.to_numpy()) > 0))
    if not len(rows):
        return rows, {}
    of_objects = logs.take(pa.array(rows))
    place = of_objects.schema.get_field_index("attributes")
    return _usual(context, rows, of_objects.set_column(place, "attributes", as_held(of_objects.column(place), HELD_ATTRIBUTES)))


def read_pairs(context: Context, logs: pa.RecordBatch, kinds: npt.NDArray[np.int32]) -> tuple[Ints, Columns]:
    """Lines of logfmt among `logs`, likewise: their fields say all that they do, and those of an envelope come behind."""
    bodies, rows = logs.column("body"), np.flatnonzero(kinds & PAIRS > 0)
    if not len(rows) or context.formats.patterns:
        return rows[:0], {}
    rows, *pairs = pairs_of(bodies, rows)
    if not len(rows):
        return rows, {}
    lines = logs.take(pa.array(rows))
    fields, once = joined((pairs[0], pairs[1], pairs[2]), lines.column("attributes"))
    rows, columns = _usual(context, rows, lines.set_column(lines.schema.get_field_index("attributes"), "attributes", fields), once)
    columns["body"] = pc.coalesce(columns["body"], bodies.take(pa.array(rows)))
    return rows, columns


def _usual(context: Context, rows: Ints, logs: pa.RecordBatch, sure: Bools | None = None) -> tuple[Ints, Columns]:
    columns, unusual = read_objects(context, logs)
    if sure is not None:
        unusual |= ~sure
    if not unusual.any():
        return rows, columns
    usual = np.flatnonzero(~unusual)
    return rows[usual], {name: take(column, usual) for name, column in columns.items()}


def _true(array: pa.BooleanArray) -> Bools:
    found: Bools = array.fill_null(FALSE).to_numpy(zero_copy_only=False)
    return found


def _ids(batch: _Batch, columns: Columns) -> None:
    trace_id, traced = _id(batch, "trace_id", 32)
    columns["trace_id"] = trace_id
    sources = batch.attributes.keys.indices.to_numpy()[np.where(traced, batch.of("trace_id"), 0)] if traced.any() else np.zeros(len(traced), np.int32)
    used, numbers = np.unique(sources[traced], return_inverse=True)
    coded = np.zeros(len(traced), np.int32)
    coded[traced] = numbers
    columns["trace_id_source"] = pa.DictionaryArray.from_arrays(
        pa.array(coded, INT32, mask=~traced), pa.array([source_of(batch.names[code]) for code in used.tolist()], STRING)
    )
    # Without a field that has one, a word that may mean something else, or the text, may.
    lacking = ~traced
    batch.unusual |= lacking & (batch.of("trace_maybe") >= 0)
    may = lacking & ~batch.unusual & (batch.of("message") >= 0)
    if may.any():
        batch.unusual[np.flatnonzero(may)[_true(pc.match_substring_regex(columns["body"].filter(pa.array(may)), MAY_HOLD_IDS))]] = True
    columns["span_id"], _ = _id(batch, "span_id", 16)
    flags = np.full(len(traced), -1, np.int64)
    for role, meaning in (("flags", flags_in), ("sampled", sampled_in)):
        if not (batch.of(role) >= 0).any():
            continue
        texts, good = batch.judged(role, partial(_means, meaning))
        told = good & (flags < 0)
        meant = np.array([meaning(text) or 0 for text in texts.dictionary.to_pylist()] or [0], np.int64)
        flags[told] = meant[texts.indices.fill_null(0).to_numpy()[told]]
        batch.use(role, told)
    columns["flags"] = pa.array(flags, INT64, mask=flags < 0)


def _means(meaning: Callable[[str], int | None], text: str) -> bool:
    return meaning(text) is not None


def _id(batch: _Batch, role: str, length: int) -> tuple[pa.StringArray, Bools]:
    """The ids of a role, where they are as we write them, and which rows have one."""
    places = batch.of(role)
    if not (places >= 0).any():
        return nothing(len(places), STRING), np.zeros(len(places), np.bool_)
    texts = batch.texts(role)
    there = (places >= 0) & is_id(texts, length)
    others = np.flatnonzero((places >= 0) & ~there)
    if len(others):  # one that is written where there is none is left where it is
        absent = pc.is_in(texts.take(pa.array(others)), value_set=pa.array(NO_TRACE, STRING)).to_numpy(zero_copy_only=False)
        batch.unusual[others[~absent]] = True
        batch.unusual[others] |= batch.several(role)[others]
        texts = texts_at(batch.attributes.items, np.where(there, places, -1))
    batch.use(role, there)
    return texts, there


def _level(batch: _Batch, columns: Columns) -> None:
    batch.unusual |= (batch.of("level") < 0) & (batch.of("level_maybe") >= 0)
    texts, good = batch.judged("level", lambda text: len(text) <= LEVEL_CHARS_MAX and not structured(text))
    numbers = np.array([*(severity_number(text) if len(text) <= LEVEL_CHARS_MAX else 0 for text in texts.dictionary.to_pylist()), 0], np.int32)
    number = numbers[texts.indices.fill_null(-1).to_numpy()]
    batch.unusual |= good & (number == 0) & batch.several("level")
    batch.use("level", good)
    columns["severity_text"], columns["severity_number"] = texts, pa.array(number, INT32)


def _time(batch: _Batch, columns: Columns, envelopes: pa.StringArray) -> None:
    nanos, kinds = times_of(batch.texts("time"))
    batch.unusual |= (kinds == UNUSUAL) | ((kinds == LOCAL) & batch.several("time"))
    columns["observed_unix_nano"] = nothing(len(kinds), INT64)
    use, there = kinds != NONE, kinds != NONE
    if envelopes.null_count < len(envelopes):
        around, of_envelope = times_of(envelopes)
        batch.unusual |= of_envelope == UNUSUAL
        within = of_envelope != NONE
        use, there = use & ((kinds == ZONED) | ~within), there | within
        nanos = np.where(use, nanos, around)
        columns["observed_unix_nano"] = pa.array(around, INT64, mask=~(use & within))
    batch.use("time", use)
    columns["time_unix_nano"] = pa.array(nanos, INT64, mask=~there)


def _names(batch: _Batch, columns: Columns) -> None:
    for role in (*_NAMES, "service", "logger"):
        if not (batch.of(role) >= 0).any():
            columns[role] = nothing(len(batch.unusual), CODED)
            continue
        columns[role], good = batch.judged(role, _is_service if role == "service" else _is_name)
        batch.use(role, good)
    maybe = (batch.of("logger_maybe") >= 0) & (batch.of("logger") < 0) & (batch.of("level") >= 0) & (batch.of("message") >= 0)
    if maybe.any():
        batch.use("logger_maybe", maybe)
        places = np.where(maybe, batch.of("logger_maybe"), batch.of("logger"))
        columns["logger"] = texts_at(batch.attributes.items, places)
    places = batch.of("exception_message")
    columns["exception_message"] = nothing(len(places), STRING)
    if (places >= 0).any():
        texts, good = batch.judged("exception_message", lambda text: not flag(text) and not structured(text))
        columns["exception_message"] = texts.cast(STRING)
        batch.use("exception_message", good)


def _is_name(text: str) -> bool:
    return len(text) <= NAME_CHARS_MAX and not structured(text)


def _is_service(text: str) -> bool:
    return _is_name(text) and not DURATION.fullmatch(text)
