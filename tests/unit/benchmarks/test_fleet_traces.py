"""Traces of the simulated fleet: they nest, take the time and fail as often as the fleet's effects say; the product's evidence reads them."""

import random
import re
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.fleet import parameters as p
from benchmarks.fleet.around import MINUTE_US, around
from benchmarks.fleet.evidence import Case, explained, table
from benchmarks.fleet.feed import starter
from benchmarks.fleet.traces import MS, Made, Trace, Traces
from benchmarks.fleet.traffic import requests
from benchmarks.fleet.world import KINDS, Happening, World, fault, world
from tracebraid.pipeline.detect.transitions import Compared, Transition, alert_id
from tracebraid.pipeline.explain.own import Call, Span, calls_of

BEGIN = p.WARM + 120
CALM = p.NO_FAULT_EVERY - 1  # a fleet without faults


def faulty(kind: str, service: int, seed: int = CALM) -> tuple[World, Happening]:
    found = world(seed)
    fault(found, kind, service, slice(BEGIN, BEGIN + 20), np.random.default_rng(7))
    return found, found.happenings[-1]


def traces(kind: str, service: int, *, about: int, count: int, minute: int = BEGIN + 5) -> tuple[Traces, list[Trace]]:
    """Of the busiest route of service `about`."""
    made = Traces(*faulty(kind, service), random.Random(kind))
    return made, [made.of(about, busiest(made.world, about), minute) for _ in range(count)]


def busiest(found: World, service: int) -> int:
    return int(np.flatnonzero(found.service == service)[0])


def alone(found: World) -> tuple[int, int]:
    """(caller, callee): the callee calls nothing and is seen by the caller in one way."""
    callee = found.services - 1
    return int(np.flatnonzero(found.calls[:, callee])[-1]), callee


def as_calls(trace: Trace) -> list[Call]:
    spans = [
        Span(trace.id, str(each.place), None if each.parent is None else str(each.parent), str(each.service), "", each.start_ns, each.end_ns, each.error)
        for each in trace.spans
    ]
    return calls_of(spans)


@pytest.mark.parametrize("kind", KINDS)
def test_spans_nest_but_for_what_was_given_up(kind: str) -> None:
    service = 2
    made, found = traces(kind, service, about=service, count=200)
    beyond = 0
    for trace in found:
        shown = trace.spans[trace.shown]
        assert (shown.service, shown.route) == (service, trace.route)
        assert [each.place for each in trace.spans] == list(range(len(trace.spans)))
        assert [each.parent for each in trace.spans[:1]] == [None]
        for each in trace.spans[1:]:
            parent = trace.spans[each.parent or 0]
            assert parent.start_ns <= each.start_ns <= each.end_ns
            assert each.service == parent.service if each.route is None else made.world.calls[parent.service, each.service] > 0
            late = each.end_ns > parent.end_ns
            assert not late or each.service == service or made.world.through[service, each.service] > 0
            beyond += late
    assert (beyond > 0) == (kind in ("cascading time-outs", "retry storm"))


@pytest.mark.parametrize("kind", ["GC pauses", "latency step", "bad canary"])
def test_own_time_is_by_the_law_of_traffic(kind: str) -> None:
    service = 1
    made, found = traces(kind, service, about=service, count=3000)
    route = busiest(made.world, service)
    own = [call.own_ns for trace in found for call in as_calls(trace) if call.span.span_id == str(trace.shown)]
    asked = replace(made.world, rate=np.where(np.arange(len(made.world.rate)) == route, 3000.0, 0.0))
    drawn = requests(asked, BEGIN + 5, 1).duration_ns
    for share in (0.1, 0.5, 0.75, 0.97):
        assert np.quantile(own, share) == pytest.approx(np.quantile(drawn, share), rel=0.15), share


def test_services_fail_as_often_as_the_effects_say() -> None:
    for kind in ("error burst", "bad canary", "cascading time-outs", "retry storm"):
        caller, callee = alone(world(CALM))
        for about in (caller, callee):
            made, found = traces(kind, callee, about=about, count=1200)
            mine = [each.error for trace in found for each in trace.spans if each.service == about and each.route == trace.route]
            wanted = float(made.world.effects.error[BEGIN + 5, busiest(made.world, about)])
            assert np.mean(mine) == pytest.approx(wanted, abs=0.04), (kind, about == callee)


def test_callers_wait_and_call_as_often_as_the_fleet_has_them_do() -> None:
    caller, callee = alone(world(CALM))
    made, found = traces("cascading time-outs", callee, about=caller, count=1200)
    seen = [any(each.service == callee for each in trace.spans) for trace in found]
    assert np.mean(seen) >= made.world.calls[caller, callee] - 0.03
    slow = [shown(trace).end_ns - shown(trace).start_ns > 2000 * MS for trace in found]
    assert np.mean(slow) == pytest.approx(float(made.world.effects.delayed[BEGIN + 5, busiest(made.world, caller)]), abs=0.05)


def shown(trace: Trace) -> Made:
    return trace.spans[trace.shown]


def test_a_storm_and_a_collapse_change_how_often_a_service_is_called() -> None:
    caller, callee = alone(world(CALM))
    for kind in ("retry storm", "throughput collapse"):
        made, found = traces(kind, callee, about=caller, count=1500)
        tries = sum(each.service == callee and below(trace, each, caller) for trace in found for each in trace.spans)
        callers = sum(each.service == caller and each.route is not None for trace in found for each in trace.spans)
        assert tries / callers == pytest.approx(made.world.calls[caller, callee] * made.changed, rel=0.1, abs=0.03), kind


def below(trace: Trace, each: Made, caller: int) -> bool:
    return each.route is not None and each.parent is not None and trace.spans[each.parent].service == caller


def firing(found: World, rule: str, service: int, end: int) -> Transition:
    (known,) = [each.rule for each in starter() if each.rule.name == rule]
    series = {"service_name": found.name(service)} | ({"route": f"/r{busiest(found, service)}"} if "route" in known.by else {})
    told = {"rule": known, "series": series, "shard": 0, "transition": "firing", "reason": "condition", "unit": "", "value": 1.0, "threshold": 0.5}
    compared = Compared(re.split(" [<>] ", known.when)[0] + (" < 1" if " < " in known.when else ""), "", 1.0, 0.5, None, True)
    end_us = p.START_US + end * MINUTE_US
    times = {"end_us": end_us, "started_us": end_us, "window_us": known.window_us}
    return Transition(id=alert_id(rule, series, end_us), comparisons=(compared,), **told, **times)  # type: ignore[arg-type]


def test_a_lake_has_the_window_whole_with_its_exemplars() -> None:
    found, happened = faulty("latency step", 3)
    alert = firing(found, "latency-out-of-character", 3, BEGIN + 4)
    seen = around(found, happened, alert)
    made, route = requests(found, BEGIN - BEGIN % 60, 60), busiest(found, 3)
    wanted = int(((made.minute == BEGIN % 60 + 3) & (made.route == route)).sum())
    inside = [row for row in seen.spans if row["http_route"] == f"/r{route}" and alert.start_us <= row["end_time"] < alert.end_us]
    mine = [row for row in inside if row["service_name"] == found.name(3)]
    assert 20 < wanted == pytest.approx(len(mine), rel=0.15)  # a trace comes to it twice now and then, and once by another route
    slowest = sorted(mine, key=lambda row: -row["duration_ns"])[:3]
    assert [trace_id for trace_id, _ in seen.alert.slowest] == [row["trace_id"] for row in slowest]
    assert len({row["trace_id"] for row in seen.spans}) <= 2 * p.TRACE_BEFORE + len(inside) * 4
    logged = around(found, happened, firing(found, "error-log-burst", 3, BEGIN + 4))
    assert {row["service_name"] for row in logged.logs} > {found.name(3)}
    assert around(found, happened, alert).spans == seen.spans


def test_where_requests_are_missing_those_before_are_all_there() -> None:
    found, happened = faulty("throughput collapse", 3)
    below = int(np.flatnonzero(found.calls[3])[0])
    seen = around(found, happened, firing(found, "silence", below, BEGIN + 4))
    made = requests(found, BEGIN - 60, 60)
    wanted = ((found.service[made.route] == 3) & (made.minute >= 3)).sum()
    mine = [row for row in seen.spans if row["service_name"] == found.name(3) and row["kind"] == "SERVER"]
    minutes = [(row["end_time"] - p.START_US) // MINUTE_US - BEGIN + 60 for row in mine]
    assert sum(3 <= each < 60 for each in minutes) == pytest.approx(wanted, rel=0.02)
    (named,) = explained([Case(found, happened, firing(found, "silence", below, BEGIN + 4), 0)])
    assert (named.alert, named.named) == (found.name(below), found.name(3))


def test_the_products_evidence_names_the_service() -> None:
    found, happened = faulty("latency step", 5)
    (caller, *_) = np.flatnonzero(found.calls[:, 5]).tolist()
    cases = [Case(found, happened, firing(found, "latency-out-of-character", each, BEGIN + 4), number) for number, each in enumerate((caller, 5))]
    named = list(explained(cases))
    assert [(each.alert, each.named, each.right) for each in named] == [(found.name(caller), found.name(5), True), (found.name(5), found.name(5), True)]
    assert "| latency step | 1 | 1 | 1.00 | 0.00 | 2 | 2 | 1.00 |" in table(named)
