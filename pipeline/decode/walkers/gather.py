"""Offset tables → Arrow arrays.

In: the bytes that were walked, and where things lie in them, the order that rows are wanted in. Out: Arrow arrays; string views point into those bytes, which
stay where they are. Never: a look at a text.
"""

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tracebraid.pipeline.decode.walkers.memory import E_LENGTH, E_START, I_HIGH, I_KEY, I_LOW, IDS, NULL_KEY, Ints
from tracebraid.pipeline.decode.walkers.wire import Bytes, Number, Pair, digits, fixed32
from tracebraid.pipeline.kernel.compiled import compiled
from tracebraid.pipeline.kernel.held import nothing
from tracebraid.pipeline.kernel.texts import copy_bytes
from tracebraid.schemas.table import CODED, INT32, STRING

Offsets = npt.NDArray[np.int32]
Words = npt.NDArray[np.uint64]
Parts = tuple[Ints, Ints]  # the record of each row, ascending; the first record of each part but the first
Sources = tuple[Bytes, Bytes, Bytes]  # the walked bytes, digits, values that Python spelled
_HALF = 32  # bits
_INLINE = 12  # bytes that a view holds itself
_NOBODY_ASKS = np.empty(0, np.uint8)


@compiled
def _copy(data: Bytes, starts: Ints, ends: Offsets, out: Bytes) -> None:
    for text in range(len(starts)):
        copy_bytes(data, starts[text], out, ends[text], ends[text + 1] - ends[text])


@compiled
def _hex(data: Bytes, starts: Ints, order: Ints, length: Number, out: tuple[Words, Offsets]) -> Number:
    """Two digits a byte, of rows in this order; ids that are absent (-1) take no room. How many there are."""
    words, ends = out
    to = np.int64(0)
    for at in range(len(order)):
        start = starts[order[at]]
        if start >= 0:
            for four in range(length >> 2):
                words[to] = np.uint64(digits(fixed32(data, start + 4 * four)))
                to += 1
        ends[at + 1] = to << 3
    return to


def texts_of(entries: Ints, data: Bytes) -> pa.StringArray:
    """The texts of entries of one kind, by their numbers."""
    return slices(data, entries[:, E_START], entries[:, E_LENGTH])


def slices(data: Bytes, starts: Ints, lengths: Ints) -> pa.StringArray:
    ends = np.zeros(len(starts) + 1, np.int32)
    np.cumsum(lengths, out=ends[1:])
    out = np.empty(int(ends[-1]), np.uint8)
    _copy(data, np.ascontiguousarray(starts), ends, out)
    return pa.StringArray.from_buffers(len(starts), pa.py_buffer(ends), pa.py_buffer(out))


def by_id(data: Bytes, starts: Ints, parts: Parts) -> Ints:
    """The order of rows by the first eight bytes of their ids; absent ones last."""
    keys = np.empty(len(starts), np.uint64)
    _prefixes(data, starts, keys)
    return _ordered(keys, parts)


def _ordered(keys: Words, parts: Parts) -> Ints:
    records, firsts = parts
    if not len(firsts):
        return np.argsort(keys, kind="stable")
    edges = [0, *np.searchsorted(records, firsts).tolist(), len(keys)]
    return np.concatenate([start + np.argsort(keys[start:end], kind="stable") for start, end in itertools.pairwise(edges)])


@compiled
def _prefixes(data: Bytes, starts: Ints, out: Words) -> None:
    for row in range(len(starts)):
        key = np.uint64(0xFFFFFFFFFFFFFFFF)
        if starts[row] >= 0:
            key = np.uint64(0)
            for at in range(8):
                key = key << np.uint64(8) | np.uint64(data[starts[row] + at])
        out[row] = key


@compiled
def _first_digits(ids: Words, starts: Ints, out: Words) -> None:
    for row in range(len(starts)):
        key = np.uint64(0xFFFFFFFFFFFFFFFF)
        if starts[row] >= 0:
            word, key = ids[IDS * row], np.uint64(0)
            for at in range(8):
                key = key << np.uint64(8) | word >> np.uint64(8 * at) & np.uint64(0xFF)
        out[row] = key


def by_first_digits(ids: Words, starts: Ints, parts: Parts) -> Ints:
    """The order of rows by the first eight digits of their trace ids; absent ones last."""
    keys = np.empty(len(starts), np.uint64)
    _first_digits(ids, starts, keys)
    return _ordered(keys, parts)


@compiled
def _take_ids(ids: Words, starts: Ints, order: Ints, which: Pair, out: tuple[Words, Offsets]) -> Number:
    """Those of each row in this order; ids that are absent (-1) take no room. How many words there are."""
    words, ends = out
    first, count = which
    to = np.int64(0)
    for at in range(len(order)):
        row = order[at]
        if starts[row] >= 0:
            for word in range(count):
                words[to] = ids[IDS * row + first + word]
                to += 1
        ends[at + 1] = to << 3
    return to


def ids_of(ids: Words, starts: Ints, order: Ints, which: tuple[int, int]) -> pa.StringArray:
    """Ids whose digits the walk has written: of each row's words the first, and how many. Null where there is none."""
    words, ends = np.empty(len(order) * which[1], np.uint64), np.zeros(len(order) + 1, np.int32)
    there = _take_ids(ids, starts, order, which, (words, ends)) // which[1]
    valid = _valid(starts, order, -1) if there < len(order) else None
    return pa.StringArray.from_buffers(len(order), pa.py_buffer(ends), pa.py_buffer(words), valid, len(order) - there)


@compiled
def _gather(column: Ints, order: Ints, out: Any) -> None:
    for at in range(len(order)):
        out[at] = column[order[at]]


@compiled
def _gather_some(column: Ints, order: Ints, none: Number, out: Offsets, used: Bytes) -> Number:
    """Numbers above `none`; which ones come is marked in `used`, if that has room. How many do not."""
    missing, mark = 0, len(used) > 0
    for at in range(len(order)):
        number = column[order[at]]
        if number > none:
            out[at] = number
            if mark:
                used[number] = 1
        else:
            out[at] = 0
            missing += 1
    return missing


@compiled
def _set_bits(column: Ints, order: Ints, none: Number, out: Bytes) -> None:
    for at in range(len(order)):
        if column[order[at]] > none:
            out[at >> 3] |= np.uint8(1 << (at & 7))


def _valid(column: Ints, order: Ints, none: Number) -> pa.Buffer:
    bits = np.zeros(len(order) + 7 >> 3, np.uint8)
    _set_bits(column, order, none, bits)
    return pa.py_buffer(bits)


def numbers(column: Ints, order: Ints, kind: pa.DataType) -> pa.Array:
    """Integers of a column that has no nulls, in this order."""
    out = np.empty(len(order), np.int32 if kind.bit_width == _HALF else np.int64)
    _gather(column, order, out)
    return pa.Array.from_buffers(kind, len(order), [None, pa.py_buffer(out)], 0)


def integers(column: Ints, order: Ints, none: Number, used: Bytes = _NOBODY_ASKS) -> pa.Int32Array:
    """As int32 in this order, null where they are `none` or below. `used`: gets 1 for each number that comes."""
    out = np.empty(len(order), np.int32)
    missing = _gather_some(column, order, none, out, used)
    if missing == len(order):
        return nothing(len(order), INT32)
    return pa.Array.from_buffers(INT32, len(order), [_valid(column, order, none) if missing else None, pa.py_buffer(out)], missing)


def coded(column: Ints, texts: pa.StringArray, order: Ints) -> pa.DictionaryArray:
    """Numbers of texts, null where negative, without texts that no row has, as of records that were left halfway: a file keeps all of a dictionary, and
    they may be what must not be kept."""
    if not len(texts):
        return nothing(len(order), CODED)
    used = np.zeros(len(texts), np.uint8)
    codes = integers(column, order, -1, used)
    if not used.all():
        places = np.cumsum(used, dtype=np.int64) - 1
        codes, texts = integers(np.where(column < 0, -1, places[column]), order, -1), texts.filter(pa.array(used.view(np.bool_)))
    return pa.DictionaryArray.from_arrays(codes, texts) if len(texts) else nothing(len(order), CODED)


def hexed(data: Bytes, starts: Ints, order: Ints, length: Number) -> pa.StringArray:
    """Ids of `length` bytes in hex, in this order, null where there is none."""
    words, ends = np.empty(len(order) * length >> 2, np.uint64), np.zeros(len(order) + 1, np.int32)
    there = _hex(data, starts, order, length, (words, ends)) * 4 // length
    valid = _valid(starts, order, -1) if there < len(order) else None
    return pa.StringArray.from_buffers(len(order), pa.py_buffer(ends), pa.py_buffer(words), valid, len(order) - there)


def offsets_of(ends: Ints) -> pa.Int32Array:
    """Offsets of lists that end there, one after the other from 0."""
    return pa.array(np.concatenate([np.zeros(1, np.int32), ends.astype(np.int32)]))


def views(items: Ints, buffers: list[pa.Buffer]) -> pa.Array:
    """The values of items as string views; `buffers`: what they point into."""
    null = items[:, I_KEY] < 0
    nulls = int(null.sum())
    valid = pa.py_buffer(np.packbits(~null, bitorder="little")) if nulls else None
    return pa.Array.from_buffers(pa.string_view(), len(items), [valid, pa.py_buffer(items[:, I_LOW : I_HIGH + 1].copy()), *buffers], nulls)


def maps(items: Ints, ends: Ints, keys: pa.StringArray, buffers: list[pa.Buffer]) -> pa.MapArray:
    """Maps of items, of schemas.table.HELD_ATTRIBUTES; `buffers`: what the views point into."""
    codes, null = items[:, I_KEY], items[:, I_KEY] < 0
    if null.any():
        codes = np.where(null, codes - NULL_KEY, codes)
    coded_keys = coded(codes, keys, np.arange(len(codes)))
    return pa.MapArray.from_arrays(offsets_of(ends), coded_keys, views(items, buffers))


@compiled
def _size_of_items(items: Ints) -> Number:
    """How many bytes their values have."""
    size = np.int64(0)
    for item in range(len(items)):
        size += items[item, I_LOW] & 0xFFFFFFFF
    return size


@compiled
def _copy_items(items: Ints, sources: tuple[Bytes, Bytes, Bytes], taken: tuple[Offsets, Offsets, Bytes, Bytes, Bytes]) -> Number:
    """Numbers of keys, and the texts behind one another: those that a view holds itself out of it, others out of their source. `taken` has room for a view
    more; which keys come is marked in it, and which values are null. How many are."""
    codes, text_ends, out, used, null = taken
    data, digits, spelled = sources
    end, nulls = np.int64(0), np.int64(0)
    for item in range(len(items)):
        low, high, key = items[item, I_LOW], items[item, I_HIGH], items[item, I_KEY]
        length = low & 0xFFFFFFFF
        if key < 0:
            key -= NULL_KEY
            null[item] = 1
            nulls += 1
        codes[item] = key
        used[key] = 1
        if length <= _INLINE:
            for byte in range(4):
                out[np.uint64(end + byte)] = low >> (32 + 8 * byte) & 0xFF
            for byte in range(8):
                out[np.uint64(end + 4 + byte)] = high >> (8 * byte) & 0xFF
        elif high & 0xFFFFFFFF == 0:
            copy_bytes(data, high >> 32, out, end, length)
        elif high & 0xFFFFFFFF == 1:
            copy_bytes(digits, high >> 32, out, end, length)
        else:
            copy_bytes(spelled, high >> 32, out, end, length)
        end += length
        text_ends[item + 1] = end
    return nulls


def stored_maps(items: Ints, ends: Ints, keys: pa.StringArray, sources: Sources) -> pa.MapArray:
    """Maps of items, of schemas.table.STORED_ATTRIBUTES; `sources`: what the views point into. In the order of the walk: to take rows in another afterwards
    costs half of what looking up their values here and there does."""
    count, size = len(items), _size_of_items(items)
    codes, text_ends, out = np.empty(count, np.int32), np.zeros(count + 1, np.int32), np.empty(size + 2 * _INLINE, np.uint8)
    used, null = np.zeros(len(keys), np.uint8), np.zeros(count, np.uint8)
    nulls = _copy_items(items, sources, (codes, text_ends, out, used, null))
    valid = pa.py_buffer(np.packbits(null == 0, bitorder="little")) if nulls else None
    values = pa.StringArray.from_buffers(count, pa.py_buffer(text_ends), pa.py_buffer(out[:size]), valid, nulls)
    if not used.all():
        codes, keys = (np.cumsum(used, dtype=np.int32) - 1)[codes].astype(np.int32), keys.filter(pa.array(used.view(np.bool_)))
    return pa.MapArray.from_arrays(offsets_of(ends), pa.DictionaryArray.from_arrays(pa.array(codes), keys), values)


def plain_maps(held: pa.MapArray) -> pa.MapArray:
    """The same as schemas.table.ATTRIBUTES."""
    return pa.MapArray.from_arrays(held.offsets, held.keys.cast(STRING), held.items.cast(STRING))
