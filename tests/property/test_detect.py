"""What detect tells depends on rows and watermarks alone: not on how messages were cut, on the order within the lateness, on tick(), on restarts."""

import random
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.detecting import MINUTE, SECOND, T0, Row, measures, partials, programs, source, told
from tests.property.detect_oracle import Change, Heard, Oracle
from tracebraid.pipeline.detect.build import EngineSettings
from tracebraid.pipeline.detect.engine import Engine
from tracebraid.pipeline.detect.transitions import Transition
from tracebraid.pipeline.rules.program import Program

RULES = """
- {name: ratio, on: spans, by: [service_name, route], when: p90(duration) > 40ms and error_rate > 30%, for: 2m, keep_firing_for: 1m}
- {name: early, on: spans, by: [service_name], when: errors >= 3 or count(duration > 50ms) >= 4}
- {name: early-for, on: spans, by: [service_name], when: errors >= 2, for: 1m, on_missing: resolve}
- {name: sliding, on: spans, by: [service_name], when: avg(duration) > 30ms or min(duration) > 20ms, window: 3m, every: 1m, missing_for: 4m}
- {name: change, on: spans, by: [service_name], when: "change(count(), 5m) < -60% or change(sum(duration), 5m) > 200%", missing_for: 3m}
- {name: silence, on: spans, by: [service_name, route], when: count() < 1, missing_for: 3m, on_missing: fire}
- {name: late, on: spans, by: [service_name, route], when: max(duration) > 60ms and last(duration) > 10ms, lateness: 70s}
- {name: both, on: spans, by: [service_name], when: spans.errors > 1 and logs.count() > 1}
- {name: row, on: logs, by: [service_name], when: body = 'x', consecutive: 3}
- name: learned
  on: spans
  by: [service_name, route]
  when: p90(duration) > baseline(p90(duration), sensitivity: 0.1, min_count: 6)
  missing_for: 6m
  adapt_after: 10m
"""
SPARSE = """
- {name: sparse, on: spans, by: [service_name, route], when: "p50(duration) > baseline(p50(duration), sensitivity: 0.1)", missing_for: 9m}
- name: overlapping
  on: spans
  by: [service_name, route]
  when: avg(duration) <> baseline(avg(duration), sensitivity: 0.1, min_count: 25)
  window: 2m
  every: 1m
"""
PROGRAMS = programs(RULES)
SETTINGS = EngineSettings(shards=4)
SHARDS = 2
Message = tuple[Any, ...]


def shard_of(row: Row) -> int:
    return sum(map(ord, row.labels[0])) % SHARDS


def world(seed: int, minutes: int, rows_max: int = 5) -> dict[int, list[Message]]:
    """Messages of each shard: rows of three partitions, some late, some partitions idle or lagging, a release now and then."""
    chance = random.Random(seed)
    routes = [(service, route) for service in ("cart", "pay", "ship") for route in ("/a", "/b", "/rare")]
    found: dict[int, list[Message]] = {shard: [] for shard in range(SHARDS)}
    offsets = dict.fromkeys(range(3), 0)
    events: dict[int, int | None] = dict.fromkeys(range(3))
    lagging: set[int] = set()
    for step in range(minutes * 3):
        now = T0 + step * 20 * SECOND
        bad, quiet = chance.random() < 0.3, chance.random() < 0.15
        lagging = {p for p in range(3) if chance.random() < (0.9 if p in lagging else 0.03)}
        for partition in range(3):
            rows = []
            for _ in range(0 if quiet or partition in lagging else chance.randrange(rows_max + 1)):
                late = chance.choice([0, 0, 0, 5, 30, 120]) * SECOND
                labels = chance.choice(routes if chance.random() < 0.4 else routes[:2])
                duration = float(chance.randrange(1, 100 if bad else 30) * 1_000_000)
                signal = "logs" if chance.random() < 0.2 else "spans"
                time_us, error = now - late + chance.randrange(20 * SECOND), chance.random() < (0.5 if bad else 0.05)
                rows.append(Row(time_us, labels, duration, error, partition, offsets[partition], signal, true=chance.random() < 0.7))
                offsets[partition] += 1
            if rows:
                latest = max(row.time_us for row in rows)
                events[partition] = max(latest, events[partition] or latest)
            for shard, messages in found.items():
                if mine := [row for row in rows if shard_of(row) == shard]:
                    messages.append(("rows", partition, mine))
        told_now = [told(p, events[p], caught_up=p not in lagging and chance.random() < 0.8) for p in range(3)]
        for messages in found.values():
            messages.append(("told", told_now))
            if lagging and chance.random() < 0.05:
                messages.append(("release", sorted(lagging), max(event or 0 for event in events.values())))
    end = T0 + minutes * MINUTE
    for messages in found.values():
        messages.append(("told", [told(p, end, caught_up=False) for p in range(3)]))
    return found


def play(engine: Engine, shard: int, message: Message, cursor: dict[tuple[int, int], int]) -> None:
    if message[0] == "told":
        engine.watermark(shard, message[1])
    elif message[0] == "release":
        engine.release(shard, [source(p) for p in message[1]], message[2])
    else:
        first = cursor.get((shard, message[1]), 0)
        cursor[shard, message[1]] = first + 1
        assert engine.merge(shard, source(message[1]), first, first + 1, partials(message[2], measures(slot.program for slot in engine.slots)))


def shape(each: Transition) -> Change:
    value, threshold = (None if one is None else round(one, 6) for one in (each.value, each.threshold))
    return (each.rule.name, tuple(each.series.values()), each.transition, each.reason, each.end_us, each.started_us, value, threshold, each.width)


def run(
    messages: dict[int, list[Message]], of: list[Program], ticks: Callable[[], bool] = lambda: True, restart: Callable[[], bool] = lambda: False
) -> list[Change]:
    engine = Engine(of, SETTINGS)
    cursor: dict[tuple[int, int], int] = {}
    found = []
    for step in range(max(map(len, messages.values()))):
        for shard, told_here in messages.items():
            if step < len(told_here):
                play(engine, shard, told_here[step], cursor)
        if ticks():
            found += engine.tick()
            if restart():
                engine = restarted(engine, of)
    closed_us = T0 + minutes_of(messages) * MINUTE  # a window that is still open may have fired early, which the slow way does not know
    return sorted((shape(each) for each in [*found, *engine.tick()] if each.end_us + each.rule.lateness_us <= closed_us), key=str)


def minutes_of(messages: dict[int, list[Message]]) -> int:
    last: int = next(iter(messages.values()))[-1][1][0].event_time_us
    return (last - T0) // MINUTE


def expected(messages: dict[int, list[Message]], of: list[Program]) -> list[Change]:
    found: list[Change] = []
    for told_here in messages.values():
        heard = Heard()
        for message in told_here:
            heard.message(message)
        for program in of:
            rule = program.rule
            longest = max(each.window_us + each.earlier_us for each in program.inputs)
            longest = max(longest, 60 * rule.window_us if any(spec.min_count for spec in program.baselines) else 0)
            keep = rule.missing_for_us + longest
            if program.baselines or rule.on_missing == "fire":
                keep = max(keep, SETTINGS.baseline_keep_us)
            found += Oracle(program, heard, (2.0, bool(program.baselines)), keep).run()
    return sorted(found, key=str)


def restarted(engine: Engine, of: list[Program]) -> Engine:
    """Another process takes over, shard by shard in another order; what it would save is what it was given."""
    saved = {shard: engine.snapshot(shard) for shard in engine.shards}
    fresh = Engine(of, SETTINGS)
    for shard in reversed(saved):
        fresh.restore(shard, saved[shard])
    assert {shard: fresh.snapshot(shard) for shard in saved} == saved
    return fresh


def recut(messages: dict[int, list[Message]], chance: random.Random) -> dict[int, list[Message]]:
    """The same rows between the same watermarks, in another order, in other messages, some by another source."""
    found: dict[int, list[Message]] = {}
    for shard, held in messages.items():
        new = found[shard] = []
        waiting: list[Row] = []
        for message in held:
            if message[0] == "rows":
                waiting += message[2]
                continue
            chance.shuffle(waiting)
            while waiting:
                taken = [waiting.pop() for _ in range(min(len(waiting), chance.randrange(1, 6)))]
                new += [("rows", partition, [row for row in taken if row.partition == partition]) for partition in sorted({row.partition for row in taken})]
            new.append(message)
    return found


@settings(max_examples=3, deadline=None)
@given(st.integers(0, 2**32))
def test_equals_the_slow_way(seed: int) -> None:
    messages = world(seed, 40)
    assert run(messages, PROGRAMS) == expected(messages, PROGRAMS)


@settings(max_examples=1, deadline=None)
@given(st.integers(0, 2**32))
def test_sparse_series_equal_the_slow_way(seed: int) -> None:
    messages = world(seed, 120, rows_max=2)
    of = programs(SPARSE)
    assert run(messages, of) == expected(messages, of)


@settings(max_examples=2, deadline=None)
@given(st.integers(0, 2**32))
def test_cuts_order_ticks_and_restarts_change_nothing(seed: int) -> None:
    messages, chance, of = world(seed, 40), random.Random(seed), PROGRAMS + programs(SPARSE)
    undisturbed = run(messages, of)
    assert run(recut(messages, chance), of, lambda: chance.random() < 0.3) == undisturbed
    assert run(messages, of, lambda: False) == undisturbed
    assert run(messages, of, restart=lambda: chance.random() < 0.05) == undisturbed
    apart = [change for shard in messages for change in run({shard: messages[shard]}, of)]
    assert sorted(apart, key=str) == undisturbed
