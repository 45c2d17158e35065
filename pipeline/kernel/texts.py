"""Texts that lie one behind the other: rows of them taken, and of maps that hold them.

In: Arrow's arrays of strings, and maps of schemas.table.STORED_ATTRIBUTES. Out: the same with other rows. Never: a look at a text.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tracebraid.pipeline.kernel.compiled import compiled, inlined
from tracebraid.schemas.table import INT32

Ints = npt.NDArray[np.int64]
Offsets = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]
Number = Any  # an integer of 64 bits
_BLOCK = 8
_END_MAX = 2**31 - 1  # offsets are of 32 bits


@inlined
def _word(data: Bytes, at: Number) -> Number:
    word = np.uint64(0)
    for byte in range(_BLOCK):
        word |= np.uint64(data[np.uint64(at + byte)]) << np.uint64(8 * byte)
    return word


@inlined
def _put_word(out: Bytes, at: Number, word: Number) -> None:
    """After the whole word was read: byte by byte, each might change the next one, for all that a compiler knows, and nothing would be done at once."""
    for byte in range(_BLOCK):
        out[np.uint64(at + byte)] = word >> np.uint64(8 * byte) & np.uint64(0xFF)


@compiled
def copy_bytes(data: Bytes, start: Number, out: Bytes, place: Number, length: Number) -> None:
    """Eight at a time, the last eight a second time in part; never a byte before, or behind."""
    at = 0
    if length >= _BLOCK:
        while at + _BLOCK <= length:
            _put_word(out, place + at, _word(data, start + at))
            at += _BLOCK
        if at < length:
            _put_word(out, place + length - _BLOCK, _word(data, start + length - _BLOCK))
        return
    while at < length:
        out[np.uint64(place + at)] = data[np.uint64(start + at)]
        at += 1


@compiled
def _ends_of_texts(offsets: Offsets, rows: Ints, ends: Offsets) -> Number:
    """Where each row's text ends; how many bytes all have, which may be more than `ends` can say."""
    end = np.int64(0)
    for at in range(len(rows)):
        end += offsets[rows[at] + 1] - offsets[rows[at]]
        ends[at + 1] = end
    return end


@compiled
def _copy_texts(held: tuple[Offsets, Bytes], rows: Ints, taken: tuple[Offsets, Bytes]) -> None:
    offsets, data = held
    ends, out = taken
    for at in range(len(rows)):
        copy_bytes(data, offsets[rows[at]], out, ends[at], ends[at + 1] - ends[at])


@compiled
def _take_bits(bits: Bytes, first: Number, rows: Ints, out: Bytes) -> Number:
    """Bits of validity, `first` of which belong to others; how many are not set."""
    missing = 0
    for at in range(len(rows)):
        place = first + rows[at]
        if bits[place >> 3] >> (place & 7) & 1:
            out[at >> 3] |= np.uint8(1 << (at & 7))
        else:
            missing += 1
    return missing


def bits_at(array: pa.Array, rows: Ints) -> tuple[pa.Buffer | None, int]:
    """Validity of these rows, and how many are null."""
    if not array.null_count:
        return None, 0
    out = np.zeros(len(rows) + 7 >> 3, np.uint8)
    missing = _take_bits(np.frombuffer(array.buffers()[0], np.uint8), array.offset, rows, out)
    return pa.py_buffer(out), missing


def take_texts(texts: pa.StringArray, rows: Ints) -> pa.StringArray:
    """The texts of these rows."""
    offsets, data = _parts(texts)
    ends = np.zeros(len(rows) + 1, np.int32)
    out = _room(_ends_of_texts(offsets, rows, ends))
    _copy_texts((offsets, data), rows, (ends, out))
    valid, missing = bits_at(texts, rows)
    return pa.StringArray.from_buffers(len(rows), pa.py_buffer(ends), pa.py_buffer(out), valid, missing)


def _room(size: int) -> Bytes:
    """For so many bytes of texts. Raises OverflowError where Arrow's offsets do not reach their end: a few rows may repeat a large resource so."""
    if size > _END_MAX:
        raise OverflowError(f"{size} bytes of texts in a column, of which there may be {_END_MAX}")
    return np.empty(size, np.uint8)


def _parts(texts: pa.StringArray) -> tuple[Offsets, Bytes]:
    _, offsets, data = texts.buffers()
    if not len(texts):
        return np.zeros(1, np.int32), np.empty(0, np.uint8)
    return np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1], np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8)


@compiled
def _ends_of_maps(offsets: Offsets, text_offsets: Offsets, rows: Ints, ends: Offsets) -> Number:
    """Where each row's items end; how many bytes their texts have."""
    items, size = np.int64(0), np.int64(0)
    for at in range(len(rows)):
        first, behind = offsets[rows[at]], offsets[rows[at] + 1]
        items += behind - first
        size += text_offsets[behind] - text_offsets[first]
        ends[at + 1] = items
    return size


@compiled
def _copy_maps(held: tuple[Offsets, Offsets, Offsets, Bytes], rows: Ints, taken: tuple[Offsets, Offsets, Bytes], places: Ints) -> None:
    """Items of a row lie behind one another, and so do their texts. `places`: of each item taken, where it was; empty where nobody asks."""
    offsets, codes, text_offsets, data = held
    taken_codes, text_ends, out = taken
    to, end, ask = np.int64(0), np.int64(0), len(places) > 0
    for at in range(len(rows)):
        first, behind = np.int64(offsets[rows[at]]), np.int64(offsets[rows[at] + 1])
        start = np.int64(text_offsets[first])
        copy_bytes(data, start, out, end, text_offsets[behind] - start)
        for item in range(first, behind):
            taken_codes[to] = codes[item]
            text_ends[to + 1] = end + text_offsets[item + 1] - start
            if ask:
                places[to] = item
            to += 1
        end += text_offsets[behind] - start


def take_stored(maps: pa.MapArray, rows: Ints) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Offsets, keys and values of these rows' maps."""
    offsets, keys, items = maps.offsets.to_numpy(), maps.keys, maps.items
    text_offsets, data = _parts(items)
    ends = np.zeros(len(rows) + 1, np.int32)
    size = _ends_of_maps(offsets, text_offsets, rows, ends)
    count = int(ends[-1])
    codes, text_ends, out = np.empty(count, np.int32), np.zeros(count + 1, np.int32), _room(size)
    places = np.empty(count if items.null_count else 0, np.int64)
    _copy_maps((offsets, keys.indices.to_numpy(), text_offsets, data), rows, (codes, text_ends, out), places)
    valid, missing = bits_at(items, places)
    values = pa.StringArray.from_buffers(count, pa.py_buffer(text_ends), pa.py_buffer(out), valid, missing)
    return pa.array(ends), pa.DictionaryArray.from_arrays(pa.array(codes, INT32), keys.dictionary), values
