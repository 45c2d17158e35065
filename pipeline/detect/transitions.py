"""Changes of alerts as values of their own, one a change: the only place where detect makes Python objects, and only of series that changed.

In: changes of rows, what was compared. Out: Transition. Never: text of a message; schemas.alert gives it its form.
"""

import hashlib
import json
import math
from dataclasses import dataclass

from tracebraid.pipeline.detect.axis import Axis, Floats, Ints
from tracebraid.pipeline.detect.baseline import REASONS as BAND_REASONS
from tracebraid.pipeline.detect.lifecycle import CONDITION, FIRING, FOR_ELAPSED, REASONS, RULE_CHANGED, RULE_REMOVED, Changes
from tracebraid.pipeline.detect.panes import Exemplars
from tracebraid.pipeline.rules.program import Comparison, Verdict
from tracebraid.schemas.rule import Rule


@dataclass(frozen=True, slots=True)
class Compared:
    """One comparison of the condition; value and threshold None where unknown. truth: None likewise. band: edges in the unit of the value."""

    text: str
    unit: str
    value: float | None
    threshold: float | None
    band: tuple[float | None, float | None] | None
    truth: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One change of one alert. Times in event-time microseconds.

    id: 32 hex characters of rule name, series and started_us. window_us: of the window that spoke, width times the rule's. value, unit, threshold, band: of
    the first comparison that is true, else of the first; band_reason: which rule of the baseline drew it. early: the rule may fire before its window ends: then
    value is the threshold, which was passed, at the beginning of an episode, however its rows came. late: partial windows that its shard has dropped so far.
    slowest, failing: (trace id, value).
    """

    id: str
    rule: Rule
    series: dict[str, str]
    shard: int
    transition: str
    reason: str
    end_us: int
    window_us: int
    width: int = 1
    started_us: int
    value: float | None = None
    unit: str = ""
    threshold: float | None = None
    band: tuple[float | None, float | None] | None = None
    band_reason: str = ""
    severity: float = 1.0
    comparisons: tuple[Compared, ...] = ()
    completeness: float = 1.0
    late: int = 0
    early: bool = False
    slowest: tuple[tuple[str, float], ...] = ()
    failing: tuple[tuple[str, float], ...] = ()

    @property
    def start_us(self) -> int:
        return self.end_us - self.window_us


def alert_id(rule: str, series: dict[str, str], started_us: int) -> str:
    """32 hex characters, the same in every process and version."""
    return hashlib.blake2b(json.dumps([rule, sorted(series.items()), started_us]).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Context:
    """What all changes of one window have in common; completeness and late by shard."""

    rule: Rule
    axis: Axis
    end_us: int
    early: bool
    completeness: dict[int, float]
    late: dict[int, int]


def spoken(context: Context, changes: Changes, places: dict[int, int], judged: tuple[Verdict, Floats, Ints], exemplars: Exemplars | None) -> list[Transition]:
    """places: of changed rows in the arrays of `judged`, which are (verdict, severity, width)."""
    verdict, severity, width = judged
    found = []
    begins = context.early and changes.reason in (CONDITION, FOR_ELAPSED) and changes.transition in ("pending", "firing")
    shown = _by_row(exemplars)
    for row, since_us in zip(changes.rows.tolist(), changes.since_us.tolist(), strict=True):
        at = places[row]
        compared = tuple(_compared(each, at, begins and changes.reason == CONDITION) for each in verdict.comparisons)
        first = next((place for place, each in enumerate(compared) if each.truth), 0)
        main = compared[first] if compared else None
        band = verdict.comparisons[first].band if compared else None
        series, shard = context.axis.named(row), int(context.axis.shard[row])
        slowest, failing = shown.get(row, ((), ()))
        found.append(
            Transition(
                id=alert_id(context.rule.name, series, since_us),
                rule=context.rule,
                series=series,
                shard=shard,
                transition=changes.transition,
                reason=REASONS[changes.reason],
                end_us=context.end_us,
                window_us=context.rule.window_us * max(1, int(width[at])),
                width=int(width[at]),
                started_us=since_us,
                value=main.value if main else None,
                unit=main.unit if main else "",
                threshold=main.threshold if main else None,
                band=main.band if main else None,
                band_reason=BAND_REASONS[int(band.reason[at])] if band is not None else "",
                severity=float(severity[at]),
                comparisons=compared,
                completeness=context.completeness.get(shard, 1.0),
                late=context.late.get(shard, 0),
                early=context.early,
                slowest=slowest,
                failing=failing,
            )
        )
    return found


def unspoken(context: Context, changes: Changes) -> list[Transition]:
    """Changes that no window brought: a rule was changed or removed."""
    found = []
    for row, since_us in zip(changes.rows.tolist(), changes.since_us.tolist(), strict=True):
        series, shard = context.axis.named(row), int(context.axis.shard[row])
        found.append(
            Transition(
                id=alert_id(context.rule.name, series, since_us),
                rule=context.rule,
                series=series,
                shard=shard,
                transition=changes.transition,
                reason=REASONS[changes.reason],
                end_us=context.end_us,
                window_us=context.rule.window_us,
                started_us=since_us,
                late=context.late.get(shard, 0),
            )
        )
    return found


def orphaned(gone: Rule, what: tuple[dict[str, str], int, int, int, int], changed: bool) -> Transition:
    """The end of an alert whose rule was gone when its shard was restored. what: series, shard, state, since_us and when it ended."""
    series, shard, state, since_us, end_us = what
    reason = REASONS[RULE_CHANGED if changed else RULE_REMOVED]
    transition = "resolved" if state == FIRING else "cancelled"
    return Transition(
        id=alert_id(gone.name, series, since_us),
        rule=gone,
        series=series,
        shard=shard,
        transition=transition,
        reason=reason,
        end_us=end_us,
        window_us=gone.window_us,
        started_us=since_us,
    )


def _compared(each: Comparison, at: int, passed: bool) -> Compared:
    truth = {1: True, 0: False}.get(int(each.truth[at]))
    value, threshold = _number(each.value[at]), _number(each.threshold[at])
    if passed:
        value = threshold if truth else None
    band = None if each.band is None else (_number(each.band.low[at]), _number(each.band.high[at]))
    return Compared(each.text, each.unit, value, threshold, band, truth)


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _by_row(exemplars: Exemplars | None) -> dict[int, tuple[tuple[tuple[str, float], ...], tuple[tuple[str, float], ...]]]:
    """row → (slowest, failing), three of each at most; the slowest first."""
    lists: dict[int, tuple[list[tuple[str, float]], list[tuple[str, float]]]] = {}
    if exemplars is not None:
        columns = exemplars.row.tolist(), exemplars.trace_id.tolist(), exemplars.value.tolist(), exemplars.failing.tolist()
        for row, trace_id, value, failing in zip(*columns, strict=True):
            slowest, failed = lists.setdefault(row, ([], []))
            for kept in (slowest, failed) if failing else (slowest,):
                kept.append((trace_id.decode(), value))
    return {row: (tuple(slowest[:3]), tuple(failed[:3])) for row, (slowest, failed) in lists.items()}
