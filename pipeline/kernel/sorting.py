"""The order of rows by an id and a number, where most of them are in that order already.

In: a column of texts, one of integers, each of any nulls. Out: the places of rows, ascending, nulls last, equal ones as they were. Never: an id compared as a
text unless eight of its bytes are another row's, too.

Batches come in the order of their ids. Numpy's sort finds such runs and merges them, in a quarter of the time that Arrow takes to sort two columns at once.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.kernel.compiled import compiled

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]
Number = Any  # an integer of 64 bits
_KEY_BYTES = 8  # of an id, that its key holds
_ALIKE_MAX = 24  # bytes at the beginning of all ids that are left out of it
_STEPS_PER_ROW = 32  # so many rows of one id are moved by one another at most, on the average; beyond it Arrow sorts


def order_by(ids: pa.StringArray, numbers: pa.Array) -> Ints:
    """`numbers`: of a type of 64 bits."""
    count = len(ids)
    if not count:
        return np.empty(0, np.int64)
    _, offsets, data = ids.buffers()
    starts = np.frombuffer(offsets, np.int32)[ids.offset : ids.offset + count + 1]
    texts = np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8)
    values = np.frombuffer(numbers.buffers()[1], np.int64)[numbers.offset : numbers.offset + count]
    null = _nulls(ids), _nulls(numbers)
    keys = np.empty(count, np.uint64)
    behind = _put_keys(texts, starts, null[0], keys)
    order: Ints = np.argsort(keys, kind="stable")
    if _settle((keys, values), (texts, starts, behind), null, order):
        return order
    rows = pa.record_batch([ids, numbers], names=["id", "number"])
    settled: Ints = pc.sort_indices(rows, [("id", "ascending"), ("number", "ascending")]).to_numpy().astype(np.int64)
    return settled


def _nulls(array: pa.Array) -> Bools:
    """Which are; none where none is."""
    found: Bools = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else np.empty(0, np.bool_)
    return found


@compiled
def _put_keys(texts: Bytes, starts: Offsets, null: Bools, keys: npt.NDArray[np.uint64]) -> Number:
    """Eight bytes of each id, from the first on in which any differ (ids of 64 bits are padded with zeros), as a number that compares as they do; what is
    shorter is filled with zeros. Where these bytes end."""
    first, alike = np.int64(-1), np.int64(_ALIKE_MAX)
    for row in range(len(keys)):
        if len(null) and null[row]:
            continue
        start = np.int64(starts[row])
        if first < 0:
            first = start
        alike, at = min(alike, np.int64(starts[row + 1]) - start), 0
        while at < alike and texts[start + at] == texts[first + at]:
            at += 1
        alike = np.int64(at)
    for row in range(len(keys)):
        key, start, behind = np.uint64(0), np.int64(starts[row]) + alike, np.int64(starts[row + 1])
        if len(null) and null[row]:
            key = np.uint64(0xFFFFFFFFFFFFFFFF)
        elif behind - start >= _KEY_BYTES:
            for byte in range(_KEY_BYTES):
                key = key << np.uint64(8) | np.uint64(texts[np.uint64(start + byte)])
        else:
            for byte in range(_KEY_BYTES):
                key = key << np.uint64(8) | np.uint64(texts[start + byte] if start + byte < behind else 0)
        keys[row] = key
    return alike + _KEY_BYTES


@compiled
def _before(values: Ints, texts: tuple[Bytes, Offsets, Number], null: tuple[Bools, Bools], one: Number, other: Number) -> bool:
    """Whether row `one`, whose key is that of `other`, goes before it."""
    null_ids, null_numbers = null
    if len(null_ids) and null_ids[one] != null_ids[other]:
        return bool(null_ids[other])
    if not len(null_ids) or not null_ids[one]:
        data, starts, behind = texts
        at, stop = starts[one] + behind, np.int64(starts[one + 1])
        to, end = starts[other] + behind, np.int64(starts[other + 1])
        while at < stop and to < end:
            if data[at] != data[to]:
                return bool(data[at] < data[to])
            at += 1
            to += 1
        if stop - at != end - to:
            return bool(stop - at < end - to)
    if len(null_numbers) and null_numbers[one] != null_numbers[other]:
        return bool(null_numbers[other])
    return bool((not len(null_numbers) or not null_numbers[one]) and values[one] < values[other])


@compiled
def _are_alike(texts: tuple[Bytes, Offsets, Number], one: Number, other: Number) -> bool:
    """Whether two ids with the same key, neither of them null, are the same."""
    data, starts, behind = texts
    at, to, left = starts[one] + behind, starts[other] + behind, starts[one + 1] - starts[one]
    if left != starts[other + 1] - starts[other]:
        return False
    left -= behind
    while left >= _KEY_BYTES:
        differ = False
        for byte in range(_KEY_BYTES):
            differ |= data[np.uint64(at + byte)] != data[np.uint64(to + byte)]
        if differ:
            return False
        at, to, left = at + _KEY_BYTES, to + _KEY_BYTES, left - _KEY_BYTES
    while left > 0:
        if data[at] != data[to]:
            return False
        at, to, left = at + 1, to + 1, left - 1
    return True


@compiled
def _settle(keyed: tuple[npt.NDArray[np.uint64], Ints], texts: tuple[Bytes, Offsets, Number], null: tuple[Bools, Bools], order: Ints) -> bool:
    """Put rows of equal keys in order, each by moving it before those that come after it. False where that would take long."""
    keys, values = keyed
    null_ids, null_numbers = null
    left, first, any_null = len(order) * _STEPS_PER_ROW, 0, len(null_ids) + len(null_numbers) > 0
    while first < len(order):
        behind, alike = first + 1, not any_null
        while behind < len(order) and keys[order[behind]] == keys[order[first]]:
            alike = alike and _are_alike(texts, order[first], order[behind])
            behind += 1
        for at in range(first + 1, behind):
            row, to = order[at], at
            if alike:  # of one trace, which is nearly always so
                value = values[row]
                while to > first and value < values[order[to - 1]]:
                    order[to] = order[to - 1]
                    to -= 1
            else:
                while to > first and _before(values, texts, null, row, order[to - 1]):
                    order[to] = order[to - 1]
                    to -= 1
            order[to] = row
            left -= at - to
            if left < 0:
                return False
        first = behind
    return True
