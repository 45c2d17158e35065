"""The service at fault: the one with more of its own time, or more of its own errors, than before.

In: calls of the alert's exemplar traces, of a sample of its window's traces, and of a sample of the hour before. Out: suspects, the worst first, and a
reason. Never: a service named although nothing stands out.

A trace counts by what each service did in it on its own. The exemplars are the slowest and the failing of their window, so they are compared with the
slowest twentieth of the traces before; the sample with all of them. A service's score is its share of all that is too much, weighed by how much that is:
time counts in full once it is a quarter more than before, errors once one trace in twenty has one more.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tracebraid.pipeline.explain.own import Call, by_trace
from tracebraid.schemas.alert import Suspect

Kind = Literal["time", "errors", "any"]
TIME_FULL = 0.25  # of the time before: so much more counts in full
ERRORS_FULL = 0.05  # errors a trace
TAIL = 0.05
TAIL_MIN = 3
SCORE_MIN = 0.2  # below it nothing stands out
SUSPECTS_MAX = 5
MINOR = 0.3  # what counts errors in an alert about time, and time in one about errors


@dataclass(frozen=True, slots=True)
class Profile:
    """Of a number of traces: own nanoseconds and own errors of each service, a trace."""

    traces: int
    own_ns: Mapping[str, float]
    own_errors: Mapping[str, float]


def profile(calls: Sequence[Call]) -> Profile:
    own_ns: dict[str, float] = defaultdict(float)
    errors: dict[str, float] = defaultdict(float)
    traces = max(len({call.span.trace_id for call in calls}), 1)
    for call in calls:
        own_ns[call.span.service] += call.own_ns / traces
        errors[call.span.service] += call.blamed / traces
    return Profile(len({call.span.trace_id for call in calls}), own_ns, errors)


def slowest(calls: Sequence[Call]) -> list[Call]:
    """Those of the slowest twentieth of the traces, of three at least."""
    traces = by_trace(calls)
    order = sorted(traces, key=lambda trace_id: -max((call.duration_ns for call in traces[trace_id]), default=0))
    return [call for trace_id in order[: max(TAIL_MIN, int(len(order) * TAIL))] for call in traces[trace_id]]


def suspects(exemplars: Sequence[Call], window: Sequence[Call], before: Sequence[Call], kind: Kind) -> list[Suspect]:
    """The worst first, five at most. `kind`: what the alert is about. Numbers are of the window's sample; without one, of the exemplars."""
    tail, whole = profile(slowest(before)), profile(before)
    pairs = [(profile(now), then) for now, then in ((exemplars, tail), (window, whole)) if now]
    if not pairs:
        return []
    scores: dict[str, float] = defaultdict(float)
    for now, then in pairs:
        for service, score in _scores(now, then, kind).items():
            scores[service] += score / len(pairs)
    told, then = pairs[-1]
    known = then.traces > 0
    found = [
        Suspect(
            service=service,
            own_ns_now=told.own_ns.get(service, 0.0),
            own_ns_before=then.own_ns.get(service, 0.0) if known else None,
            own_errors_now=told.own_errors.get(service, 0.0),
            own_errors_before=then.own_errors.get(service, 0.0) if known else None,
            score=round(score, 4),
        )
        for service, score in scores.items()
        if round(score, 4) > 0
    ]
    return sorted(found, key=lambda each: (-each.score, each.service))[:SUSPECTS_MAX]


def _scores(now: Profile, then: Profile, kind: Kind) -> dict[str, float]:
    services = [*now.own_ns, *(service for service in then.own_ns if service not in now.own_ns)]
    more_ns = {each: max(now.own_ns.get(each, 0.0) - then.own_ns.get(each, 0.0), 0.0) for each in services}
    more_errors = {each: max(now.own_errors.get(each, 0.0) - then.own_errors.get(each, 0.0), 0.0) for each in services}
    all_ns, all_errors = sum(more_ns.values()), sum(more_errors.values())
    whole_ns: float = sum(then.own_ns.values())
    time_weight = min(1.0, all_ns / (TIME_FULL * whole_ns)) if whole_ns else 1.0
    error_weight = min(1.0, all_errors / ERRORS_FULL)
    time_part, error_part = (1.0, MINOR) if kind == "time" else (MINOR, 1.0) if kind == "errors" else (0.5, 0.5)
    return {
        each: time_part * time_weight * (more_ns[each] / all_ns if all_ns else 0.0)
        + error_part * error_weight * (more_errors[each] / all_errors if all_errors else 0.0)
        for each in services
    }


def verdict(found: Sequence[Suspect], series_service: str, looked: bool) -> tuple[str, str]:
    """(service at fault, why). Where nothing stands out, the service that the alert itself is about; '' without one. `looked`: whether there were traces."""
    if found and found[0].score >= SCORE_MIN:
        worst = found[0]
        return worst.service, f"{_time(worst)}; {_errors(worst)}"
    why = "no service stands out in its traces" if looked else "no trace of it was found"
    return (series_service, f"the alert's own service: {why}") if series_service else ("", why)


def _time(suspect: Suspect) -> str:
    before = "" if suspect.own_ns_before is None else f", {suspect.own_ns_before / 1e6:.4g} ms in the hour before"
    return f"own time {suspect.own_ns_now / 1e6:.4g} ms a trace{before}"


def _errors(suspect: Suspect) -> str:
    before = "" if suspect.own_errors_before is None else f", {suspect.own_errors_before:.3g} in the hour before"
    return f"own errors {suspect.own_errors_now:.3g} a trace{before}"
