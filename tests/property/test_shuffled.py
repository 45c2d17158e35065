"""Rows that come late by less than the lateness, over many partitions and several consumers, alert as they do in order, from one."""

import random
from collections import defaultdict
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.detecting import MINUTE, SECOND, T0, Row, measures, partials, programs, source, told
from tests.property.test_detect import shape
from tracebraid.pipeline.detect.build import EngineSettings
from tracebraid.pipeline.detect.engine import Engine
from tracebraid.schemas.windows import Watermark

# None that may fire early: what is told early is what was there by then.
RULES = """
- {name: ratio, on: spans, by: [service_name, route], when: p90(duration) > 40ms and error_rate > 30%, for: 2m, keep_firing_for: 1m}
- {name: sliding, on: spans, by: [service_name], when: avg(duration) > 30ms, window: 3m, every: 1m, missing_for: 4m}
- {name: change, on: spans, by: [service_name], when: "change(count(), 5m) < -60%", missing_for: 3m}
- {name: silence, on: spans, by: [service_name, route], when: count() < 1, missing_for: 3m, on_missing: fire}
- {name: both, on: spans, by: [service_name], when: error_rate > 20% and logs.count() < 4}
- {name: row, on: logs, by: [service_name], when: body = 'x', consecutive: 3}
- {name: learned, on: spans, by: [service_name, route], when: "p90(duration) > baseline(p90(duration), sensitivity: 0.1, min_count: 6)", adapt_after: 10m}
"""
PROGRAMS = programs(RULES)
MEASURES = measures(PROGRAMS)
LATENESS_US = 10 * SECOND
MINUTES, PARTITIONS, CONSUMERS = 60, 4, 2
FLUSH_US = 3 * SECOND
Arrival = tuple[int, int, Row]  # when, on which partition


def rows_of(chance: random.Random) -> list[Row]:
    """In order of time, no two at once."""
    found = []
    for minute in range(MINUTES):
        bad, quiet = chance.random() < 0.3, chance.random() < 0.1
        for second in sorted(chance.sample(range(60 * 1000), 3 if quiet else 20)):
            labels = chance.choice([("cart", "/a"), ("cart", "/b"), ("pay", "/a")])
            duration = float(chance.randrange(1, 100 if bad else 30) * 1_000_000)
            signal, error = "logs" if chance.random() < 0.3 else "spans", chance.random() < (0.5 if bad else 0.05)
            found.append(Row(T0 + minute * MINUTE + second * 1000, labels, duration, error, 0, len(found), signal, true=chance.random() < 0.7))
    return found


def alerts(arrivals: Sequence[Arrival], partitions: int, consumers: int) -> list[tuple[object, ...]]:
    """What an engine tells. Each consumer publishes what came on its partitions every FLUSH_US, then how far they have come, in turn with the others."""
    engine, found = Engine(PROGRAMS, EngineSettings(shards=1)), []
    cursor, latest = [0] * partitions, dict.fromkeys(range(partitions), T0)
    engine.watermark(0, [told(number, T0) for number in range(partitions)])
    waiting: defaultdict[int, list[Row]] = defaultdict(list)

    def publish(consumer: int) -> list[Watermark]:
        owned = range(consumer, partitions, consumers)
        for number in owned:
            if rows := waiting.pop(number, None):
                assert engine.merge(0, source(number), cursor[number], cursor[number] + 1, partials(rows, MEASURES))
                cursor[number] += 1
                latest[number] = max(latest[number], *(row.time_us for row in rows))
        return [told(number, latest[number]) for number in owned]

    due_us, turn = T0 + FLUSH_US, 0
    for when, number, row in arrivals:
        while when >= due_us:
            engine.watermark(0, publish(turn % consumers))
            found += engine.tick()
            due_us, turn = due_us + FLUSH_US // consumers, turn + 1
        waiting[number].append(row)
    for consumer in range(consumers):
        engine.watermark(0, publish(consumer))
    engine.watermark(0, [told(number, T0 + MINUTES * MINUTE + LATENESS_US) for number in range(partitions)])
    return sorted((shape(each) for each in [*found, *engine.tick()]), key=str)


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 2**32))
def test_rows_shuffled_within_the_lateness_alert_as_in_order(seed: int) -> None:
    chance = random.Random(seed)
    rows = rows_of(chance)
    in_order = alerts([(row.time_us, 0, row) for row in rows], 1, 1)
    assert len({each[0] for each in in_order}) >= 5, "rules that never fire show nothing"
    shuffled = sorted((row.time_us + chance.randrange(LATENESS_US), chance.randrange(PARTITIONS), number) for number, row in enumerate(rows))
    assert alerts([(when, place, rows[number]) for when, place, number in shuffled], PARTITIONS, CONSUMERS) == in_order


def test_rows_that_are_later_do_not() -> None:
    """So the comparison can fail."""
    rows = rows_of(random.Random(3))
    in_order = alerts([(row.time_us, 0, row) for row in rows], 1, 1)
    late = sorted((row.time_us + (number % 2) * 90 * SECOND, number // 2 % PARTITIONS, number) for number, row in enumerate(rows))
    assert alerts([(when, place, rows[number]) for when, place, number in late], PARTITIONS, CONSUMERS) != in_order
