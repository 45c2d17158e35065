"""Transitions of a fleet against what is known to have happened in it.

In: World, transitions. Out: Outcome. Never: anything that the rules could see. An alert is a series going over to firing; told again because it became more
severe, it is the same alert.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.fleet import parameters as p
from benchmarks.fleet.world import Happening, World
from tracebraid.pipeline.detect.transitions import Transition

MINUTE_US = 60_000_000
WEEK = 7 * 1440


@dataclass(frozen=True, slots=True)
class Alert:
    """end: minute at which its window ended; service: its number."""

    rule: str
    series: tuple[str, ...]
    service: int
    end: int
    resolved: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A fault and its alerts in time, the first first."""

    fault: Happening
    alerts: tuple[Alert, ...]

    @property
    def minutes(self) -> int | None:
        return self.alerts[0].end - self.fault.begin if self.alerts else None

    @property
    def on_itself(self) -> bool:
        return any(each.service == self.fault.service for each in self.alerts)


@dataclass(slots=True)
class Outcome:
    """echoes: of faults, too late; deploys: of a deploy, as allowed: one a rule and series; false: by nothing at all, or by what is innocent."""

    seed: int
    service_weeks: float
    faults: list[Found] = field(default_factory=list)
    echoes: list[Alert] = field(default_factory=list)
    deploys: list[Alert] = field(default_factory=list)
    false: list[tuple[str, Alert]] = field(default_factory=list)
    warm: int = 0  # alerts while it was learning


def alerts(transitions: Sequence[Transition]) -> dict[int, list[Alert]]:
    """By seed, in order of time."""
    ended = {each.id: each.reason for each in transitions if each.transition == "resolved"}
    found: dict[int, list[Alert]] = {}
    for each in transitions:
        if each.transition == "firing" and each.reason != "more severe":
            fleet, service = each.series["service_name"].split("-")
            end = (each.end_us - p.START_US) // MINUTE_US
            found.setdefault(int(fleet[1:]), []).append(Alert(each.rule.name, tuple(each.series.values()), int(service[1:]), end, ended.get(each.id, "")))
    return found


def score(world: World, told: Sequence[Alert]) -> Outcome:
    outcome = Outcome(world.seed, world.services * p.SCORED / WEEK)
    late = [each for each in told if each.end > p.WARM]
    outcome.warm = len(told) - len(late)
    matched: dict[int, list[Alert]] = {number: [] for number in range(len(world.faults))}
    deployed = set[tuple[str, tuple[str, ...]]]()
    for alert in late:
        number = next((n for n, each in enumerate(world.faults) if _of(each, alert, p.GRACE)), None)
        if number is not None:
            matched[number].append(alert)
        elif any(_of(each, alert, p.ECHO) for each in world.faults):
            outcome.echoes.append(alert)
        elif any(each.kind == "deploy" and _of(each, alert, 0) for each in world.happenings) and (alert.rule, alert.series) not in deployed:
            deployed.add((alert.rule, alert.series))
            outcome.deploys.append(alert)
        else:
            outcome.false.append((_innocent(world, alert), alert))
    outcome.faults = [Found(each, tuple(matched[number])) for number, each in enumerate(world.faults)]
    return outcome


def _of(happening: Happening, alert: Alert, grace: int) -> bool:
    return alert.service in happening.touched and happening.begin < alert.end <= happening.end + grace


def _innocent(world: World, alert: Alert) -> str:
    """What it may have been taken in by."""
    for each in world.happenings:
        if each.kind in ("restart", "clock skew", "deploy") and _of(each, alert, p.GRACE):
            return each.kind
    rate = float(max((rate for rate, number in zip(world.rate, range(len(world.rate)), strict=True) if alert.series[1:] == (f"/r{number}",)), default=99.0))
    heavy = any(alert.series[1:] == (f"/r{number}",) for number, one in enumerate(world.heavy) if one)
    return "heavy tail" if heavy else "low traffic" if rate <= p.SPARSE[1] else "noise"
