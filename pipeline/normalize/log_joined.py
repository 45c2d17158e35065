"""Stack traces that arrive line by line → their logs know them.

In: the texts of a batch, which source each is of, the rows read so far. Out: the rows, changed in place. Never: a row more or less, nor a body changed.

A runtime prints a stack trace in lines, and container runtimes make a record of each. The log that a trace stands behind gets its class, message and text; the
lines of the trace get the trace id of that log, with `line above` as its source. Every record keeps its row: what has a position is the same whether
a batch ends in the midst of a trace or not (DECISIONS.md tells why nothing is folded).
Lines belong together where they follow each other in what one source (one resource: pod, container) sent to a partition.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.kernel.held import plain
from tracebraid.pipeline.kernel.lines import IN_TRACE, MAY_BELONG
from tracebraid.pipeline.normalize.log_exception import raised_in

_FRAME = re.compile(r"[ \t]{1,32}(?:at |\.\.\. \d{1,9} |Suppressed: )|Caused by: ")
_HEADER = re.compile(r"(?:Exception in thread \"[^\"]{1,128}\" )?[A-Za-z_$][\w$.]{0,255}(?::|$)")
_PYTHON = "Traceback (most recent call last):"
_PYTHON_BETWEEN = ("The above exception was the direct cause", "During handling of the above exception")
_IDS = ("trace_id", "span_id", "flags")
_JOINED = (*_IDS, "trace_id_source", "exception_type", "exception_message", "exception_stacktrace")
Row = dict[str, Any]


@dataclass(slots=True)
class _Open:
    """A log that lines may belong to. trace: rows of its stack trace so far. header: a row that is its first line if a frame follows. python: in its frames."""

    log: int
    trace: list[int] = field(default_factory=list)
    header: int | None = None
    python: bool = False

    def takes(self, row: int, body: str) -> bool:
        """Whether the row at `row` is of its stack trace, as far as is known."""
        if self.python or body.startswith(_PYTHON):
            self.trace.append(row)
            self.python = body.startswith((_PYTHON, " ", "\t")) or not body  # its last line is not indented
            return True
        if _FRAME.match(body):
            self.trace += [row] if self.header is None else [self.header, row]
            self.header = None
            return True
        if self.trace and (not body.strip() or body.startswith(_PYTHON_BETWEEN)):
            self.trace.append(row)
            return True
        if self.header is None and not self.trace and _HEADER.match(body):
            self.header = row
            return True
        return False


def join_traces(bodies: Sequence[str | None], sources: Sequence[int], rows: Sequence[Row]) -> None:
    """`bodies`: null where a log is an object, which ends what stands before it. `sources`: a number for each source."""
    opened: dict[int, _Open] = {}
    last: dict[int, int] = {}  # the last log of a source that has nothing open: most never do
    for row, (body, source) in enumerate(zip(bodies, sources, strict=True)):
        held = opened.get(source)
        if held is None:
            if body is None or source not in last or not _may_belong(body):
                last[source] = row
                continue
            held = _Open(last[source])
        if body is not None and held.takes(row, body):
            opened[source] = held
            continue
        _finish(held, bodies, rows)
        opened.pop(source, None)
        if held.header is not None and not held.trace and body is not None:  # that was no stack trace's first line, but a log
            held = _Open(held.header)
            if held.takes(row, body):
                opened[source] = held
                continue
        last[source] = row
    for held in opened.values():
        _finish(held, bodies, rows)


def join_columns(columns: dict[str, pa.Array], bodies: pa.StringArray, sources: npt.NDArray[np.int32], kinds: npt.NDArray[np.int32]) -> None:
    """The same for rows as columns, which are replaced where a trace was joined. `kinds`: of kernel/lines.py.

    Rows that cannot be of a trace, between others of their source that cannot, are not looked at: each of them would only become the last log."""
    rows = _near_traces(sources, kinds)
    if not len(rows):
        return
    where = pa.array(rows)
    held = {name: plain(columns[name]).take(where).to_pylist() for name in _JOINED}
    joined = [dict(zip(held, values, strict=True)) for values in zip(*held.values(), strict=True)]
    join_traces(bodies.take(where).to_pylist(), sources[rows].tolist(), joined)
    mask = np.zeros(len(bodies), np.bool_)
    mask[rows] = True
    for name, before in held.items():
        after = [row[name] for row in joined]
        if after != before:
            column = plain(columns[name])
            columns[name] = pc.replace_with_mask(column, pa.array(mask), pa.array(after, column.type))


def _near_traces(sources: npt.NDArray[np.int32], kinds: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """Rows that may belong to a trace, and the ones before and behind them, of the sources that have one."""
    traced = sources[kinds & IN_TRACE > 0]
    if not len(traced):
        return np.empty(0, np.int64)
    order = np.flatnonzero(np.isin(sources, traced))
    order = order[np.argsort(sources[order], kind="stable")]
    may, follows = kinds[order] & MAY_BELONG > 0, np.append(False, sources[order][1:] == sources[order][:-1])
    near = may.copy()
    near[1:] |= may[:-1] & follows[1:]
    near[:-1] |= may[1:] & follows[1:]
    found: npt.NDArray[np.int64] = np.sort(order[near])
    return found


def _may_belong(body: str) -> bool:
    """Whether a look at its first characters leaves it open that a line is of a stack trace. Most lines begin with a time."""
    first = body[:1]
    return first in (" ", "\t") or (first.isalpha() and (_HEADER.match(body) is not None or body.startswith((_PYTHON, "Caused by: "))))


def _finish(held: _Open, bodies: Sequence[str | None], rows: Sequence[Row]) -> None:
    if not held.trace:
        return
    log = rows[held.log]
    for row in held.trace:
        if rows[row]["trace_id"] is None and log["trace_id"] is not None:
            rows[row].update({name: log[name] for name in _IDS}, trace_id_source="line above")
    if log.get("exception_stacktrace") is None:
        raised = raised_in("\n".join(bodies[row] or "" for row in held.trace).rstrip())
        log["exception_stacktrace"] = raised.trace
        log["exception_type"] = log.get("exception_type") or raised.kind
        log["exception_message"] = log.get("exception_message") or raised.message
