"""Lines of a shape of log_lines.py → the columns of table `logs`, for the whole batch at once: its patterns, by Arrow's RE2.

In: rows that log_texts.py calls shaped, with the columns that their texts give. Out: those columns with what the shape says, and of which rows they are. Never:
a pattern, a field or a meaning of its own; a row whose line RE2 might read otherwise, or that has a field of the shape's already, is left to log_row.py.
"""

import re
from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.kernel.held import plain, take, texts_at
from tracebraid.pipeline.kernel.line_pairs import joined
from tracebraid.pipeline.kernel.line_parts import bytes_of
from tracebraid.pipeline.kernel.lines import ACCESS as MAY_BE_ACCESS
from tracebraid.pipeline.kernel.lines import KLOG as MAY_BE_KLOG
from tracebraid.pipeline.kernel.lines import SYSLOG as MAY_BE_SYSLOG
from tracebraid.pipeline.kernel.moments import LOCAL, NONE, UNUSUAL, ZONED, times_of
from tracebraid.pipeline.normalize.context import Context
from tracebraid.pipeline.normalize.log_fields import role_of
from tracebraid.pipeline.normalize.log_lines import ACCESS, FACILITY, KLOG, OLD_SYSLOG, REQUEST, SYSLOG, Shape, facility_of
from tracebraid.pipeline.normalize.log_row import DURATION, LEVEL_CHARS_MAX, NAME_CHARS_MAX, structured
from tracebraid.pipeline.normalize.log_text import level_in
from tracebraid.pipeline.normalize.log_texts import Texts
from tracebraid.pipeline.normalize.severity import severity_number
from tracebraid.schemas.table import BOOL, INT32, INT64, STRING

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Columns = dict[str, pa.Array]
_BOUNDED = re.compile(r"\(\?P<(\w+)>(\[\^[^{]+\])\{1,(\d+)\}\)")
_AHEAD = r"(?=[-\[])"  # of syslog's structured data, which RE2 cannot look for: read are lines without
_DASH = ord("-")


class _Pattern(NamedTuple):
    """text: RE2's, in which what is bounded in Python's is not: that would take it four times as long. most: group → how many bytes it may have at most."""

    text: str
    most: dict[str, int]


class _Parts(NamedTuple):
    """What one group matched in some rows. said: where that is neither nothing nor `-`, which is how shapes say nothing."""

    texts: pa.StringArray
    said: Bools


class _Lines(NamedTuple):
    """rows: whose lines have a shape. parts: what they say, by field. level: what names it where no word of the text does."""

    rows: Ints
    parts: dict[str, _Parts]
    level: pa.StringArray | None = None


@cache
def _linear(pattern: str) -> _Pattern:
    bounds = _BOUNDED.findall(pattern)
    return _Pattern(_BOUNDED.sub(r"(?P<\1>\2+)", pattern).replace("*+", "*").replace(_AHEAD, "-"), {group: int(most) for group, _, most in bounds})


def read_shapes(context: Context, logs: pa.RecordBatch, texts: Texts) -> list[tuple[Ints, Columns]]:
    """The shaped rows that are read, and their columns; by shape."""
    parts, bodies, left = [], logs.column("body"), texts.shaped
    for kind, read in _READ:
        rows = left[texts.kinds[left] & kind > 0]
        lines = read(bodies, rows) if len(rows) else None
        if lines and len(lines.rows) and not any(name in context.formats.fields for name in lines.parts):
            parts.append(_columns(context, logs, texts.columns, lines))
            left = np.setdiff1d(left, lines.rows, assume_unique=True)
    return parts


def _access(bodies: pa.StringArray, rows: Ints) -> _Lines:
    places, lines = _matched(ACCESS, "^{}", take(bodies, rows))
    asked, requests = _matched(REQUEST, "^{}$", lines["request"].texts)
    parts = {field: lines[group] for group, field in ACCESS.fields.items()}
    for group, field in REQUEST.fields.items():
        at = np.full(len(places), -1, np.int64)
        at[asked[requests[group].said]] = np.flatnonzero(requests[group].said)
        parts[field] = requests[group] if len(asked) == len(places) else _Parts(texts_at(requests[group].texts, at), at >= 0)
    return _Lines(rows[places], parts)


def _syslog(bodies: pa.StringArray, rows: Ints, shape: Shape) -> _Lines:
    places, lines = _matched(shape, "^{}", take(bodies, rows))
    places, lines = _without("year", places, lines)
    facilities = _by_text(lines["priority"].texts, facility_of, STRING)
    parts = {field: lines[group] for group, field in shape.fields.items()}
    return _Lines(rows[places], {**parts, FACILITY: _Parts(facilities, np.ones(len(places), np.bool_))}, lines["priority"].texts)


def _klog(bodies: pa.StringArray, rows: Ints) -> _Lines:
    """Those of Info and its like: what InfoS wrote behind its message is fields, which are the reference's to read."""
    places, lines = _matched(KLOG, '^{}(?P<quote>"?)', take(bodies, rows))
    places, lines = _without("quote", places, lines)
    return _Lines(rows[places], {field: lines[group] for group, field in KLOG.fields.items()})


def _without(group: str, places: Ints, lines: dict[str, _Parts]) -> tuple[Ints, dict[str, _Parts]]:
    """Those in which this group, if there is one, has matched nothing."""
    if group not in lines or not lines[group].said.any():
        return places, lines
    sure = np.flatnonzero(~lines[group].said)
    return places[sure], {name: _Parts(take(part.texts, sure), part.said[sure]) for name, part in lines.items()}


_READ: tuple[tuple[int, Callable[[pa.StringArray, Ints], _Lines]], ...]
_READ = ((MAY_BE_ACCESS, _access), (MAY_BE_SYSLOG, partial(_syslog, shape=SYSLOG)), (MAY_BE_SYSLOG, partial(_syslog, shape=OLD_SYSLOG)), (MAY_BE_KLOG, _klog))


def _matched(shape: Shape, within: str, texts: pa.StringArray) -> tuple[Ints, dict[str, _Parts]]:
    """Which texts have the shape beyond doubt, and what its groups matched in them."""
    pattern = _linear(shape.pattern)
    found = pc.extract_regex(texts, within.format(pattern.text))
    sure = found.is_valid().to_numpy(zero_copy_only=False)
    for group, most in pattern.most.items():
        sure &= pc.binary_length(found.field(group)).to_numpy(zero_copy_only=False) <= most
    places = np.flatnonzero(sure)
    groups = [found.field(number) for number in range(found.type.num_fields)]
    return places, {each.name: _parts(take(group, places)) for each, group in zip(found.type, groups, strict=True)}


def _parts(texts: pa.StringArray) -> _Parts:
    if not texts.buffers()[2]:
        return _Parts(texts, np.zeros(len(texts), np.bool_))
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    lengths, said = np.diff(offsets), np.diff(offsets) > 0
    single = np.flatnonzero(lengths == 1)
    said[single] = bytes_of(texts)[offsets[single]] != _DASH
    return _Parts(texts, said)


def _columns(context: Context, logs: pa.RecordBatch, texts: Columns, lines: _Lines) -> tuple[Ints, Columns]:
    """The columns of a text with what its parts say by their fields' roles; the other parts are attributes."""
    rows, parts = lines.rows, dict(lines.parts)
    columns = {name: take(column, rows) for name, column in texts.items() if name != "attributes"}
    if lines.level is not None:
        _name_levels(columns, lines.level)
    sure = np.ones(len(rows), np.bool_)
    for field, part in lines.parts.items():
        role = role_of(field)
        if role is None:
            continue
        if role.role == "time":
            use, good = _put_time(columns, part, pc.multiply(context.row_kafka_us(logs.column("record").take(pa.array(rows))), 1000).to_numpy())
        else:
            use, good = _put_text(columns, part, role.role)
        parts[field] = part._replace(said=part.said & ~use)
        sure &= good
    columns["attributes"], once = joined(_pairs(parts), logs.column("attributes").take(pa.array(rows)))
    taken = np.flatnonzero(sure & once)
    return (rows, columns) if len(taken) == len(rows) else (rows[taken], {name: take(column, taken) for name, column in columns.items()})


def _name_levels(columns: Columns, priorities: pa.StringArray) -> None:
    """Where the text has no word of a level, syslog's priority is one."""
    levels = columns["severity_text"].is_valid()
    named, numbers = _by_text(priorities, _level_word, STRING), _by_text(priorities, _level_number, INT32)
    columns["severity_text"] = pc.if_else(levels, plain(columns["severity_text"]), named).dictionary_encode()
    columns["severity_number"] = pc.if_else(levels, columns["severity_number"], numbers)


def _level_word(priority: str) -> str | None:
    level = level_in(f"<{priority}>")
    return level.text if level else None


def _level_number(priority: str) -> int:
    level = level_in(f"<{priority}>")
    return level.number if level else 0


def _put_time(columns: Columns, part: _Parts, kafka_ns: Ints) -> tuple[Bools, Bools]:
    """log_row.py's rules for a field with a time, beside a text without one; where it is used, and where this is right."""
    envelope = columns["time_unix_nano"]
    within, around = envelope.is_valid().to_numpy(zero_copy_only=False), envelope.fill_null(0).to_numpy()
    own, kinds = times_of(part.texts, np.where(within, around, kafka_ns))
    kinds = np.where(part.said, kinds, NONE)
    use = (kinds == ZONED) | ((kinds == LOCAL) & ~within)
    columns["time_unix_nano"] = pa.array(np.where(use, own, around), INT64, mask=~(use | within))
    columns["observed_unix_nano"] = pa.array(around, INT64, mask=~(use & within))
    return use, kinds != UNUSUAL


def _put_text(columns: Columns, part: _Parts, role: str) -> tuple[Bools, Bools]:
    """Likewise a level, a thread or a service; of others nothing is known here."""
    if role not in ("level", "thread", "service"):
        return np.zeros(len(part.said), np.bool_), ~part.said
    most = LEVEL_CHARS_MAX if role == "level" else NAME_CHARS_MAX
    taken = partial(_is_taken, role, most)
    usual = _by_text(part.texts, taken, BOOL)
    column = "severity_text" if role == "level" else role
    columns[column] = pc.if_else(pa.array(part.said), part.texts, plain(columns[column]))
    if role == "level":
        columns["severity_number"] = pc.if_else(pa.array(part.said), _by_text(part.texts, severity_number, INT32), columns["severity_number"])
    return part.said, ~part.said | usual.to_numpy(zero_copy_only=False)


def _is_taken(role: str, most: int, text: str) -> bool:
    return 0 < len(text) <= most and text.strip() != "" and not structured(text) and not (role == "service" and DURATION.fullmatch(text))


def _by_text(texts: pa.StringArray, judge: Callable[[str], object], kind: pa.DataType) -> pa.Array:
    """What `judge` says of each text; it is asked once for each distinct one."""
    coded = texts.dictionary_encode()
    return pa.array([judge(text) for text in coded.dictionary.to_pylist()], kind).take(coded.indices)


def _pairs(parts: dict[str, _Parts]) -> tuple[npt.NDArray[np.int32], pa.StringArray, pa.StringArray]:
    """Where the fields of each row end, and all their names and values."""
    said = np.stack([each.said for each in parts.values()], axis=1)
    row, field = np.nonzero(said)
    values = take(pa.concat_arrays([each.texts for each in parts.values()]), field * len(said) + row)
    ends = np.concatenate([np.zeros(1, np.int32), np.cumsum(said.sum(axis=1), dtype=np.int32)])
    return ends, pa.array(list(parts), STRING).take(pa.array(field)), values
