"""Columns as batches hold them between stages: what repeats as numbers of a dictionary, values of maps as views into the bytes that arrived.

In: Arrow arrays and batches, held or plain. Out: the same values in the other form, or other rows of them. Never: a change of a value.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tracebraid.pipeline.kernel.compiled import compiled
from tracebraid.pipeline.kernel.grouping import numbered
from tracebraid.pipeline.kernel.texts import take_stored, take_texts
from tracebraid.schemas.table import CODED, HELD_ATTRIBUTES, INT32, STORED_ATTRIBUTES, STRING

Ints = npt.NDArray[np.int64]
_VIEW = 2  # words of a string view
_WORD = 8  # bytes of one
_SHARED_BYTES_MAX = 1024  # of a dictionary that costs less than to make one anew
_LOW, _ZEROS = np.uint64(0x7F7F7F7F7F7F7F7F), np.uint64(0x3030303030303030)
_FROM_0, _BEYOND_9, _FROM_A, _BEYOND_F = (np.uint64((0x80 - first) * 0x0101010101010101) for first in (0x30, 0x3A, 0x61, 0x67))


def plain(array: pa.Array) -> pa.Array:
    """CODED and views as strings, HELD_ATTRIBUTES and STORED_ATTRIBUTES as ATTRIBUTES; others as they are."""
    if array.type in (CODED, pa.string_view()):
        return array.cast(STRING)
    if array.type in (HELD_ATTRIBUTES, STORED_ATTRIBUTES):
        return pa.MapArray.from_arrays(_offsets(array), array.keys.cast(STRING), array.items.cast(STRING), mask=_nulls(array))
    return array


def as_held(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """`array` in the type that a table holds it in."""
    if array.type == kind:
        return array
    if kind == CODED:
        return array.dictionary_encode()
    if kind in (HELD_ATTRIBUTES, STORED_ATTRIBUTES):
        keys = array.keys if pa.types.is_dictionary(array.keys.type) else array.keys.dictionary_encode()
        return pa.MapArray.from_arrays(_offsets(array), keys, array.items.cast(kind.item_type), mask=_nulls(array))
    return plain(array)


def _offsets(maps: pa.MapArray) -> pa.Int32Array:
    """As an array that begins with itself: those of a slice do not, and Arrow takes no mask beside them."""
    return pa.array(maps.offsets.to_numpy())


def _nulls(maps: pa.MapArray) -> pa.BooleanArray | None:
    return maps.is_null() if maps.null_count else None


def constant(text: str, rows: int) -> pa.DictionaryArray:
    """One text in every row, as CODED."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([text], STRING))


@lru_cache(maxsize=8)
def nothing(rows: int, kind: pa.DataType) -> pa.Array:
    """Nulls. Half of a span's columns are nothing else in most batches: all of one length share their memory."""
    if kind == CODED:
        return pa.DictionaryArray.from_arrays(nothing(rows, INT32), pa.array([], STRING))
    return pa.nulls(rows, kind)


@lru_cache(maxsize=8)
def no_items(rows: int, of: pa.DataType) -> pa.ListArray:
    """Lists without items."""
    return pa.ListArray.from_arrays(pa.array(np.zeros(rows + 1, np.int32)), pa.array([], of), type=pa.list_(of))


@lru_cache(maxsize=8)
def no_pairs(rows: int, kind: pa.MapType) -> pa.MapArray:
    """Maps without keys."""
    return pa.MapArray.from_arrays(pa.array(np.zeros(rows + 1, np.int32)), pa.array([], kind.key_type), pa.array([], kind.item_type), type=kind)


def take_rows(batch: pa.RecordBatch, rows: Ints) -> pa.RecordBatch:
    """The rows at these places."""
    return pa.record_batch([take(column, rows) for column in batch.columns], schema=batch.schema)


def held_bytes(batch: pa.RecordBatch) -> int:
    """What its rows take in memory. Of a slice its own part, and once what columns without a value share, which are half of a span's."""
    found, seen = 0, set[tuple[int, ...]]()
    for column in batch.columns:
        shared = tuple(buffer.address for buffer in column.buffers() if buffer) if column.null_count == len(column) else ()
        found += 0 if shared in seen else column.nbytes
        seen |= {shared} if shared else set()
    return found


def slice_rows(batch: pa.RecordBatch, start: int, rows: int) -> pa.RecordBatch:
    """So many rows from `start` on. Where a dictionary is large beside them they get their own: each slice would be accounted for, redacted and written with
    the texts of all."""
    return pa.record_batch([_with_own(column) for column in batch.slice(start, rows).columns], schema=batch.schema)


def _with_own(array: pa.Array) -> pa.Array:
    if array.type == CODED:
        return _coded_anew(array)
    if array.type != STORED_ATTRIBUTES:
        return array
    offsets, keys = array.offsets.to_numpy(), array.keys
    first, behind = int(offsets[0]), int(offsets[-1])
    own = _coded_anew(keys.slice(first, behind - first))
    if len(own.dictionary) == len(keys.dictionary):
        return array
    return pa.MapArray.from_arrays(pa.array(offsets - offsets[0]), own, array.items.slice(first, behind - first), mask=_nulls(array))


def _coded_anew(coded: pa.DictionaryArray) -> pa.DictionaryArray:
    if coded.dictionary.nbytes <= max(_SHARED_BYTES_MAX, coded.indices.nbytes):
        return coded
    there = coded.is_valid().to_numpy(zero_copy_only=False)
    held = coded.indices.fill_null(0).to_numpy()[there].astype(np.int64)
    numbers, first = numbered(held)
    codes = np.zeros(len(coded), np.int32)
    codes[there] = numbers
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=None if there.all() else ~there), take(coded.dictionary, held[first]))


def take(array: pa.Array, rows: Ints) -> pa.Array:
    """The values at these places. Arrow has no way to take views, which maps hold; of the rest it takes 5 to 40 ns a value, this one to five."""
    kind = array.type
    special = _TAKES.get(kind)
    if special:
        return special(array, rows)
    if array.null_count == len(array) and not pa.types.is_nested(kind):
        return nothing(len(rows), kind)
    if pa.types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(take(array.indices, rows), array.dictionary)
    if (pa.types.is_list(kind) or pa.types.is_map(kind)) and not (len(array.values) or array.null_count):
        return no_items(len(rows), kind.value_type) if pa.types.is_list(kind) else no_pairs(len(rows), kind)
    if pa.types.is_primitive(kind) and not pa.types.is_boolean(kind):
        return _take_numbers(array, rows)
    return array.take(pa.array(rows))


def _take_numbers(array: pa.Array, rows: Ints) -> pa.Array:
    width = array.type.bit_width // 8
    numbers = np.frombuffer(array.buffers()[1], f"i{width}")[array.offset : array.offset + len(array)]
    valid, nulls = None, 0
    if array.null_count:
        there = array.is_valid().to_numpy(zero_copy_only=False)[rows]
        valid, nulls = pa.py_buffer(np.packbits(there, bitorder="little")), int(len(there) - there.sum())
    return pa.Array.from_buffers(array.type, len(rows), [valid, pa.py_buffer(numbers[rows])], nulls)


def _take_stored(maps: pa.MapArray, rows: Ints) -> pa.MapArray:
    null = _nulls(maps)
    mask = pa.array(null.to_numpy(zero_copy_only=False)[rows]) if null else None
    return pa.MapArray.from_arrays(*take_stored(maps, rows), mask=mask)


def _take_maps(maps: pa.MapArray, rows: Ints) -> pa.MapArray:
    offsets = maps.offsets.to_numpy()
    ends = np.zeros(len(rows) + 1, np.int32)
    np.cumsum(offsets[1:][rows] - offsets[:-1][rows], out=ends[1:])
    count = int(ends[-1])
    keys, items = maps.keys, maps.items
    buffers = items.buffers()
    views = np.frombuffer(buffers[1], np.int64)[_VIEW * items.offset :]
    codes, taken, valid = np.empty(count, np.int32), np.empty(_VIEW * count, np.int64), np.empty(0, np.bool_)
    if items.null_count:
        valid = np.empty(count, np.bool_)
        _take_valid(items.is_valid().to_numpy(zero_copy_only=False), offsets, rows, valid)
    _take_items((keys.indices.to_numpy(), views), offsets, rows, (codes, taken))
    bits = pa.py_buffer(np.packbits(valid, bitorder="little")) if len(valid) else None
    values = pa.Array.from_buffers(pa.string_view(), count, [bits, pa.py_buffer(taken), *buffers[2:]])
    null = _nulls(maps)
    mask = pa.array(null.to_numpy(zero_copy_only=False)[rows]) if null else None
    return pa.MapArray.from_arrays(pa.array(ends), pa.DictionaryArray.from_arrays(pa.array(codes, INT32), keys.dictionary), values, mask=mask)


@compiled
def _take_items(held: tuple[npt.NDArray[np.int32], Ints], offsets: npt.NDArray[np.int32], rows: Ints, out: tuple[npt.NDArray[np.int32], Ints]) -> None:
    codes, views = held
    taken_codes, taken_views = out
    to = 0
    for row in rows:
        for item in range(offsets[row], offsets[row + 1]):
            taken_codes[to] = codes[item]
            taken_views[2 * to], taken_views[2 * to + 1] = views[2 * item], views[2 * item + 1]
            to += 1


@compiled
def _take_valid(held: npt.NDArray[np.bool_], offsets: npt.NDArray[np.int32], rows: Ints, out: npt.NDArray[np.bool_]) -> None:
    to = 0
    for row in rows:
        for item in range(offsets[row], offsets[row + 1]):
            out[to] = held[item]
            to += 1


_TAKES: dict[pa.DataType, Callable[[pa.Array, Ints], pa.Array]] = {HELD_ATTRIBUTES: _take_maps, STORED_ATTRIBUTES: _take_stored, STRING: take_texts}


def texts_at(texts: pa.Array, places: Ints) -> pa.StringArray:
    """The texts at these places, null where one is below 0; of strings or views."""
    there = places >= 0
    if texts.type != pa.string_view():
        return texts.take(pa.array(places, mask=None if there.all() else ~there))
    return _views_at(texts, np.where(there, places, 0), there).cast(STRING) if there.any() else pa.nulls(len(places), STRING)


def views_where(texts: pa.Array, keep: npt.NDArray[np.bool_]) -> pa.Array:
    """The views of a string view array at which `keep` is true."""
    places = np.flatnonzero(keep)
    return _views_at(texts, places, np.ones(len(places), np.bool_))


def _views_at(texts: pa.Array, places: Ints, there: npt.NDArray[np.bool_]) -> pa.Array:
    if not len(places):
        return pa.array([], pa.string_view())
    buffers = texts.buffers()
    held = np.frombuffer(buffers[1], np.int64)[_VIEW * texts.offset : _VIEW * (texts.offset + len(texts))].reshape(-1, _VIEW)
    if texts.null_count:
        there = there & texts.is_valid().to_numpy(zero_copy_only=False)[places]
    nulls = int(len(there) - there.sum())
    bits = pa.py_buffer(np.packbits(there, bitorder="little")) if nulls else None
    return pa.Array.from_buffers(pa.string_view(), len(places), [bits, pa.py_buffer(held[places]), *buffers[2:]], nulls)


def one_batch(batches: Sequence[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    """All rows in one batch of `schema`, the held one of a table; batches may be plain."""
    return pa.record_batch([one_column(batches, field) for field in schema], schema=schema)


def one_column(batches: Sequence[pa.RecordBatch], field: pa.Field) -> pa.Array:
    """One column of all batches, in the type of `field`."""
    columns = [as_held(batch.column(field.name), field.type) for batch in batches]
    if field.type == CODED and all(column.null_count == len(column) for column in columns):
        return nothing(sum(map(len, columns)), CODED)
    return pa.concat_arrays(columns) if len(columns) > 1 else columns[0]


def is_id(ids: pa.StringArray, length: int) -> npt.NDArray[np.bool_]:
    """Whether each is a canonical id: so many lower-case hex digits, a multiple of eight, not all of them 0; true for null."""
    offsets = np.frombuffer(ids.buffers()[1], np.int32)[ids.offset : ids.offset + len(ids) + 1] if len(ids) else np.zeros(1, np.int32)
    data, found = ids.buffers()[2] if len(ids) else None, np.empty(len(ids), np.bool_)
    _are_ids(np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8), offsets, length, found)
    if ids.null_count:
        found |= ids.is_null().to_numpy(zero_copy_only=False)
    return found


@compiled
def _are_ids(data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int32], length: int, out: npt.NDArray[np.bool_]) -> None:
    """Eight digits at a time, by what is carried into the highest bit of each byte: from '0' on, beyond '9', from 'a' on, beyond 'f'."""
    for row in range(len(out)):
        start = np.int64(offsets[row])
        wrong, some = offsets[row + 1] - start != length, np.uint64(0)
        if not wrong:
            odd = np.uint64(0)
            for at in range(start, start + length, _WORD):
                word = np.uint64(0)
                for byte in range(_WORD):
                    word |= np.uint64(data[np.uint64(at + byte)]) << np.uint64(8 * byte)
                low = word & _LOW
                digit = (low + _FROM_0) & ~(low + _BEYOND_9) | (low + _FROM_A) & ~(low + _BEYOND_F)
                odd |= (word | ~digit) & ~_LOW
                some |= word ^ _ZEROS
            wrong = odd != 0
        out[row] = not wrong and some != 0
