"""SQL's operations over Arrow arrays, where Arrow's own differ from them.

In: arrays or scalars of one batch. Out: arrays or scalars; null where SQL says null. Never: an exception for a value that a row holds.
"""

import re
from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.kernel.held import plain

Values = Any  # pa.Array | pa.Scalar: pyarrow has no types for them
# A JSON number, or one with leading zeros. Its lengths are bounded so that no row's text is beyond a double.
_NUMBER = r"^-?\d{1,200}(\.\d{1,200})?([eE][+-]?\d{1,2})?$"
_COMPARE = {"=": pc.equal, "<>": pc.not_equal, "<": pc.less, "<=": pc.less_equal, ">": pc.greater, ">=": pc.greater_equal}
_PLAIN = re.compile(r"[A-Za-z0-9_]|[^\x00-\x7f]")


def entries(maps: pa.MapArray, key: str) -> pa.Array:
    """Each row's first entry of that key, else null. All keys are looked at at once: 90 ns a row of ten attributes, where Arrow's map_lookup took 320."""
    hits = np.flatnonzero(_keyed(maps.keys, key))
    offsets = maps.offsets.to_numpy()
    hits = hits[(hits >= offsets[0]) & (hits < offsets[-1])]
    rows, first = np.unique(np.searchsorted(offsets, hits, side="right") - 1, return_index=True)
    places = np.zeros(len(maps), dtype=np.int64)
    absent = np.ones(len(maps), dtype=np.bool_)
    places[rows], absent[rows] = hits[first], False
    if maps.null_count:
        absent |= pc.is_null(maps).to_numpy(zero_copy_only=False)
    return pc.take(plain(maps.items), pa.array(places, mask=absent))


def _keyed(keys: pa.Array, key: str) -> Values:
    """Which keys are this one; of coded ones the dictionary is asked."""
    if not pa.types.is_dictionary(keys.type):
        return pc.equal(keys, key).to_numpy(zero_copy_only=False)
    number = keys.dictionary.index(key).as_py()
    return keys.indices.to_numpy() == number if number >= 0 else np.zeros(len(keys), np.bool_)


def as_float(values: Values) -> Values:
    return pc.cast(values, pa.float64(), safe=False)


def text_as_number(text: Values) -> Values:
    """What of it is a number; null elsewhere."""
    return pc.cast(pc.if_else(pc.match_substring_regex(text, _NUMBER), text, pa.scalar(None, pa.string())), pa.float64())


def text_as_bool(text: Values) -> Values:
    """'true' and 'false', as JSON spells them; null elsewhere."""
    true, false = pc.equal(text, "true"), pc.equal(text, "false")
    return pc.if_else(pc.or_(true, false), true, pa.scalar(None, pa.bool_()))


def compare(op: str, left: Values, right: Values) -> Values:
    """Of one type; of numbers, exactly where both are int64."""
    if left.type != right.type and (pa.types.is_floating(left.type) or pa.types.is_floating(right.type)):
        left, right = as_float(left), as_float(right)
    return _COMPARE[op](left, right)


def arithmetic(op: str, left: Values, right: Values) -> Values:
    """In float64; division by zero is null."""
    left, right = as_float(left), as_float(right)
    if op == "/":
        return pc.divide(left, pc.if_else(pc.equal(right, 0.0), pa.scalar(None, pa.float64()), right))
    return {"+": pc.add, "-": pc.subtract, "*": pc.multiply}[op](left, right)


def logic(op: str, operands: Sequence[Values]) -> Values:
    """Three values: true or unknown is true, false and unknown is false."""
    return reduce(pc.or_kleene if op == "or" else pc.and_kleene, operands)


def among(values: Values, items: Sequence[Any]) -> Values:
    """items: of the values' type, none null."""
    found = pc.is_in(values, value_set=pa.array(items, values.type))
    return pc.if_else(pc.is_valid(values), found, pa.scalar(None, pa.bool_()))


def like_pattern(pattern: str) -> str:
    """SQL's pattern without an escape character as a regular expression: % any text, _ one character."""
    parts = {"%": ".*", "_": "."}
    return "(?s)^" + "".join(parts.get(c) or (c if _PLAIN.fullmatch(c) else f"\\x{{{ord(c):x}}}") for c in pattern) + "$"


def matches(text: Values, pattern: str) -> Values:
    """Whether the pattern is found anywhere. RE2, whose time is linear in the text."""
    return pc.match_substring_regex(text, pattern)
