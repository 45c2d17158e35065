"""The largest few of each group, in one pass.

In: values, and the group of each row. Out: which rows. Never: a sort of the rows, or more than a few comparisons a row.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from tracebraid.pipeline.kernel.compiled import compiled, inlined
from tracebraid.pipeline.kernel.grouping import Floats, Ints, Moments, is_earlier

Bools = npt.NDArray[np.bool_]
Number = Any  # an integer of 64 bits


@inlined
def _put(row: Number, into: Ints, place: tuple[Number, Number], values: Floats, moments: Moments) -> None:
    """Put a row among those from place[0] up to place[1], where it is larger than one of them: the smallest goes, and -1 is no row."""
    start, at = place
    value = values[row]
    while at > start:
        other = into[at - 1]
        if other >= 0 and not (value > values[other] or (value == values[other] and is_earlier(moments, row, other))):
            break
        if at < place[1]:
            into[at] = other
        at -= 1
    if at < place[1]:
        into[at] = row


@compiled
def choose_largest(candidates: tuple[Bools, Bools], values: Floats, groups: Ints, moments: Moments, chosen: tuple[Ints, Ints, Number]) -> None:
    """Of each group the `most` largest among the first candidates, and as many among those that are of the second, too; of equal ones the earlier.

    chosen: (2 x most places a group, most places a group, most), all -1 before: rows come into the first, the largest before the others, each once. No value
    is NaN.
    """
    first, second = candidates
    found, others, most = chosen
    for row in range(len(groups)):
        if first[row]:
            start = 2 * most * groups[row]
            _put(row, found, (start, start + most), values, moments)
            if second[row]:
                start = most * groups[row]
                _put(row, others, (start, start + most), values, moments)
    for start in range(0, len(others), most):
        for at in range(start, start + most):
            row, known = others[at], False
            for place in range(2 * start, 2 * start + most):
                known |= found[place] == row
            if row >= 0 and not known:
                _put(row, found, (2 * start, 2 * (start + most)), values, moments)
