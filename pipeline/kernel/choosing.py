"""The largest few of each group, in one pass.

In: values, and groups that are ascending. Out: which rows. Never: a sort, or more than a few comparisons a row.
"""

import numpy as np
import numpy.typing as npt

from tracebraid.pipeline.kernel.compiled import compiled

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@compiled
def choose_largest(candidates: Bools, values: Floats, groups: Ints, most: int, chosen: Bools) -> None:
    """Set `chosen` for the `most` largest values of each group among the candidates; of equal ones the earlier rows. Values are numbers, none is NaN."""
    start = 0
    while start < len(groups):
        end = start + 1
        while end < len(groups) and groups[end] == groups[start]:
            end += 1
        for _ in range(min(most, end - start)):
            best = -1
            for row in range(start, end):
                if candidates[row] and (best < 0 or values[row] > values[best]):
                    best = row
            if best < 0:
                break
            candidates[best] = False
            chosen[best] = True
        start = end
