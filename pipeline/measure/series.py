"""The series of one measure in one process, as numbers; and the bound on how many there are.

In: label tuples and the pane they were seen in. Out: numbers, hashes, labels. Never: more than the measure's bound: what is past it is one series.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.series import OVERFLOW, series_hash, shard_hash

_IDLE_US = limits.series_idle_s * 1_000_000
_LOOK_US = _IDLE_US // 60
_OVERFLOW = 0  # its number


class Series:
    """Number 0 is the overflow series. A number stays its labels' until renew(), between two flushes."""

    def __init__(self, by: tuple[str, ...], bound: int) -> None:
        self.by, self.bound = by, bound
        self._looked_us = 0
        self._renew([])

    def _renew(self, kept: Iterable[tuple[tuple[str, ...], int]]) -> None:
        self._numbers: dict[tuple[str, ...], int] = {}
        self.labels: list[tuple[str, ...]] = [(OVERFLOW,) * len(self.by)]
        kept = list(kept)
        self._seen_us = np.array([0, *(seen_us for _, seen_us in kept)], np.int64)
        self._hashes = [series_hash(self.by, self.labels[0])]
        self._places = [shard_hash(self.by, self.labels[0])]
        for labels, _ in kept:
            self._add(labels)

    def _add(self, labels: tuple[str, ...]) -> int:
        number = self._numbers[labels] = len(self.labels)
        self.labels.append(labels)
        self._hashes.append(series_hash(self.by, labels))
        self._places.append(shard_hash(self.by, labels))
        return number

    def numbers(self, tuples: Sequence[tuple[str, ...]], seen_us: int) -> npt.NDArray[np.int64]:
        """The number of each tuple, which is there once; past the bound that of the overflow series. `seen_us`: event time of these rows, the latest."""
        known = self._numbers
        found = np.array([known.get(labels, -1) for labels in tuples], np.int64)
        for place in np.flatnonzero(found < 0).tolist():
            found[place] = self._add(tuples[place]) if len(known) < self.bound else _OVERFLOW
        if len(self.labels) > len(self._seen_us):
            self._seen_us = np.concatenate([self._seen_us, np.zeros(len(self.labels), np.int64)])
        self._seen_us[found] = np.maximum(self._seen_us[found], seen_us)
        return found

    def hashes(self) -> npt.NDArray[np.uint64]:
        """Of every number."""
        return np.array(self._hashes, np.uint64)

    def places(self) -> npt.NDArray[np.uint64]:
        """Of every number: what decides on its partition of the windows topic."""
        return np.array(self._places, np.uint64)

    def full(self) -> bool:
        return len(self._numbers) >= self.bound

    def make_room(self) -> None:
        """Between two flushes: where the bound is met, forget what was not seen for an hour of event time. Looked for once a minute of it: it costs."""
        newest = int(self._seen_us.max()) if self.full() else 0
        if newest < self._looked_us + _LOOK_US:
            return
        self._looked_us = newest
        seen_us = self._seen_us.tolist()
        kept = [number for number in range(1, len(self.labels)) if seen_us[number] > newest - _IDLE_US]
        if len(kept) < len(self._numbers):
            self._renew([(self.labels[number], seen_us[number]) for number in kept])
