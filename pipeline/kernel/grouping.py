"""Rows of equal keys as groups, and what their values come to, without a sort of the rows.

In: a key a row; values, and the group of each row. Out: numbers from 0, sums and extremes. Never: an order of rows that matters, but where a sum would not be
exact: then it says so.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from tracebraid.pipeline.kernel.compiled import compiled, inlined

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Moments = tuple[Ints, Ints, Ints]  # time, offset, index: in this order they say which of two rows is the earlier
Number = Any  # an integer of 64 bits
_EXACT_MAX = 2.0**53  # whole numbers up to it, and sums of them, are exact in whatever order
_MIX = np.uint64(0x9E3779B97F4A7C15)
_STEPS_MAX = 8  # past slots that are taken, for each there is; usual is a quarter of one


def numbered(keys: Ints) -> tuple[Ints, Ints]:
    """(row → number of its key, number → the first row that has it): keys are numbered as they come."""
    room = 1 << max(4, (2 * len(keys) - 1).bit_length())
    numbers, first = np.empty(len(keys), np.int64), np.empty(len(keys), np.int64)
    count = _number(keys, (np.full(room, -1, np.int32), np.empty(room, np.int64)), first, numbers)
    return (numbers, first[:count]) if count >= 0 else _sorted(keys)


def _sorted(keys: Ints) -> tuple[Ints, Ints]:
    """The same by a sort, for keys that meet in few slots: who writes rows may choose them so, and each would pass all before it."""
    _, first, numbers = np.unique(keys, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[numbers.reshape(-1)], np.sort(first)


@compiled
def _number(keys: Ints, table: tuple[npt.NDArray[np.int32], Ints], first: Ints, numbers: Ints) -> Number:
    """How many keys there are, -1 where looking for them takes too long. table: which number lies in each slot, or -1, and its key; the slots are a power of
    two, at least twice the rows."""
    slots, held = table
    count, mask, left = np.int64(0), np.uint64(len(slots) - 1), _STEPS_MAX * len(slots)
    for row in range(len(keys)):
        key = keys[row]
        mixed = np.uint64(key) * _MIX
        at = np.int64((mixed ^ mixed >> np.uint64(32)) & mask)
        while slots[at] >= 0 and held[at] != key:
            at = np.int64(np.uint64(at + 1) & mask)
            left -= 1
        if left < 0:
            return np.int64(-1)
        if slots[at] < 0:
            slots[at], held[at], first[count] = count, key, row
            count += 1
        numbers[row] = slots[at]
    return count


@inlined
def is_earlier(moments: Moments, one: Number, other: Number) -> bool:
    """Whether row `one` lies before row `other`."""
    times, offsets, indexes = moments
    if times[one] != times[other]:
        return bool(times[one] < times[other])
    if offsets[one] != offsets[other]:
        return bool(offsets[one] < offsets[other])
    return bool(indexes[one] < indexes[other])


@compiled
def add_up(values: Floats, groups: Ints, moments: Moments, counts: tuple[Ints, Ints], found: tuple[Floats, Floats, Floats]) -> bool:
    """Into counts, how many values each group has, and the row of the latest; into found, sum, least and most, all of them 0 before. NaN is no value. Whether
    the sums are exact; else they are those of the rows in the order in which they came."""
    n, last = counts
    sums, least, most = found
    exact = True
    for row in range(len(values)):
        value, group = values[row], groups[row]
        if np.isnan(value):
            continue
        if n[group] == 0:
            last[group], least[group], most[group] = row, value, value
        else:
            least[group], most[group] = min(least[group], value), max(most[group], value)
            if is_earlier(moments, last[group], row):
                last[group] = row
        n[group] += 1
        sums[group] += value
        exact = exact and 0 <= value <= _EXACT_MAX and float(np.int64(value)) == value
    for group in range(len(sums)):
        exact = exact and sums[group] <= _EXACT_MAX
    return exact
