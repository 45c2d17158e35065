"""Logs that are texts → the columns of table `logs`, for the whole batch at once.

In: rows of form 'text'. Out: columns, and the rows that are not usual enough: log_row.py, which reads a row at a time, is asked about those, and decides the
same of all others. Never: a rule of its own: where a line's shape, a field beside the text or a header might have a say, the row is not usual. Where it is
but for its shape, log_shapes.py may know that.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tracebraid.pipeline.kernel import lines as k
from tracebraid.pipeline.kernel.held import nothing
from tracebraid.pipeline.kernel.line_parts import hex_of, parts_of
from tracebraid.pipeline.kernel.moments import LOCAL, NONE, UNUSUAL, ZONED, times_of
from tracebraid.pipeline.normalize.attributes import distinct, flat
from tracebraid.pipeline.normalize.context import Context
from tracebraid.pipeline.normalize.log_fields import role_of
from tracebraid.pipeline.normalize.severity import severity_number
from tracebraid.schemas.table import CODED, INT32, INT64, STRING

Bools = npt.NDArray[np.bool_]
Columns = dict[str, pa.Array]
_NUMBERS = np.array([*map(severity_number, k.WORDS), 0], np.int32)
_ABSENT = ("event_name", "service", "exception_type", "exception_message", "exception_stacktrace")


class Texts(NamedTuple):
    """usual: rows for which the columns are right. shaped: rows for which they would be, but that their line may have a shape. kinds: of lines.py, where a row
    may belong to a stack trace."""

    columns: Columns
    usual: npt.NDArray[np.int64]
    shaped: npt.NDArray[np.int64]
    kinds: npt.NDArray[np.int32]


def read_texts(context: Context, logs: pa.RecordBatch) -> Texts:
    """The columns of log_row.py's rows, `attributes` among them, for logs each of which is a text or not usual."""
    body = logs.column("body")
    found = k.lines_of(body)
    objects = body.is_null().to_numpy(zero_copy_only=False)
    found[k.F_KIND][objects] = k.MAY_BELONG  # they end the trace before them
    unusual = objects | _with_roles(context, logs.column("attributes"))
    if context.formats.patterns or context.with_header("traceparent"):
        unusual[:] = True
    columns: Columns = {"body": body, "attributes": logs.column("attributes")}
    unusual |= _times(columns, logs, found)
    _ids(columns, body, found)
    level = found[k.F_LEVEL]
    used, numbers = np.unique(level[level >= 0], return_inverse=True)
    coded = np.zeros(len(body), np.int32)
    coded[level >= 0] = numbers
    words = pa.array([k.WORDS[number] for number in used.tolist()], STRING)
    columns["severity_text"] = pa.DictionaryArray.from_arrays(pa.array(coded, INT32, mask=level < 0), words)
    columns["severity_number"] = pa.array(_NUMBERS[level], INT32)
    for name, place, length in (("logger", k.F_LOGGER, k.F_LOGGER_LENGTH), ("thread", k.F_THREAD, k.F_THREAD_LENGTH)):
        columns[name] = parts_of(body, found[place], found[length]).dictionary_encode() if found[length].any() else nothing(len(body), CODED)
    kinds = found[k.F_KIND]
    return Texts(columns, np.flatnonzero(~unusual & (kinds & k.UNUSUAL == 0)), np.flatnonzero(~unusual & (kinds & k.SHAPED > 0)), kinds)


def _with_roles(context: Context, attributes: pa.MapArray) -> Bools:
    """Rows that have a field of a role beside the text."""
    keys, _, _, row_of = flat(attributes)
    found = np.zeros(len(attributes), np.bool_)
    if len(keys):
        own = {name for name, _ in context.formats.fields.items()}
        names, codes = distinct(keys)
        roles = np.array([name in own or role_of(name) is not None for name in names], np.bool_)
        found[row_of[roles[codes]]] = True
    return found


def _times(columns: Columns, logs: pa.RecordBatch, found: npt.NDArray[np.int32]) -> Bools:
    """A row's time, and when it was observed: log_row.py's rules for a text without fields. Which rows they cannot be told of."""
    envelope, around = times_of(logs.column("envelope_time"))
    own, said = times_of(parts_of(logs.column("body"), found[k.F_TIME], found[k.F_TIME_LENGTH]))
    within, use = around != NONE, (said == ZONED) | ((said == LOCAL) & (around == NONE))
    columns["time_unix_nano"] = pa.array(np.where(use, own, envelope), INT64, mask=~(use | within))
    columns["observed_unix_nano"] = pa.array(envelope, INT64, mask=~(use & within))
    unusual: Bools = (around == UNUSUAL) | (said == UNUSUAL)
    return unusual


def _ids(columns: Columns, body: pa.StringArray, found: npt.NDArray[np.int32]) -> None:
    rows, lengths = len(body), found[k.F_TRACE_LENGTH]
    columns["trace_id"] = hex_of(body, found[k.F_TRACE], lengths, 32)
    spans = np.where((lengths > 0) & (found[k.F_SPAN] >= 0), np.int32(16), np.int32(0))
    columns["span_id"] = hex_of(body, found[k.F_SPAN], spans, 16)
    columns["trace_id_source"] = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32), mask=lengths == 0), pa.array(["text"], STRING))
    columns["flags"] = nothing(rows, INT64)
    columns |= {name: pa.array(np.zeros(rows, np.bool_)) for name in ("invalid", "invalid_span")}
    columns |= {name: nothing(rows, STRING) for name in _ABSENT}
