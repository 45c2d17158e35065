"""The series of one `by`, as row numbers that all arrays of detect share.

In: series hashes with the partition ("shard") of the windows topic they came by, and their labels. Out: row numbers. Never: a Python loop over series that
are known. A number that was freed is given again: whoever holds arrays clears it before.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint64]
Labels = tuple[str, ...]
NEVER = int(np.iinfo(np.int64).min)
FREE = -1  # the shard of a row that nobody has
_CAPACITY_MIN = 64


def fitted(array: npt.NDArray[Any], capacity: int, fill: object) -> npt.NDArray[Any]:
    """`array`, or a longer copy of it with `fill` behind, where it is shorter than `capacity`."""
    if len(array) >= capacity:
        return array
    longer = np.full(capacity, fill, array.dtype)
    longer[: len(array)] = array
    return longer


class Axis:
    """`bound`: series a shard; what is past it is one series, whose labels say so and name the shard, so that no two shards speak for one series."""

    def __init__(self, by: tuple[str, ...], bound: int) -> None:
        self.by, self.bound = by, bound
        self.capacity = 0
        self.hash: Hashes = np.empty(0, np.uint64)
        self.shard = np.empty(0, np.int32)
        self.labels: npt.NDArray[np.object_] = np.empty(0, np.object_)
        self.seen_us: Ints = np.empty(0, np.int64)  # end of the latest pane that holds something of it
        self.overflowed = 0  # series that were not taken
        self._free: Ints = np.empty(0, np.int64)  # ascending from the end: the lowest is given first
        self._sorted: Hashes = np.empty(0, np.uint64)
        self._row: Ints = np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self._row)

    def rows(self, hashes: Hashes, shards: Ints, labels: Callable[[Ints], Sequence[Labels]]) -> Ints:
        """The row of each entry; new ones get one. `labels`: of entries, by their places; asked for new series only."""
        found = self._find(hashes)
        if (new := np.flatnonzero(found < 0)).size:
            distinct, first = np.unique(hashes[new], return_index=True)
            self._add(distinct, shards[new[first]], labels(new[first]))
            found[new] = self._find(hashes[new])
            if (past := np.flatnonzero(found < 0)).size:
                found[past] = self._overflow(shards[past])
        return found

    def placed(self, hashes: Hashes, shard: int, labels: Sequence[Labels]) -> Ints:
        """Rows for series of a snapshot, all distinct and ascending, whatever the bound is now."""
        new = self._find(hashes) < 0
        self._put(hashes[new], np.full(int(new.sum()), shard, np.int64), [each for each, one in zip(labels, new.tolist(), strict=True) if one])
        return self._find(hashes)

    def held(self, shards: Ints | None = None) -> Ints:
        """Rows in use, ascending; of `shards` only where these are given."""
        return np.flatnonzero(self.shard != FREE if shards is None else np.isin(self.shard, shards))

    def drop(self, rows: Ints) -> None:
        keep = ~np.isin(self._row, rows)
        self._sorted, self._row = self._sorted[keep], self._row[keep]
        self.shard[rows] = FREE
        self.labels[rows] = None
        self.seen_us[rows] = NEVER
        self._free = np.sort(np.concatenate((self._free, rows)))[::-1]

    def named(self, row: int) -> dict[str, str]:
        return dict(zip(self.by, self.labels[row], strict=True))

    def _find(self, hashes: Hashes) -> Ints:
        if not len(self._sorted):
            return np.full(len(hashes), -1, np.int64)
        at = np.minimum(np.searchsorted(self._sorted, hashes), len(self._sorted) - 1)
        return np.where(self._sorted[at] == hashes, self._row[at], -1)

    def _add(self, hashes: Hashes, shards: Ints, labels: Sequence[Labels]) -> None:
        room = self.bound - np.bincount(self.shard[self.shard != FREE], minlength=int(shards.max()) + 1)
        order = np.argsort(shards, kind="stable")
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order)) - np.searchsorted(shards[order], shards[order])
        fits = rank < room[shards]
        self.overflowed += int((~fits).sum())
        self._put(hashes[fits], shards[fits], [each for each, fit in zip(labels, fits.tolist(), strict=True) if fit])

    def _put(self, hashes: Hashes, shards: Ints, labels: Sequence[Labels]) -> None:
        if len(hashes) > len(self._free):
            self._grow(max(_CAPACITY_MIN, 2 * self.capacity, self.capacity + len(hashes)))
        rows, self._free = self._free[len(self._free) - len(hashes) :][::-1], self._free[: len(self._free) - len(hashes)]
        self.hash[rows], self.shard[rows] = hashes, shards
        for row, each in zip(rows.tolist(), labels, strict=True):
            self.labels[row] = each
        at = np.searchsorted(self._sorted, hashes)
        self._sorted, self._row = np.insert(self._sorted, at, hashes), np.insert(self._row, at, rows)

    def _grow(self, capacity: int) -> None:
        self._free = np.concatenate((np.arange(capacity - 1, self.capacity - 1, -1), self._free))
        for name, fill in (("hash", 0), ("shard", FREE), ("labels", None), ("seen_us", NEVER)):
            setattr(self, name, fitted(getattr(self, name), capacity, fill))
        self.capacity = capacity

    def _overflow(self, shards: Ints) -> Ints:
        """The row of each shard's own overflow series, beside its bound."""
        distinct, inverse = np.unique(shards, return_inverse=True)
        hashes = np.uint64(0xFFFFFFFFFFFFFFFF) - distinct.astype(np.uint64)
        if (new := np.flatnonzero(self._find(hashes) < 0)).size:
            labels = [(f"(other, partition {shard})",) * len(self.by) for shard in distinct[new].tolist()]
            order = np.argsort(hashes[new])
            self._put(hashes[new][order], distinct[new][order], [labels[place] for place in order.tolist()])
        return self._find(hashes)[inverse.reshape(-1)]
