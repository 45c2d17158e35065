"""Offset tables → Arrow arrays.

In: the bytes that were walked, and where things lie in them. Out: Arrow arrays; string views point into those bytes, which stay where they are. Never: a look
at a text.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tracebraid.pipeline.decode.walkers.memory import E_LENGTH, E_START, I_HIGH, I_KEY, I_LOW, NULL_KEY, Ints
from tracebraid.pipeline.decode.walkers.wire import Bytes, Number
from tracebraid.pipeline.kernel.compiled import compiled
from tracebraid.pipeline.kernel.held import nothing
from tracebraid.schemas.table import CODED, INT32, STRING

_DIGITS = np.frombuffer(bytes(range(256)).hex().encode(), np.uint16).copy()  # both digits of a byte at once


@compiled
def _copy(data: Bytes, starts: Ints, ends: npt.NDArray[np.int32], out: Bytes) -> None:
    for text in range(len(starts)):
        start, begin = starts[text], ends[text]
        for at in range(ends[text + 1] - begin):
            out[begin + at] = data[start + at]


@compiled
def _hex(data: Bytes, starts: Ints, length: Number, out: npt.NDArray[np.uint16]) -> None:
    """Two digits a byte; ids that are absent (-1) take no room."""
    to = 0
    for row in range(len(starts)):
        if starts[row] < 0:
            continue
        for at in range(length):
            out[to] = _DIGITS[data[starts[row] + at]]
            to += 1


def texts_of(entries: Ints, data: Bytes) -> pa.StringArray:
    """The texts of entries of one kind, by their numbers."""
    return slices(data, entries[:, E_START], entries[:, E_LENGTH])


def slices(data: Bytes, starts: Ints, lengths: Ints) -> pa.StringArray:
    ends = np.zeros(len(starts) + 1, np.int32)
    np.cumsum(lengths, out=ends[1:])
    out = np.empty(int(ends[-1]), np.uint8)
    _copy(data, np.ascontiguousarray(starts), ends, out)
    return pa.StringArray.from_buffers(len(starts), pa.py_buffer(ends), pa.py_buffer(out))


def by_id(data: Bytes, starts: Ints) -> Ints:
    """The order of rows by the first eight bytes of their ids; absent ones last."""
    keys = np.empty(len(starts), np.uint64)
    _prefixes(data, starts, keys)
    return np.argsort(keys, kind="stable")


@compiled
def _prefixes(data: Bytes, starts: Ints, out: npt.NDArray[np.uint64]) -> None:
    for row in range(len(starts)):
        key = np.uint64(0xFFFFFFFFFFFFFFFF)
        if starts[row] >= 0:
            key = np.uint64(0)
            for at in range(8):
                key = key << np.uint64(8) | np.uint64(data[starts[row] + at])
        out[row] = key


def coded(numbers: Ints, texts: pa.StringArray, order: Ints) -> pa.DictionaryArray:
    """Numbers of texts, null where negative."""
    numbers, texts = _used(numbers, texts)
    if not len(texts):
        return nothing(len(numbers), CODED)
    return pa.DictionaryArray.from_arrays(integers(numbers[order], -1), texts)


def _used(numbers: Ints, texts: pa.StringArray) -> tuple[Ints, pa.StringArray]:
    """The same without texts that no row has, as of records that were left halfway: a file keeps all of a dictionary, and they may be what must not be kept."""
    used = np.zeros(len(texts) + 1, np.bool_)  # the last one is for those that have none
    used[numbers] = True
    if used[:-1].all():
        return numbers, texts
    places = np.append(np.cumsum(used[:-1]) - 1, -1)
    return places[numbers], texts.filter(pa.array(used[:-1]))


def integers(numbers: Ints, none: Number) -> pa.Int32Array:
    """As int32, null where they are `none`."""
    null = numbers == none
    return pa.array(numbers.astype(np.int32), INT32, mask=null if null.any() else None)


def hexed(data: Bytes, starts: Ints, length: Number) -> pa.StringArray:
    """Ids of `length` bytes in hex, null where there is none."""
    starts = np.ascontiguousarray(starts)
    there = starts >= 0
    ends = np.zeros(len(starts) + 1, np.int32)
    np.cumsum(there * (2 * length), out=ends[1:], dtype=np.int32)
    out = np.empty(int(ends[-1]), np.uint8)
    _hex(data, starts, length, out.view(np.uint16))
    missing = int(len(there) - there.sum())
    valid = pa.py_buffer(np.packbits(there, bitorder="little")) if missing else None
    return pa.StringArray.from_buffers(len(starts), pa.py_buffer(ends), pa.py_buffer(out), valid, missing)


def offsets_of(ends: Ints) -> pa.Int32Array:
    """Offsets of lists that end there, one after the other from 0."""
    return pa.array(np.concatenate([np.zeros(1, np.int32), ends.astype(np.int32)]))


def views(items: Ints, buffers: list[pa.Buffer]) -> pa.Array:
    """The values of items as string views; `buffers`: what they point into."""
    null = items[:, I_KEY] < 0
    nulls = int(null.sum())
    valid = pa.py_buffer(np.packbits(~null, bitorder="little")) if nulls else None
    return pa.Array.from_buffers(pa.string_view(), len(items), [valid, pa.py_buffer(np.ascontiguousarray(items[:, I_LOW : I_HIGH + 1])), *buffers], nulls)


def maps(items: Ints, ends: Ints, keys: pa.StringArray, buffers: list[pa.Buffer]) -> pa.MapArray:
    """Maps of items, of schemas.table.HELD_ATTRIBUTES; `buffers`: what the views point into."""
    codes, null = items[:, I_KEY], items[:, I_KEY] < 0
    if null.any():
        codes = np.where(null, codes - NULL_KEY, codes)
    codes, keys = _used(codes, keys)
    return pa.MapArray.from_arrays(offsets_of(ends), pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32), INT32), keys), views(items, buffers))


def plain_maps(held: pa.MapArray) -> pa.MapArray:
    """The same as schemas.table.ATTRIBUTES."""
    return pa.MapArray.from_arrays(held.offsets, held.keys.cast(STRING), held.items.cast(STRING))
