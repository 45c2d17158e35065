"""What a lake would hold around one alert: traces of its window and of the hour before, log lines of its window; and the alert with its exemplars.

In: a World, a fault, an alert that detect told. Out: Around, rows of the tables. Never: all of the hour: p.TRACE_BEFORE requests of the alert's series, and as
many of the other routes of its service, drawn evenly from it. explain looks at 200 traces of them, drawn by their ids. The window is whole.
Where the alert is about too few requests, those left out are there without trace ids, of its service and of all that come before it: they are counted there.

Requests of the service are as many, in each minute, as traffic.py has. There are no traces in which it has no part: no question of explain's is about them.
"""

import itertools
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.fleet import parameters as p
from benchmarks.fleet.feed import BLOCK, MINUTE_US
from benchmarks.fleet.traces import Made, Trace, Traces, poisson
from benchmarks.fleet.traffic import Ints, requests
from benchmarks.fleet.world import TOTAL, Happening, World
from tracebraid.pipeline.detect.told import told
from tracebraid.pipeline.detect.transitions import Transition
from tracebraid.pipeline.explain.fewer import is_about_fewer
from tracebraid.pipeline.kernel import limits
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.spans import SPANS
from tracebraid.schemas.table import Table

HOUR = 60
ERROR, INFO = 17, 9
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Around:
    """alert: with the exemplars of its window; spans, logs: rows of the tables, without where they come from."""

    alert: Transition
    spans: list[Row] = field(repr=False)
    logs: list[Row] = field(repr=False)


def around(world: World, fault: Happening, alert: Transition) -> Around:
    """The same for the same alert."""
    made = Traces(world, fault, random.Random(f"{world.seed} {alert.id}"))
    service, route = int(alert.series["service_name"].split("-s")[1]), alert.series.get("route")
    mine = [each for each in made.routes[service] if route in (None, f"/r{each}")]
    others = [each for each in made.routes[service] if each not in mine]
    first, end = ((us - p.START_US) // MINUTE_US for us in (alert.start_us, alert.end_us))
    window = list(_window(made, (service, [*mine, *others]), first, end))
    before = [trace for routes in (mine, others) if routes for trace in _before(made, (service, routes), first)]
    lines = [line for trace in window for line in _lines(made, trace)] if alert.rule.on == "logs" else []
    seen_us = alert.end_us - alert.rule.window_us  # exemplars are those of the rule's window, though one of few rows is widened
    if alert.rule.on == "logs":
        found = [(line["trace_id"], 0.0, line["severity_number"] >= ERROR) for line in lines if _shown(line, alert, seen_us, line["time"]) and line["trace_id"]]
    else:
        found = [(trace.id, float(each.end_ns - each.start_ns), each.error) for trace in window for each in _requests(trace, service, mine, seen_us)]
    spans = [_row(world, trace, each) for trace in [*window, *before] for each in trace.spans]
    if is_about_fewer(told(alert)):
        spans += _others(world, service, first - HOUR, end, [each for trace in [*window, *before] for each in trace.spans])
    return Around(replace(alert, slowest=_best(found), failing=_best([each for each in found if each[2]])), spans, lines)


def _best(found: Sequence[tuple[str, float, bool]]) -> tuple[tuple[str, float], ...]:
    """The slowest, as pipeline.measure chooses exemplars."""
    return tuple((trace_id, value) for trace_id, value, _ in sorted(found, key=lambda each: -each[1])[: limits.exemplars_max])


def _requests(trace: Trace, service: int, routes: Sequence[int], since_us: int) -> list[Made]:
    return [each for each in trace.spans if each.service == service and each.route in routes and each.end_ns >= since_us * 1000]


def _shown(line: Row, alert: Transition, since_us: int, time_us: int) -> bool:
    return bool(line["service_name"] == alert.series["service_name"] and since_us <= time_us < alert.end_us)


def _window(made: Traces, what: tuple[int, Sequence[int]], first: int, end: int) -> Iterator[Trace]:
    """what: service, routes. A trace that comes to the service twice, or tries again, has several of its requests: all of them count."""
    service, routes = what
    counts = _counts(made.world, first, end)
    for minute in range(first, end):
        left = [route for route in routes for _ in range(int(counts[minute - first, route]))]
        made.chance.shuffle(left)
        while left:
            trace = made.of(service, left[-1], minute)
            for route in [each.route for each in trace.spans if each.service == service and each.route is not None][: len(left)]:
                left.remove(route if route in left else left[-1])
            yield trace.moved(_within(made, minute))


def _counts(world: World, first: int, end: int) -> Ints:
    """[minute, route]: requests as they were."""
    found = np.zeros((end - first, len(world.service)), np.int64)
    for block in range(first // BLOCK * BLOCK, end, BLOCK):
        made = requests(world, block, min(BLOCK, TOTAL - block))
        at = made.minute + block - first
        within = (at >= 0) & (at < end - first)
        np.add.at(found, (at[within], made.route[within]), 1)
    return found


def _before(made: Traces, what: tuple[int, Sequence[int]], end: int) -> Iterator[Trace]:
    """Requests of the routes in the hour before `end`: all of them, or TRACE_BEFORE drawn evenly."""
    (service, routes), chance = what, made.chance
    places = [(minute, route) for minute in range(max(end - HOUR, 0), end) for route in routes]
    rates = [float(made.world.rate[route] * made.world.effects.rate[minute, route]) for minute, route in places]
    count = poisson(sum(rates), chance) if sum(rates) < 2 * p.TRACE_BEFORE else p.TRACE_BEFORE
    for minute, route in chance.choices(places, rates, k=min(count, p.TRACE_BEFORE)):
        yield made.of(service, route, minute).moved(_within(made, minute))


def _others(world: World, service: int, first: int, end: int, spans: Sequence[Made]) -> Iterator[Row]:
    """So many requests that those on the way to the service are as many as they were."""
    counts, routes = _counts(world, first, end), np.flatnonzero(world.through[world.service, service] > 0)
    had = Counter(((each.end_ns // 1000 - p.START_US) // MINUTE_US, each.route) for each in spans)
    for minute, route in itertools.product(range(first, end), routes.tolist()):
        count = int(counts[minute - first, route]) - had[minute, route]
        for number in range(count):
            end_ns = (p.START_US + minute * MINUTE_US + number * MINUTE_US // count) * 1000
            one = Made(0, None, int(world.service[route]), route, end_ns, end_ns)
            yield {**_row(world, Trace("", minute, route), one), "trace_id": None}


def _within(made: Traces, minute: int) -> int:
    """A time in the minute, in nanoseconds since 1970."""
    return (p.START_US + minute * MINUTE_US + made.chance.randrange(MINUTE_US)) * 1000


def _row(world: World, trace: Trace, each: Made) -> Row:
    name = "call" if each.route is None else f"GET /r{each.route}"
    return {
        "trace_id": trace.id,
        "span_id": f"{each.place + 1:016x}",
        "parent_span_id": None if each.parent is None else f"{each.parent + 1:016x}",
        "service_name": world.name(each.service),
        "name": name,
        "kind": "CLIENT" if each.route is None else "SERVER",
        "http_route": None if each.route is None else f"/r{each.route}",
        "start_time": each.start_ns // 1000,
        "end_time": each.end_ns // 1000,
        "start_unix_nano": each.start_ns,
        "end_unix_nano": each.end_ns,
        "duration_ns": each.end_ns - each.start_ns,
        "status_code": "ERROR" if each.error else "UNSET",
    }


def _lines(made: Traces, trace: Trace) -> Iterator[Row]:
    """Of every request of the trace, as many as the fleet writes, some without their trace id."""
    world, chance = made.world, made.chance
    for each in trace.spans:
        if each.route is not None:
            severe = poisson(p.LOG_ERRORS, chance) if each.error else 0
            missing = float(world.effects.missing[trace.minute, each.service])
            for number in range(severe + poisson(float(world.logs[each.service]), chance)):
                yield {
                    "trace_id": None if chance.random() < missing else trace.id,
                    "time": each.end_ns // 1000,
                    "service_name": world.name(each.service),
                    "severity_number": ERROR if number < severe else INFO,
                    "severity_text": "ERROR" if number < severe else "INFO",
                    "body": f"r{each.route} {'failed' if number < severe else 'done'}",
                }


def table_rows(table: Table, rows: Sequence[Row], owner: dict[str, Any], first: int) -> pa.RecordBatch:
    """Rows as the table holds them, a record each, from offset `first` on. owner: columns of the partition."""
    count = len(rows)
    time = "end_time" if table is SPANS else "time"
    days = [date(1970, 1, 1) + timedelta(days=row[time] // (1440 * MINUTE_US)) for row in rows]
    known: dict[str, Sequence[Any]] = {
        **{name: [value] * count for name, value in owner.items()},
        "day": days,
        "tenant": [""] * count,
        "kafka_offset": range(first, first + count),
        "record_index": [0] * count,
        "kafka_time": [row[time] for row in rows],
        "ingested_at": [row[time] for row in rows],
    }
    given = rows[0].keys() if rows else ()
    arrays = []
    for each in table.arrow:
        if each.name in given:
            arrays.append(pa.array([row[each.name] for row in rows], each.type))
        else:
            arrays.append(pa.array(known[each.name], each.type) if each.name in known else pa.nulls(count, each.type))
    return pa.record_batch(arrays, schema=table.arrow)


def batches(found: Sequence[Around], owner: dict[str, Any]) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """(spans, log lines) of all of them."""
    spans, logs = ([row for each in found for row in getattr(each, name)] for name in ("spans", "logs"))
    return table_rows(SPANS, spans, owner, 0), table_rows(LOGS, logs, owner, len(spans))
