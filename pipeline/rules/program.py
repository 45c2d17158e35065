"""A rule made runnable: what must be measured, which numbers of each window it takes, and its truth over arrays of series.

In: a Rule; then one float64 array an input, one element a series. Out: truth and comparisons. Never: a loop over series, state, a clock.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from tracebraid.pipeline.rules.measures import Measure
from tracebraid.schemas.rule import Rule

Floats = npt.NDArray[np.float64]
Truths = npt.NDArray[np.int8]
Kind = Literal["count", "errors", "missing", "condition", "quantile", "sum", "avg", "min", "max", "last", "run"]
TRUE, FALSE, UNKNOWN = 1, 0, -1


@dataclass(frozen=True, slots=True)
class Input:
    """One number of a window of a series.

    kind: 'count' rows, 'errors', 'missing' rows without trace id, 'condition' rows that fulfil Measure.conditions[index];
    'quantile' (of `quantile`, in (0, 1)), 'sum', 'avg', 'min', 'max', 'last' of Measure.columns[index];
    'run': the longest run of true observations that reached into the window, runs begun in earlier windows and going on counted whole; NaN without rows.
    window_us: length of the window; earlier_us: its end lies so much before the end of the window judged.
    rate: a count divided by the seconds of the window it was taken over (the wider one, where a series' window was widened).
    Its value is NaN without data. Counts of a window without rows are 0 as long as the series is known, and NaN before it was first seen.
    """

    measure_id: int
    kind: Kind
    window_us: int
    index: int = 0
    quantile: float = 0.0
    earlier_us: int = 0
    rate: bool = False


@dataclass(frozen=True, slots=True)
class BaselineSpec:
    """One `baseline(…)`. text: its expression; unit: of it; floor: absolute, in that unit; direction: which side of the band the rule looks at.

    min_count: rows of measure `measure_id` that a window needs to be judged; 0 where the expression is made of counts alone, which are their own sample.
    """

    text: str
    unit: str
    measure_id: int
    sensitivity: float
    floor: float
    min_count: int
    direction: Literal["high", "low", "both"]


@dataclass(frozen=True, slots=True)
class Band:
    """What a baseline says of each series.

    low, high: edges in the measure's unit, NaN or infinite while not learned. severity: 1 at the edge. reason: a code of the baseline's.
    """

    low: Floats
    high: Floats
    severity: npt.NDArray[np.floating]
    reason: Truths


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison of a condition over all series. unit: 'ns', 'By', '1/s', '1' (a share) or '' (a plain number). truth: 1, 0, −1 as in Verdict.

    threshold: for a baseline the edge of the band that was passed, else the nearer one that could be. band, baseline: for a comparison with one, and which.
    """

    text: str
    unit: str
    value: Floats
    threshold: Floats
    truth: Truths
    band: Band | None = None
    baseline: int = -1


@dataclass(frozen=True, slots=True)
class Verdict:
    """truth: int8 a series: 1 true, 0 false, −1 no data. Unknown alone because a band is not learned yet is false."""

    truth: Truths
    comparisons: list[Comparison]


Evaluate = Callable[[Sequence[Floats], Sequence[Band]], Verdict]
Observe = Callable[[Sequence[Floats]], Floats]


@dataclass(frozen=True)
class Program:
    """A compiled rule. inputs refer to measures by id; evaluate and observe take one array an input, in that order.

    early: rows that come can only make it truer, so that it may fire before its window ends. unit: of the first comparison's value.
    """

    rule: Rule
    measures: tuple[Measure, ...]
    inputs: tuple[Input, ...]
    baselines: tuple[BaselineSpec, ...]
    early: bool
    unit: str
    run: Evaluate = field(repr=False, compare=False)
    observers: tuple[Observe, ...] = field(default=(), repr=False, compare=False)

    def observe(self, baseline: int, values: Sequence[Floats]) -> Floats:
        """The value that the baseline of that index learns and judges, a series each; NaN without data."""
        return self.observers[baseline](values)

    def evaluate(self, values: Sequence[Floats], bands: Sequence[Band] = ()) -> Verdict:
        """values: one array an input; bands: one a baseline."""
        return self.run(values, bands)
