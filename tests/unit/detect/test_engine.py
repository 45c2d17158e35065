"""The engine as its job sees it: messages in, transitions out."""

import pyarrow as pa
import pytest

from tests.detecting import MINUTE, SECOND, T0, Bench, Row, at, measures, partials, programs, source, told
from tracebraid.pipeline.detect.build import EngineSettings
from tracebraid.pipeline.detect.engine import Engine
from tracebraid.pipeline.detect.transitions import alert_id
from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.schemas.windows import PARTIALS

ERRORS = "- {name: errors, on: spans, by: [service_name], when: error_rate > 50%, for: 2m, keep_firing_for: 1m}"
SLOW = "- {name: slow, on: spans, by: [service_name], when: max(duration) > 1s and avg(duration) > 0s, missing_for: 3m}"


def slow(minute: int, n: int = 1) -> list[Row]:
    return at(minute, n, duration=2e9)


def test_an_alert_lives_as_long_as_its_condition() -> None:
    bench = Bench(ERRORS)
    found = [bench.minute(number, at(number, 4, error=2 <= number < 6)) for number in range(9)]
    pending, firing, resolved = [("pending", "condition", 2)], [("firing", "for elapsed", 4)], [("resolved", "recovered", 7)]
    assert found == [[], [], pending, [], firing, [], [], resolved, []]


def test_a_transition_says_what_was_compared() -> None:
    bench = Bench(SLOW)
    rows = [Row(T0 + n, duration=n * 1e9, error=n == 2, trace_id=f"{n:032x}") for n in range(1, 6)]
    bench.feed(rows)
    bench.engine.watermark(0, [told(0, T0 + 2 * MINUTE)])
    (found,) = bench.engine.tick()
    assert (found.series, found.shard, found.start_us, found.end_us, found.started_us) == ({"service_name": "checkout"}, 0, T0, T0 + MINUTE, T0 + MINUTE)
    assert (found.value, found.unit, found.threshold, found.completeness) == (5e9, "ns", 1e9, 1.0)
    assert found.id == alert_id("slow", {"service_name": "checkout"}, T0 + MINUTE)
    assert [each.value for each in found.comparisons] == [5e9, 3e9]
    assert found.slowest == tuple((f"{n:032x}", n * 1e9) for n in (5, 4, 3))
    assert found.failing == ((f"{2:032x}", 2e9),)


def test_without_data_a_firing_alert_holds_and_then_ends() -> None:
    bench = Bench(SLOW)
    found = [bench.minute(number, slow(number) if number == 0 else []) for number in range(5)]
    assert found == [[("firing", "condition", 0)], [], [], [("resolved", "no data", 3)], []]


@pytest.mark.parametrize(("on_missing", "ended"), [("hold", 5), ("resolve", 3)])
def test_rows_of_which_the_condition_is_unknown_are_no_data(on_missing: str, ended: int) -> None:
    """The logs go on, the spans do not: what has no answer any more may not fire for ever."""
    bench = Bench(f"- {{name: r, on: spans, by: [service_name], when: max(duration) > 1s and logs.count() > 0, missing_for: 3m, on_missing: {on_missing}}}")
    found = [change for minute in range(9) for change in bench.minute(minute, [*(slow(minute) if minute < 3 else []), *at(minute, signal="logs")])]
    assert found == [("firing", "condition", 0), ("resolved", "no data", ended)]


def test_on_missing_fire_tells_of_silence() -> None:
    bench = Bench(SLOW.replace("missing_for: 3m", "missing_for: 2m, on_missing: fire"))
    found = [bench.minute(number, at(number) if number in (0, 4) else []) for number in range(6)]
    assert found == [[], [], [("firing", "no data", 2)], [], [("resolved", "recovered", 4)], []]


def test_on_missing_resolve_ends_at_once() -> None:
    bench = Bench(SLOW.replace("missing_for: 3m", "on_missing: resolve"))
    assert [bench.minute(0, slow(0)), bench.minute(1)] == [[("firing", "condition", 0)], [("resolved", "no data", 1)]]


def test_what_comes_late_is_dropped_and_counted() -> None:
    bench = Bench(SLOW)
    bench.minute(0, at(0))
    bench.feed(slow(0))
    assert bench.minute(1, at(1)) == []
    assert bench.engine.stats().late == 1


def test_offsets_that_are_merged_are_dropped_whole_and_parts_of_a_flush_are_not() -> None:
    bench = Bench(SLOW)
    batch = partials(at(0), measures(bench.programs))
    merged = [
        bench.engine.merge(0, source(), *offsets, batch, part=part) for offsets, part in (((5, 9), 0), ((5, 9), 1), ((5, 9), 1), ((8, 12), 0), ((9, 12), 0))
    ]
    assert merged == [True, True, False, False, True]
    assert bench.engine.stats().repeated == 2


def test_a_lagging_source_holds_windows_until_it_is_released() -> None:
    bench = Bench(ERRORS)
    engine = bench.engine
    found = []
    for number in range(7):
        bench.feed(at(number, 4, error=True))
        engine.watermark(0, [told(0, T0 + (number + 1) * MINUTE + 10 * SECOND), told(1, T0 + 70 * SECOND)])
        found.append([(each.transition, each.completeness, (each.end_us - T0) // MINUTE) for each in engine.tick()])
    assert found == [[("pending", 1.0, 1)], [], [], [], [], [], []]
    assert engine.holding(0, 0.0, 300.0) is None
    release = engine.holding(0, 301.0, 300.0)
    assert release is not None
    assert (release.sources, release.until_us) == ((source(1),), T0 + 7 * MINUTE + 10 * SECOND)
    engine.release(0, release.sources, release.until_us)
    assert engine.tick() == [], "six windows without that source: `for` does not advance on them"
    for number in (7, 8):
        bench.feed(at(number, 4, error=True))
        engine.watermark(0, [told(partition, T0 + (number + 1) * MINUTE + 10 * SECOND) for partition in (0, 1)])
    assert [(each.transition, each.reason, (each.end_us - T0) // MINUTE) for each in engine.tick()] == [("firing", "for elapsed", 9)]


def test_an_incomplete_window_says_so_and_ends_nothing() -> None:
    bench = Bench(SLOW)
    bench.feed(slow(0))
    bench.engine.watermark(0, [told(0, T0 + 2 * MINUTE), told(1, T0)])
    bench.engine.release(0, [source(1)], T0 + 2 * MINUTE)
    assert [(each.transition, each.completeness) for each in bench.engine.tick()] == [("firing", 0.5)]
    bench.feed(at(1))
    bench.engine.watermark(0, [told(0, T0 + 3 * MINUTE), told(1, T0)])
    bench.engine.release(0, [source(1)], T0 + 3 * MINUTE)
    assert bench.engine.tick() == []


def test_a_condition_that_only_becomes_truer_fires_before_its_window_ends() -> None:
    bench = Bench("- {name: many, on: spans, by: [service_name], when: errors >= 3}")
    bench.minute(0, at(0))
    bench.feed(at(1, 2, error=True))
    bench.engine.watermark(0, [told(0, T0 + MINUTE + 20 * SECOND)])
    assert bench.engine.tick() == []
    bench.feed(at(1, 5, error=True))
    assert not bench.engine.due(0)
    assert bench.engine.tick() == [], "nobody was told of a watermark since"
    bench.engine.watermark(0, [told(0, T0 + MINUTE + 30 * SECOND)])
    assert bench.engine.due(0)
    (early,) = bench.engine.tick()
    assert (early.transition, early.end_us, early.value, early.threshold, early.early) == ("firing", T0 + 2 * MINUTE, 3.0, 3.0, True)
    assert bench.minute(1) == []
    assert bench.minute(2, at(2)) == [("resolved", "recovered", 2)]


def test_rows_in_a_row_go_on_over_windows() -> None:
    bench = Bench("- {name: drift, on: records, by: [device], when: temp > 72, consecutive: 3}")

    def readings(minute: int, *true: bool) -> list[Row]:
        return [Row(T0 + minute * MINUTE + n, ("a",), true=each, offset=n, signal="logs") for n, each in enumerate(true)]

    found = [bench.minute(n, readings(n, *true)) for n, true in enumerate([(True, True), (True, False, True), (False, True), (True,), ()])]
    assert found == [[], [("firing", "condition", 1)], [("resolved", "recovered", 2)], [], []]


def test_a_changed_rule_ends_its_alerts_and_an_unchanged_one_goes_on() -> None:
    other = "\n- {name: errors, on: spans, by: [service_name], when: error_rate > 50%, for: 2m}"
    bench = Bench(SLOW + other)
    rows = at(0, 2, duration=2e9, error=True)
    assert [each[:2] for each in bench.minute(0, rows)] == [("pending", "condition"), ("firing", "condition")]
    bench.programs = programs(SLOW.replace("1s", "1500ms") + other.replace("for: 2m", "for: 2m, labels: {severity: page}"))
    bench.engine.set_rules(bench.programs, T0 + 2 * MINUTE)
    found = [bench.minute(n, at(n, 2, duration=2e9, error=True)) for n in (1, 2, 3)]
    assert found == [[("resolved", "rule changed", 1)], [("firing", "condition", 2), ("firing", "for elapsed", 2)][::-1], []]
    bench.engine.set_rules([], T0 + 5 * MINUTE)
    assert sorted(bench.minute(4, at(4, 2, duration=2e9, error=True))) == [("resolved", "rule removed", 4)] * 2
    assert bench.engine.slots == []
    assert bench.engine.stores == {}


def test_a_rule_that_was_applied_before_a_start_is_not_judged_on_a_window_that_it_holds_half_of() -> None:
    few = "- {name: few, on: spans, by: [service_name], when: count() < 5}"
    bench = Bench(few)
    assert bench.minute(0, at(0, 2)) == [("firing", "condition", 0)]
    bench = Bench(few)
    bench.engine = Engine(bench.programs, EngineSettings(shards=4), {"few": T0 + MINUTE})
    assert [bench.minute(n, at(n, 2)) for n in range(3)] == [[], [("firing", "condition", 1)], []]
    saved = Bench(few).engine.snapshot(0)  # taken when the rule came: it knows nothing of its windows
    again = Engine(bench.programs, EngineSettings(shards=4), {"few": T0 + MINUTE})
    again.restore(0, saved)
    bench.engine, bench.offset = again, 0
    assert [bench.minute(n, at(n, 2)) for n in range(3)] == [[], [("firing", "condition", 1)], []]


def test_an_alert_of_a_rule_that_is_gone_ends_when_its_shard_is_restored() -> None:
    bench = Bench(SLOW)
    bench.minute(0, slow(0))
    saved = bench.engine.snapshot(0)
    for text, reason in (("", "rule removed"), (SLOW.replace("1s", "3s"), "rule changed")):
        engine = Engine(programs(text or "[]"), EngineSettings(shards=4))
        engine.restore(0, saved)
        assert engine.waits()  # no snapshot may be taken before it is told
        (found,) = engine.tick()
        assert (found.transition, found.reason, found.rule.name, found.series) == ("resolved", reason, "slow", {"service_name": "checkout"})


def test_a_snapshot_is_taken_between_ticks_only() -> None:
    bench = Bench(SLOW)
    bench.feed(at(0))
    with pytest.raises(TracebraidError, match="between two ticks"):
        bench.engine.snapshot(0)


def test_series_past_the_bound_are_one_and_a_shard_has_its_own() -> None:
    bench = Bench(SLOW, EngineSettings(shards=4, series_max=2))
    for shard in (0, 1):
        bench.feed([row for n in range(5) for row in at(0, labels=(f"s{shard}{n}",), duration=2e9)], shard)
        bench.engine.watermark(shard, [told(0, T0 + 2 * MINUTE)])
    others = {each.series["service_name"] for each in bench.engine.tick() if each.series["service_name"].startswith("(")}
    assert others == {"(other, partition 0)", "(other, partition 1)"}
    assert bench.engine.stats().overflowed == 6


def test_a_silent_series_is_forgotten_and_its_row_given_to_another() -> None:
    bench = Bench(SLOW)
    for number in range(8):
        bench.minute(number, at(number, labels=("old",)) if number == 0 else at(number, labels=("new",)))
    assert bench.engine.stats().series == 1


def test_another_owner_takes_a_shard() -> None:
    bench = Bench(SLOW)
    bench.minute(0, slow(0))
    bench.feed(at(0, labels=("other",)), 1)
    bench.engine.watermark(1, [told(0, T0 + 2 * MINUTE)])
    bench.engine.tick()
    bench.engine.forget(0)
    assert bench.engine.stats().series == 1
    assert bench.engine.tick() == []


def test_long_silence_between_two_captures_is_passed_over() -> None:
    bench = Bench(SLOW)
    bench.minute(0, slow(0))
    year = 365 * 24 * 60
    assert bench.minute(year, slow(year)) == [("resolved", "no data", 3), ("firing", "condition", year)]


def test_a_burn_rate_looks_back_for_days_by_the_hour() -> None:
    text = "- {name: slo, on: spans, by: [service_name], every: 1m, slo: {objective: 99, good: status_code <> 'ERROR', windows: default}}"
    bench = Bench(text.replace("every: 1m, ", ""))
    found = [bench.minute(n * 30, at(n * 30, 10, error=n >= 40)) for n in range(46)]
    told_of = [each for one in found for each in one]
    assert told_of[0][:2] == ("firing", "condition")
    (store,) = bench.engine.stores.values()
    assert len(store.hours) == 23


def test_change_compares_with_the_window_that_much_earlier() -> None:
    bench = Bench('- {name: drop, on: spans, by: [service_name], when: "change(count(), 2m) < -50%"}')
    found = [bench.minute(n, at(n, 10 if n < 3 else 2)) for n in range(6)]
    assert found == [[], [], [], [("firing", "condition", 3)], [], [("resolved", "recovered", 5)]]


def test_a_lasting_level_outside_the_band_is_a_new_normal() -> None:
    bench = Bench('- {name: odd, on: spans, by: [service_name], when: "avg(duration) > baseline(avg(duration), min_count: 0)", adapt_after: 20m}')
    found = [each for n in range(400) for each in bench.minute(n, at(n, 3, duration=1e7 + n % 7 * 1e5 if n < 300 else 9e7 + n % 7 * 1e5))]
    assert found[0][:2] == ("firing", "condition")
    assert [each[:2] for each in found][-1] == ("resolved", "new normal")
    assert 15 <= found[-1][2] - found[0][2] <= 25


def test_a_new_normal_ends_no_alert_whose_threshold_still_holds() -> None:
    when = "avg(duration) > baseline(avg(duration), min_count: 0) or avg(duration) > 80ms"
    bench = Bench(f'- {{name: odd, on: spans, by: [service_name], when: "{when}", adapt_after: 20m}}')
    durations = [9e7 if 300 <= n < 400 else 1e7 for n in range(410)]
    found = [each for n, duration in enumerate(durations) for each in bench.minute(n, at(n, 3, duration=duration + n % 7 * 1e5))]
    assert [each for each in found if each[0] == "firing" and each[1] == "condition" and each[2] < 400] == [("firing", "condition", 300)]
    assert [each for each in found if each[0] == "resolved"] == [("resolved", "recovered", 400)]


def test_a_sparse_series_speaks_by_a_wider_window_and_then_by_its_parent() -> None:
    text = '- {name: odd, on: spans, by: [service_name, route], when: "avg(duration) > baseline(avg(duration), min_count: 20, floor: 1ms)"}'
    bench = Bench(text)
    found = []
    for n in range(280):
        duration = 1e7 if n < 240 else 5e8
        rows = [*at(n, 5, labels=("cart", "/some"), duration=duration)]
        if n % 6 == 0:
            rows += [row for route in range(8) for row in at(n, 1, labels=("cart", f"/rare{route}"), duration=duration)]
        bench.feed(rows)
        bench.engine.watermark(0, [told(0, T0 + (n + 1) * MINUTE + 10 * SECOND)])
        found += [(tuple(each.series.values()), each.width, each.window_us // MINUTE) for each in bench.engine.tick() if each.transition == "firing"]
    assert found[0] == (("cart", "/some"), 5, 5)
    assert (("cart",), 15, 15) in found or (("cart",), 60, 60) in found
    assert all(labels in (("cart", "/some"), ("cart",)) for labels, _, _ in found)


@pytest.mark.parametrize("changes", [{"labels": []}, {"labels": ["a", "b"]}, {"columns": []}, {"pane_us": T0 + 1}])
def test_partial_windows_of_another_shape_than_their_measure_say_nothing(changes: dict[str, object]) -> None:
    bench = Bench("- {name: r, on: spans, by: [service_name], when: p99(duration) > 50ms}\n")
    odd = [{**row, **changes} for row in partials(at(0, 2, duration=90e6), measures(bench.programs)).to_pylist()]
    bench.engine.merge(0, source(), 0, 1, pa.RecordBatch.from_pylist(odd, schema=PARTIALS))
    bench.offset = 1
    assert bench.minute(0) == []
    assert bench.minute(1, at(1, 2, duration=90e6)) == [("firing", "condition", 1)]
