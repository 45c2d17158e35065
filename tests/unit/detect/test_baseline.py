"""The bank of learned baselines: what one judgement, one lesson, one report does."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from tests.series import MONDAY_US, load, p99
from tracebraid.pipeline.detect.baseline import REASONS, Band, Bank, Dial
from tracebraid.pipeline.detect.memory import FIELDS
from tracebraid.pipeline.detect.tuning import TUNING

Floats = npt.NDArray[np.float64]
MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
ROW = np.array([0])
LAST = 2**53


def play(bank: Bank, rows: npt.NDArray[np.intp], start_us: int, values: Floats, *, step_us: int = MINUTE_US, dial: Dial | None = None) -> list[Band]:
    """As detect does: judge, learn what is inside, restart what has been steady outside. values: [steps, rows]."""
    bands = []
    for step, x in enumerate(values):
        now = start_us + step * step_us
        bands.append(bank.judge(rows, now, x, dial or Dial()))
        bank.learn(bands[-1], ~(bands[-1].severity >= 1.0))
        bank.restart(rows[bank.steady(rows, now, HOUR_US)])
    return bands


def noise(steps: int, rows: int = 1, seed: int = 7) -> Floats:
    return 100.0 + np.random.default_rng(seed).normal(0, 2, (steps, rows))


def taught(steps: int = 600, **dial: float) -> tuple[Bank, int]:
    """A bank whose row 0 has seen steady noise about 100, and the time of its next window."""
    bank = Bank(1)
    play(bank, ROW, MONDAY_US, noise(steps), dial=Dial(**dial) if dial else None)  # type: ignore[arg-type]
    return bank, MONDAY_US + steps * MINUTE_US


def severity(bank: Bank, now: int, x: float, dial: Dial | None = None) -> float:
    return float(bank.judge(ROW, now, np.array([x]), dial or Dial()).severity[0])


def test_there_is_no_band_before_thirty_points() -> None:
    bands = play(Bank(1), ROW, MONDAY_US, noise(31))
    assert [np.isfinite(band.high[0]) for band in bands] == [False] * TUNING.points_min + [True]
    assert bands[0].reason[0] == 0
    assert REASONS[0] == "still learning"


def test_severity_is_one_or_more_exactly_outside_the_band() -> None:
    values = np.where(np.random.default_rng(3).random((1500, 20)) < 0.02, 1.6, 1.0) * noise(1500, 20)
    outside = inside = 0
    for band in play(Bank(20), np.arange(20), MONDAY_US, values):
        x = band.traces.x
        clear = np.minimum(abs(x - band.low), abs(x - band.high)) > 1e-6
        assert ((band.severity >= 1.0) == ((x < band.low) | (x > band.high)))[clear].all()
        outside, inside = outside + int((band.severity >= 1.0).sum()), inside + int((band.severity < 1.0).sum())
    assert outside > 10
    assert inside > 20_000


def test_severity_rises_with_the_distance() -> None:
    bank, now = taught()
    found = [severity(bank, now, x) for x in (100, 110, 120, 140, 180, 300)]
    assert found[0] == 0.0
    assert found == sorted(found)
    assert found[-1] > found[-2] > 1.0


def test_judging_changes_nothing_that_is_learned() -> None:
    bank, now = taught()
    first = bank.judge(ROW, now, np.array([250.0]))
    again = bank.judge(ROW, now, np.array([250.0]))
    np.testing.assert_array_equal(first.severity, again.severity)


def test_without_data_there_is_a_band_and_no_severity_and_nothing_is_learned() -> None:
    bank, now = taught()
    bank.judge(ROW, now, np.array([np.nan]))  # turns the hour
    before = bank.memory.now.copy()
    for x in (np.nan, np.inf):
        band = bank.judge(ROW, now, np.array([x]))
        assert np.isnan(band.severity[0])
        assert band.low[0] < 100 < band.high[0]
        bank.learn(band, np.array([True]))
    np.testing.assert_array_equal(bank.memory.now, before)


def test_a_series_that_never_moved_has_a_band_of_some_width() -> None:
    bank = Bank(1)
    play(bank, ROW, MONDAY_US, np.full((600, 1), 50.0))
    now = MONDAY_US + 600 * MINUTE_US
    assert severity(bank, now, 50.9) < 1.0
    assert severity(bank, now, 60.0) >= 1.0


def test_the_first_move_from_nothing_is_as_severe_as_any() -> None:
    bank = Bank(1)
    play(bank, ROW, MONDAY_US, np.zeros((600, 1)))
    assert severity(bank, MONDAY_US + 600 * MINUTE_US, 0.5) == TUNING.score_max / TUNING.single


def test_the_floor_is_in_the_measures_unit() -> None:
    bank, now = taught()
    assert severity(bank, now, 160.0) >= 1.0
    assert severity(bank, now, 160.0, Dial(floor=100.0)) < 1.0
    band = bank.judge(ROW, now, np.array([np.nan]), Dial(floor=100.0))
    assert band.high[0] >= 200.0


def test_the_dial_widens() -> None:
    bank, now = taught()
    widths = []
    for sensitivity in (2.0, 4.0, 8.0):
        band = bank.judge(ROW, now, np.array([np.nan]), Dial(sensitivity=sensitivity))
        widths.append(float(band.high[0] - band.low[0]))
    assert widths == sorted(widths)
    assert widths[2] > widths[1] > 0


@pytest.mark.parametrize(("direction", "above", "below"), [("high", True, False), ("low", False, True), ("both", True, True)])
def test_only_the_side_that_the_rule_looks_at_counts(direction: str, above: bool, below: bool) -> None:
    bank, now = taught()
    dial = replace(Dial(), direction=direction)
    assert (severity(bank, now, 200.0, dial) >= 1.0, severity(bank, now, 20.0, dial) >= 1.0) == (above, below)


def test_what_is_reported_is_not_learned_while_it_lasts() -> None:
    bank, now = taught()
    bands = play(bank, ROW, now, np.full((40, 1), 300.0))
    assert all(band.severity[0] >= 1.0 for band in bands)


def test_an_ended_report_widens_the_range_by_at_most_its_own_width() -> None:
    bank, now = taught()
    before = bank.judge(ROW, now, np.array([np.nan]))
    play(bank, ROW, now, np.vstack((np.full((5, 1), 2000.0), noise(20))))
    after = bank.judge(ROW, now + 25 * MINUTE_US, np.array([np.nan]))
    assert before.high[0] < after.high[0] < 3 * before.high[0]
    assert severity(bank, now + 25 * MINUTE_US, 2000.0) >= 1.0, "the same again is reported again"


def test_a_steady_level_outside_is_a_new_normal_after_an_hour() -> None:
    bank, now = taught()
    bands = play(bank, ROW, now, 80.0 + noise(200))
    outside = [bool(band.severity[0] >= 1.0) for band in bands]
    assert all(outside[:61])
    assert not any(outside[61:])
    assert severity(bank, now + 200 * MINUTE_US, 400.0) >= 1.0


def test_values_outside_now_and_then_are_no_new_normal() -> None:
    bank, now = taught()
    x = noise(120)
    x[::10] = 300.0
    play(bank, ROW, now, x)
    assert not bank.steady(ROW, now + 121 * MINUTE_US, HOUR_US)[0]


def test_a_row_forgotten_is_as_new() -> None:
    bank, _ = taught()
    bank.forget(ROW)
    new = Bank(1)
    for name, held in bank.snapshot(ROW).items():
        np.testing.assert_array_equal(held, new.snapshot(ROW)[name])


def test_growing_keeps_what_is_known() -> None:
    bank, now = taught()
    before = bank.judge(ROW, now, np.array([130.0]))
    bank.grow(5000)
    after = bank.judge(ROW, now, np.array([130.0]))
    assert (bank.memory.capacity, after.severity[0], after.high[0]) == (5000, before.severity[0], before.high[0])


def test_a_snapshot_taken_midway_goes_on_alike() -> None:
    values = np.random.default_rng(1).lognormal(0, 0.4, (1000, 6))
    rows, others = np.arange(6), np.array([11, 3, 7, 0, 5, 9])
    whole, restored = Bank(6), Bank(12)
    play(whole, rows, MONDAY_US, values[:700], step_us=5 * MINUTE_US)
    assert restored.restore(others, whole.snapshot(rows))
    now = MONDAY_US + 3500 * MINUTE_US
    for ours, theirs in zip(
        play(whole, rows, now, values[700:], step_us=5 * MINUTE_US), play(restored, others, now, values[700:], step_us=5 * MINUTE_US), strict=True
    ):
        for name in ("low", "high", "severity", "reason"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


def test_a_snapshot_of_another_version_is_refused() -> None:
    bank, _ = taught()
    state = bank.snapshot(ROW)
    state["version"] = np.array([LAST])
    new = Bank(1)
    assert not new.restore(ROW, state)
    np.testing.assert_array_equal(new.memory.now, Bank(1).memory.now)


def test_a_series_alone_is_judged_as_among_a_thousand() -> None:
    values = np.random.default_rng(2).lognormal(0, 0.5, (400, 1000))
    rows = np.arange(1000)
    among, alone = Bank(1000), Bank(1)
    many = play(among, rows, MONDAY_US, values, step_us=10 * MINUTE_US)
    one = play(alone, ROW, MONDAY_US, values[:, [613]], step_us=10 * MINUTE_US)
    for all_rows, single in zip(many, one, strict=True):
        for name in ("low", "high", "severity", "reason"):
            np.testing.assert_array_equal(getattr(all_rows, name)[613], getattr(single, name)[0])


def test_an_hour_is_one_of_the_rules_timezone() -> None:
    bands = []
    for offset in (0, 5 * HOUR_US + HOUR_US // 2):
        bank = Bank(1)
        at = MONDAY_US - offset + np.arange(4 * 288, dtype=np.int64) * 5 * MINUTE_US
        values = load(at + offset, 100, 0.8)[:, None] + noise(len(at)) / 50
        bands.append(play(bank, ROW, int(at[0]), values, step_us=5 * MINUTE_US, dial=Dial(utc_offset_us=offset))[-1])
    assert (bands[0].low[0], bands[0].high[0]) == pytest.approx((bands[1].low[0], bands[1].high[0]))


def test_points_that_are_missing_or_late_do_not_age_a_series() -> None:
    random = np.random.default_rng(4)
    bank, at = Bank(1), np.cumsum(random.integers(1, 60, 2000)) * MINUTE_US + MONDAY_US
    x = p99(random, at)
    found = 0
    for now, value in zip(at.tolist(), x, strict=True):
        band = bank.judge(ROW, now, np.array([value if random.random() > 0.3 else np.nan]))
        bank.learn(band, ~(band.severity >= 1.0))
        found += int(band.severity[0] >= 1.0)
    assert found <= 20  # windows, in six weeks
    assert severity(bank, int(at[-1]) + MINUTE_US, 4 * x.max()) >= 1.0


def test_a_monday_like_a_sunday_is_outside_once_weeks_are_known() -> None:
    step = 15 * MINUTE_US
    at = MONDAY_US + np.arange(21 * 96, dtype=np.int64) * step
    values = np.random.default_rng(6).normal(load(at, 300, 0.5, weekend=0.4), 4)
    bank = Bank(1)
    bands = play(bank, ROW, MONDAY_US, values[:, None], step_us=step)
    assert max(band.severity[0] for band in bands[15 * 96 :]) < 1.0
    noon = MONDAY_US + 21 * 24 * HOUR_US + 12 * HOUR_US
    ordinary, like_sunday = (float(load(np.array([noon]), 300, 0.5)[0]) * share for share in (1.0, 0.4))
    assert severity(bank, noon, ordinary) < 1.0
    band = bank.judge(ROW, noon, np.array([like_sunday]))
    assert band.severity[0] >= 1.0
    assert REASONS[band.reason[0]] == "unlike what is usual at this hour of this weekday"


def test_old_epochs_are_forgotten() -> None:
    bank = Bank(1)
    step = HOUR_US
    play(bank, ROW, MONDAY_US, np.where(np.arange(200) < 100, 1000.0, 100.0)[:, None] + noise(200), step_us=step)
    wide = bank.judge(ROW, MONDAY_US + 201 * step, np.array([np.nan]))
    play(bank, ROW, MONDAY_US + 201 * step, noise(60 * 24), step_us=step)
    narrow = bank.judge(ROW, MONDAY_US + (201 + 60 * 24) * step, np.array([np.nan]))
    assert narrow.high[0] - narrow.low[0] < (wide.high[0] - wide.low[0]) / 5


def test_memory_of_a_series_is_bounded_and_as_stated() -> None:
    assert Bank(1000).bytes_per_series == 1202
    assert len(FIELDS) * 8 + 5 * 24 * 4 + 2 * 24 + 42 * 4 + 42 == 1202
