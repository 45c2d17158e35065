"""Lines of `key=value key="a value" flag`, for a whole batch in a compiled loop → their fields, as maps.

In: texts, and which of them begin so. Out: maps, and which texts are such from their first character to their last. Never: another reading than
normalize/logfmt.py's: a line with a key twice, an escape or more than PAIRS_MAX pairs is left to that.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tracebraid.pipeline.kernel.compiled import compiled
from tracebraid.pipeline.kernel.line_heads import is_space
from tracebraid.pipeline.kernel.line_parts import bytes_of, parts_of
from tracebraid.schemas.table import INT32

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Places = npt.NDArray[np.int32]
Number = Any  # an integer of 64 bits
PAIRS_MAX = 64
P_KEY, P_KEY_LENGTH, P_VALUE, P_VALUE_LENGTH = range(4)  # the value's length is -1 where it has none
_KEY_BYTES_MAX = 200
_PAIRS_MIN = 2


def pairs_of(texts: pa.StringArray, rows: Ints) -> tuple[Ints, Places, pa.StringArray, pa.StringArray]:
    """Which of `rows` are such lines; where the pairs of each end; all keys and values."""
    if not len(rows):
        return rows, np.zeros(1, np.int32), texts.slice(0, 0), texts.slice(0, 0)
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    size = int((offsets[1:][rows] - offsets[:-1][rows]).sum())
    pairs, ends = np.empty((4, min(size // 2 + len(rows), PAIRS_MAX * len(rows)) + PAIRS_MAX), np.int32), np.zeros(len(rows), np.int32)
    count = int(_read(bytes_of(texts), offsets, rows, pairs, ends))
    taken = np.flatnonzero(np.diff(ends, prepend=0))
    keys = parts_of(texts, pairs[P_KEY, :count], pairs[P_KEY_LENGTH, :count])
    values = parts_of(texts, pairs[P_VALUE, :count], pairs[P_VALUE_LENGTH, :count], empty=True)
    return rows[taken], np.concatenate([np.zeros(1, np.int32), ends[taken]]), keys, values


@compiled
def _read(data: Bytes, offsets: Places, rows: Ints, pairs: Places, ends: Places) -> Number:
    used = np.int64(0)
    for at in range(len(rows)):
        count = _pairs(data, np.int64(offsets[rows[at]]), np.int64(offsets[rows[at] + 1]), pairs, used)
        used += max(count, np.int64(0))
        ends[at] = used
    return used


@compiled
def _pairs(data: Bytes, start: Number, stop: Number, pairs: Places, first: Number) -> Number:
    """How many pairs a line has; -1 where it is none of only pairs, or must be read otherwise."""
    at, count, bare = np.int64(start), np.int64(0), np.int64(0)
    while at < stop:
        key = at
        while at < stop and data[at] != 61 and data[at] != 34 and not is_space(np.int64(data[at])):
            at += 1
        length = at - key
        if count == PAIRS_MAX or not 0 < length <= _KEY_BYTES_MAX or _is_known(data, key, length, pairs, first, count):
            return np.int64(-1)
        value, value_length = at, np.int64(-1)
        if at < stop and data[at] == 61:
            value, value_length, at = _value(data, at + 1, stop)
        else:
            bare += 1
            if count == 0 or (bare > 1 and 3 * bare > count + 1):
                return np.int64(-1)
        if at < 0 or (at < stop and data[at] != 32):
            return np.int64(-1)
        while at < stop and data[at] == 32:
            at += 1
        place = first + count
        pairs[P_KEY, place], pairs[P_KEY_LENGTH, place], pairs[P_VALUE, place], pairs[P_VALUE_LENGTH, place] = key, length, value, value_length
        count += 1
    return count if count - bare >= _PAIRS_MIN and 3 * bare <= count else np.int64(-1)


@compiled
def _value(data: Bytes, at: Number, stop: Number) -> tuple[Number, Number, Number]:
    """(where a value begins, its length, where it ends); ends at -1 where it must be read otherwise."""
    begin = np.int64(at)
    if at < stop and data[at] == 34:
        begin += 1
        at = begin
        while at < stop and data[at] != 34:
            if data[at] < 32 or data[at] == 92:
                return begin, np.int64(0), np.int64(-1)
            at += 1
        return begin, at - begin, np.int64(at + 1 if at < stop else -1)
    while at < stop and not is_space(np.int64(data[at])):
        at += 1
    return begin, at - begin, np.int64(at)


@compiled
def _is_known(data: Bytes, key: Number, length: Number, pairs: Places, first: Number, count: Number) -> bool:
    for place in range(first, first + count):
        if pairs[P_KEY_LENGTH, place] == length:
            other, same = np.int64(pairs[P_KEY, place]), True
            for each in range(length):
                same &= data[key + each] == data[other + each]
            if same:
                return True
    return False


def joined(first: tuple[Places, pa.StringArray, pa.StringArray], behind: pa.MapArray) -> tuple[pa.MapArray, npt.NDArray[np.bool_]]:
    """Maps of pairs with others put behind them in each row, keys coded; and in which rows a key is there once."""
    ends, keys, values = first
    rows = np.arange(len(behind))
    row_of, outer = np.repeat(rows, np.diff(ends)), behind.offsets.to_numpy()
    if outer[-1] > outer[0]:
        others = slice(int(outer[0]), int(outer[-1]))
        row_of = np.concatenate([row_of, np.repeat(rows, np.diff(outer))])
        order = np.argsort(row_of, kind="stable")
        row_of, taken = row_of[order], pa.array(order)
        keys = pa.concat_arrays([keys, behind.keys[others]]).take(taken)
        values = pa.concat_arrays([values, behind.items[others]]).take(taken)
        ends = (ends + (outer - outer[0])).astype(np.int32)
    coded = keys.dictionary_encode()
    codes, once = coded.indices.to_numpy(), np.ones(len(behind), np.bool_)
    if outer[-1] > outer[0]:
        both = row_of.astype(np.int64) * len(coded.dictionary) + codes
        _, places, counts = np.unique(both, return_index=True, return_counts=True)
        once[row_of[places[counts > 1]]] = False
    held = pa.DictionaryArray.from_arrays(pa.array(codes, INT32), coded.dictionary)
    return pa.MapArray.from_arrays(pa.array(ends), held, values.cast(pa.string_view())), once
