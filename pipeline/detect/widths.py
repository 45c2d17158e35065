"""How wide a window a sparse series needs, and what it then holds: 1, 5, 15 or 60 windows, whichever first holds enough rows.

In: a measure's store, rows that the plain window does not satisfy. Out: the width of each row, and which panes count for it. Never: a loop over series.

Of what is older than five windows only sparse stretches count: panes that end five windows with fewer than `enough` rows. Others would speak for a
time when the series was busy, and would have to be kept for every series.
"""

from dataclasses import dataclass

import numpy as np

from tracebraid.pipeline.detect.axis import Bools, Ints
from tracebraid.pipeline.detect.panes import Store

WIDTHS = (1, 5, 15, 60)
PANES_MAX = 360  # a width of more panes than this is left out
TOO_SPARSE = 0  # the width of a row that no width satisfies


@dataclass(frozen=True, slots=True)
class Widened:
    """width: of each row, TOO_SPARSE where none holds enough. starts: panes, the latest first; counts: bool [panes, rows], within the widest."""

    width: Ints
    starts: list[int]
    counts: Bools


def usable(base: int) -> tuple[int, ...]:
    """Widths for windows of `base` panes."""
    return tuple(width for width in WIDTHS if width == 1 or width * base <= PANES_MAX)


def widen(store: Store, end_us: int, base: int, enough: int, rows: Ints) -> Widened:
    """base: panes of the rule's window."""
    widths = usable(base)
    panes = widths[-1] * base
    starts = [end_us - (age + 1) * store.pane_us for age in range(panes)]
    held = np.zeros((panes + 5 * base, len(rows)), np.int32)
    for age in range(panes + 5 * base):
        pane = store.panes.get(end_us - (age + 1) * store.pane_us)
        if pane is not None:
            held[age] = store.values(pane, ("count", 0), rows)
    return _widened(held, base, enough, widths, starts)


def _widened(held: "np.ndarray[tuple[int, int], np.dtype[np.int32]]", base: int, enough: int, widths: tuple[int, ...], starts: list[int]) -> Widened:
    upto = np.concatenate((np.zeros((1, held.shape[1]), np.int64), np.cumsum(held, axis=0, dtype=np.int64)))
    panes = len(starts)
    five = upto[5 * base : 5 * base + panes] - upto[:panes]  # of the five windows that end with each pane
    counts = five < enough
    counts[: 5 * base] = True
    within = np.cumsum(np.where(counts, held[:panes], 0), axis=0, dtype=np.int64)
    width = np.full(held.shape[1], TOO_SPARSE)
    for each in reversed(widths):
        width[within[each * base - 1] >= enough] = each
    return Widened(width, starts, counts)
