"""Lines of a shape of log_lines.py → the columns of table `logs`, for the whole batch at once: its patterns, by Arrow's RE2.

In: rows that log_texts.py calls shaped, with the columns that their texts give. Out: those columns with what the shape says, and of which rows they are. Never:
a pattern or a field of its own; a row whose line RE2 might read otherwise, or that has a field of the shape's already, is left to log_row.py.
"""

import re
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.kernel.held import take, texts_at
from tracebraid.pipeline.kernel.line_pairs import joined
from tracebraid.pipeline.kernel.line_parts import bytes_of
from tracebraid.pipeline.kernel.moments import ZONED, times_of
from tracebraid.pipeline.normalize.context import Context
from tracebraid.pipeline.normalize.log_fields import role_of
from tracebraid.pipeline.normalize.log_lines import ACCESS, REQUEST, Shape
from tracebraid.pipeline.normalize.log_texts import Texts
from tracebraid.schemas.table import INT64, STRING

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Columns = dict[str, pa.Array]
_BOUNDED = re.compile(r"\(\?P<(\w+)>\[\^ \]\{1,(\d+)\}\)")
_DASH = ord("-")


class _Pattern(NamedTuple):
    """text: RE2's, in which what is bounded in Python's is not: that would take it four times as long. most: group → how many bytes it may have at most."""

    text: str
    most: dict[str, int]


class _Parts(NamedTuple):
    """What one group matched in some rows. said: where that is neither nothing nor `-`, which is how shapes say nothing."""

    texts: pa.StringArray
    said: Bools


@cache
def _linear(pattern: str) -> _Pattern:
    bounds = _BOUNDED.findall(pattern)
    return _Pattern(_BOUNDED.sub(r"(?P<\1>[^ ]+)", pattern).replace("*+", "*"), {group: int(most) for group, most in bounds})


def read_shapes(context: Context, logs: pa.RecordBatch, texts: Texts) -> tuple[Ints, Columns]:
    """Which of the shaped rows are read, and their columns."""
    named = {**ACCESS.fields, **REQUEST.fields}
    others = [field for group, field in named.items() if role_of(field) is not None and group != "time"]
    if not len(texts.shaped) or others or any(name in context.formats.fields for name in named.values()):
        return texts.shaped[:0], {}
    rows, parts = _access(logs.column("body"), texts.shaped)
    if not len(rows):
        return rows, {}
    times, kinds = times_of(parts.pop("timestamp").texts)
    fields, once = joined(_pairs(parts), logs.column("attributes").take(pa.array(rows)))
    columns = {name: take(column, rows) for name, column in texts.columns.items() if name != "attributes"}
    columns |= {"attributes": fields, "observed_unix_nano": columns["time_unix_nano"], "time_unix_nano": pa.array(times, INT64)}
    sure = np.flatnonzero((kinds == ZONED) & once)
    return (rows, columns) if len(sure) == len(rows) else (rows[sure], {name: take(column, sure) for name, column in columns.items()})


def _access(bodies: pa.StringArray, rows: Ints) -> tuple[Ints, dict[str, _Parts]]:
    """Which rows are of access logs, and their fields."""
    places, lines = _matched(ACCESS, "^{}", take(bodies, rows))
    asked, requests = _matched(REQUEST, "^{}$", lines["request"].texts)
    parts = {field: lines[group] for group, field in ACCESS.fields.items()}
    for group, field in REQUEST.fields.items():
        at = np.full(len(places), -1, np.int64)
        at[asked[requests[group].said]] = np.flatnonzero(requests[group].said)
        parts[field] = requests[group] if len(asked) == len(places) else _Parts(texts_at(requests[group].texts, at), at >= 0)
    return rows[places], parts


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


def _pairs(parts: dict[str, _Parts]) -> tuple[npt.NDArray[np.int32], pa.StringArray, pa.StringArray]:
    """Where the fields of each row end, and all their names and values."""
    said = np.stack([each.said for each in parts.values()], axis=1)
    row, field = np.nonzero(said)
    values = take(pa.concat_arrays([each.texts for each in parts.values()]), field * len(said) + row)
    ends = np.concatenate([np.zeros(1, np.int32), np.cumsum(said.sum(axis=1), dtype=np.int32)])
    return ends, pa.array(list(parts), STRING).take(pa.array(field)), values
