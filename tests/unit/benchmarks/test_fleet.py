"""The simulated fleet: what is made directly equals what ingest measures of the same rows; its faults are found; it follows from its number alone."""

from dataclasses import fields

import numpy as np
import pyarrow as pa

from benchmarks.fleet import parameters as p
from benchmarks.fleet.feed import BLOCK, MINUTE_US, batch, labeled, run, starter
from benchmarks.fleet.score import Alert, alerts, score
from benchmarks.fleet.traffic import Requests, counted, requests
from benchmarks.fleet.world import KINDS, Happening, World, world
from tests.measures import Row, normalized_of
from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.measure.windows import OpenWindows
from tracebraid.pipeline.rules.measures import merge_measures
from tracebraid.schemas.windows import PARTIALS

FIRST = p.WARM + 2 * BLOCK
SECOND_US = 1_000_000
TOUCHY = "- {name: touchy, on: spans, by: [service_name, route], when: 'p99(duration) > baseline(p99(duration), floor: 5ms, min_count: 10)'}"


def span(found: World, made: Requests, at: int) -> Row:
    end_us = p.START_US + FIRST * MINUTE_US + at % 60 * SECOND_US
    route = int(made.route[at])
    row = {"kafka_time": end_us, "end_time": end_us, "kind": "SERVER", "trace_id": f"{at:032x}", "http_route": f"/r{route}"}
    status = "ERROR" if made.error[at] else "UNSET"
    return {**row, "service_name": found.name(int(found.service[route])), "duration_ns": int(made.duration_ns[at]), "status_code": status}


def lines(found: World, made: Requests) -> list[Row]:
    rows: list[Row] = []
    time_us = p.START_US + FIRST * MINUTE_US + SECOND_US
    for service in range(found.services):
        for number in range(int(made.lines[0, service])):
            failed, missing = number < made.lines_failed[0, service], number < made.lines_missing[0, service]
            row = {"kafka_time": time_us, "time": time_us, "service_name": found.name(service), "severity_number": 17 if failed else 9}
            rows.append({**row, "trace_id": None if missing else f"{number:032x}"})
    return rows


def entries(batch: pa.RecordBatch) -> list[dict[str, object]]:
    """What starter rules ask of partial windows, in one order."""
    found = []
    for row in batch.to_pylist():
        columns = [{name: each[name] for name in ("n", "bucket", "bucket_n")} for each in row["columns"]]
        found.append({**{name: row[name] for name in ("measure", "series", "labels", "pane_us", "counts")}, "columns": columns})
    return sorted(found, key=lambda each: (each["measure"], each["labels"]))


def test_partial_windows_made_directly_are_those_that_ingest_measures() -> None:
    found = world(3)
    made = requests(found, FIRST, 1)
    measures = merge_measures(measure for program in starter() for measure in program.measures)
    names = labeled([found])
    direct = [each for measure in measures for each in entries(batch(measure, names[measure.by], [found], [counted(found, made, 1)], FIRST))]
    windows = OpenWindows(measures)
    spans = [span(found, made, at) for at in range(len(made.route))]
    windows.add(*normalized_of(Partition("kafka", "fleet", "id", 0), 0, spans, lines(found, made)))
    measured = [pa.ipc.read_record_batch(pa.py_buffer(each.value), PARTIALS) for each in windows.pieces(1)]
    told = [each for one in measured for each in entries(one)]
    # A span carries its trace id here; of spans no starter rule asks for it.
    assert sorted(direct, key=lambda each: (each["measure"], each["labels"])) == sorted(told, key=lambda each: (each["measure"], each["labels"]))
    assert len(direct) > 40


def test_a_fleet_follows_from_its_number_alone() -> None:
    alone, again = requests(world(5), FIRST, 3), requests(world(5), FIRST, 3)
    assert all(np.array_equal(getattr(alone, each.name), getattr(again, each.name)) for each in fields(alone))
    whole = [each for pair in (0, 1) for each in run([world(pair)], TOUCHY, total=60)]
    assert whole
    key = [(each.id, each.transition, each.end_us) for each in whole]
    assert sorted(key) == sorted((each.id, each.transition, each.end_us) for each in run([world(0), world(1)], TOUCHY, total=60))
    assert {each.kind for seed in range(9) for each in world(seed).faults} == set(KINDS)
    assert world(p.NO_FAULT_EVERY - 1).faults == []


def test_each_alert_counts_once_for_what_it_tells_of() -> None:
    found = world(9)
    at = p.WARM + 50
    found.happenings = [Happening("latency step", 2, at, at + 10, frozenset([0, 2])), Happening("deploy", 4, at, 9999, frozenset([4]))]

    def told(service: int, end: int, route: str = "/r99") -> Alert:
        return Alert("slow", (found.name(service), route), service, end)

    given = [told(3, 10), told(0, at + 3), told(2, at + 15), told(2, at + 16), told(4, at + 20), told(4, at + 90), told(5, at + 4)]
    outcome = score(found, given)
    (fault,) = outcome.faults
    assert (fault.alerts, fault.minutes, fault.on_itself) == ((told(0, at + 3), told(2, at + 15)), 3, True)
    assert (outcome.warm, outcome.echoes, outcome.deploys) == (1, [told(2, at + 16)], [told(4, at + 20)])
    assert [alert for _, alert in outcome.false] == [told(4, at + 90), told(5, at + 4)]


def test_no_alert_is_read_from_nothing() -> None:
    assert alerts([]) == {}
