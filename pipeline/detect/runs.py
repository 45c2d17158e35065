"""Rows in a row: how long observations of a series were true one after the other.

In: observations of the panes that a window closed. Out: the longest run of each row that reached into the window. Never: a loop over observations.
"""

import numpy as np
import numpy.typing as npt

from tracebraid.pipeline.detect.axis import Bools, Floats
from tracebraid.pipeline.detect.panes import Store

Carry = npt.NDArray[np.int32]


def longest_runs(store: Store, end_us: int, since_us: int, mine: Bools, carry: Carry) -> Floats:
    """float64, an element a row of the axis: NaN without observations. `carry`: run of each row at the end of what came before; moved on in place.

    mine: rows whose window it is. Observations lie in the order of (event time, partition, offset, index).
    """
    found = np.full(store.axis.capacity, np.nan)
    parts = [part for pane in store.window(end_us, end_us - since_us) for part in pane.observations]
    if not parts:
        return found
    row, time_us, partition, offset, index, true = np.concatenate(parts, axis=1)
    order = np.lexsort((index, offset, partition, time_us, row))
    order = order[mine[row[order]]]
    row, holds = row[order], true[order].astype(bool)
    if not row.size:
        return found
    place = np.arange(len(row))
    starts = np.flatnonzero(np.r_[True, row[1:] != row[:-1]])
    start = np.repeat(starts, np.diff(np.r_[starts, len(row)]))
    broken = np.maximum.accumulate(np.where(holds, -1, place))
    run = np.where(holds, place - np.where(broken >= start, broken, start - 1 - carry[row]), 0)
    found[row[starts]] = np.maximum.reduceat(run, starts)
    carry[row[starts]] = run[np.r_[starts[1:] - 1, len(row) - 1]]
    return found
