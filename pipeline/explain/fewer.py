"""Whose requests went missing first: what an alert about too few rows of a service has to be asked of those that call it.

In: the alert, spans of traces before, rows of services now and before. Out: a service, and why. Never: a service that has as many requests as it had.

A service that loses requests takes them from all that it calls, and from none that call it. So of the services on the ways to the alert's own, the one
nearest to the users that fell as deeply is where they were lost. Services that fall alike, one calling the other, cannot be told apart: the first is named.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tracebraid.pipeline.explain.own import Span, calls_of
from tracebraid.schemas.alert import Transition

FEWER = re.compile(r"(count|rate)\(.*\) <=? ")
ALIKE = 0.1  # shares that are left: so much more is as deep a fall
SURE = 4.0  # standard deviations of what was to be expected, by which it must have fallen


@dataclass(frozen=True, slots=True)
class Rows:
    """Requests of a service: in the window, and so many were to be expected in it by the hour before."""

    now: float
    usual: float

    @property
    def left(self) -> float:
        return self.now / self.usual if self.usual else 1.0

    @property
    def fell(self) -> bool:
        return self.usual > 0 and (self.usual - self.now) / math.sqrt(self.usual) >= SURE


def told(alert: Transition) -> list[str]:
    """The comparisons that hold; all of them where none does."""
    return [each.text for each in alert.comparisons if each.holds] or [each.text for each in alert.comparisons]


def is_about_fewer(alert: Transition) -> bool:
    """Whether too few rows is all that the alert tells of, on spans of one service."""
    texts = told(alert)
    return alert.signal == "spans" and bool(alert.series.get("service_name")) and bool(texts) and all(FEWER.match(each) for each in texts)


def upstream(spans: Sequence[Span], service: str) -> dict[str, int]:
    """The services on the ways from users to `service`, itself among them: how many come before, at least."""
    depths: dict[str, int] = {}
    for call in calls_of(spans):
        if call.span.service == service:
            for depth, each in enumerate(dict.fromkeys(each.span.service for each in call.way())):
                depths[each] = min(depth, depths.get(each, depth))
    return depths


def first_fallen(depths: Mapping[str, int], rows: Mapping[str, Rows], service: str) -> tuple[str, str]:
    """(service, why)."""
    mine = rows.get(service)
    if mine is None or not mine.fell:
        return service, "the alert's own service: it has fewer rows than it is known for"
    fallen = [each for each in depths if each in rows and rows[each].fell and rows[each].left <= mine.left + ALIKE]
    first = min(fallen, key=lambda each: (depths[each], each), default=service)
    why = f"{rows[first].now:.0f} requests in the window, {rows[first].usual:.4g} by the hour before"
    return first, why if first == service else f"{why}; it comes before {service}, and nothing before it lost as many"
