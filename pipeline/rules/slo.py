"""A service level objective → burn rates over several windows, and what is left of the error budget.

In: a rule with an slo. Out: a truth over series. Never: more than its longest window of history.

Source: The Site Reliability Workbook (Google, 2018), chapter 5, "Multiwindow, Multi-Burn-Rate Alerts": its table of recommended windows
spends 2 % of a 30-day budget in 1 h, 5 % in 6 h, 10 % in 3 d, each with a short window of a twelfth of the long one.
"""

from collections.abc import Callable, Sequence

import numpy as np

from tracebraid.pipeline.rules.aggregates import Aggregates, Number, divide
from tracebraid.pipeline.rules.program import Comparison, Floats, Input
from tracebraid.pipeline.rules.series import Truth, combined, compared
from tracebraid.pipeline.rules.syntax import Node
from tracebraid.pipeline.rules.text import number, quantity
from tracebraid.pipeline.rules.units import Quantity
from tracebraid.schemas.rule import HOUR_US, MINUTE_US, BurnWindow, Slo

DAY_US = 24 * HOUR_US
DEFAULT_WINDOWS = (
    BurnWindow(14.4, HOUR_US, 5 * MINUTE_US),
    BurnWindow(6.0, 6 * HOUR_US, 30 * MINUTE_US),
    BurnWindow(1.0, 3 * DAY_US, 6 * HOUR_US),
)
DEFAULT_PERIOD_US = 30 * DAY_US


def burning(slo: Slo, good: Node, aggregates: Aggregates) -> tuple[Truth, Callable[[Sequence[Floats]], list[Comparison]]]:
    """Truth: some window's long and short burn rates both pass its factor. Beside it what tells of the budget."""
    condition = aggregates.condition(good)
    rates = {us: _burn_rate(slo, condition, us, good, aggregates) for window in slo.windows for us in (window.long_us, window.short_us)}
    truth = combined("or", [_both(window, rates) for window in slo.windows])
    longest = max(window.long_us for window in slo.windows)

    def budget(values: Sequence[Floats]) -> list[Comparison]:
        left = 1.0 - rates[longest].compute(values) * (longest / slo.period_us)
        text = f"error budget of {duration(slo.period_us)} left, by the last {duration(longest)}"
        return [Comparison(text, "1", left, np.zeros_like(left), np.where(np.isnan(left), -1, left <= 0).astype(np.int8))]

    return truth, budget


def _both(window: BurnWindow, rates: dict[int, Number]) -> Truth:
    factor = Number(lambda _: np.asarray(window.factor), Quantity("", number(window.factor)), constant=window.factor)
    return combined(
        "and", [compared(f"burn rate over {duration(us)} > {number(window.factor)}", ">", rates[us], factor) for us in (window.long_us, window.short_us)]
    )


def _burn_rate(slo: Slo, condition: int, window_us: int, node: Node, aggregates: Aggregates) -> Number:
    """Share of rows that are not good, as a multiple of the share that may be so."""
    good = aggregates.take(aggregates.own, Input(0, "condition", window_us, condition), node)
    whole = aggregates.take(aggregates.own, Input(0, "count", window_us), node)
    allowed = 1.0 - slo.objective
    return Number(lambda values: (1.0 - divide(good.compute(values), whole.compute(values))) / allowed, Quantity(""), measure=good.measure)


def duration(us: int) -> str:
    """3d, 6h, 90s."""
    return quantity(us * 1000.0, "ns")
