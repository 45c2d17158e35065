"""The learned baseline on innocent series (how often it speaks) and on faults (whether, and how soon). Bounds, on fixed seeds, near what was measured."""

import numpy as np

from benchmarks.nab import Series, judge
from tests.series import INNOCENT, MONDAY_US, faulty, times

SEEDS = (1, 2, 3)
HOUR_US = 3_600_000_000


def test_innocent_series_are_quiet() -> None:
    at = times(21, 300)
    series = [Series(f"{name}/{seed}", [], at, make(np.random.default_rng(seed), at)) for name, make in INNOCENT.items() for seed in SEEDS]
    sent = np.stack([found.sent >= 1.0 for found in judge(series)], axis=1)
    day = (at - MONDAY_US) / 86.4e9
    first, week, later = (sent[(day >= start) & (day < end)].sum() / len(series) for start, end in ((0, 2), (2, 7), (7, 21)))
    assert first <= 2.6, "alerts a series in its first two days"
    assert week <= 2.4, "alerts a series in the rest of its first week"
    assert later / 2 <= 0.7, "alerts a series-week after the first"
    for at_series, one in enumerate(series):
        assert sent[day >= 7, at_series].sum() <= 6, f"{one.name}: alerts in the second and third week"


def test_a_weekend_alerts_at_most_once_it_is_known() -> None:
    at = times(28, 300)
    series = [Series(str(seed), [], at, INNOCENT["weekly load"](np.random.default_rng(seed), at)) for seed in SEEDS]
    sent = np.stack([found.sent >= 1.0 for found in judge(series)], axis=1)
    assert sent[at >= MONDAY_US + 14 * 24 * HOUR_US].sum() <= 1


def test_faults_are_found_soon() -> None:
    for age_hours, share, delay_windows in ((6, 0.9, 4), (30, 0.95, 3), (4 * 24 + 11, 0.95, 3)):
        at = times(age_hours / 24 + 0.5 / 24, 60)
        start = MONDAY_US + age_hours * HOUR_US
        series = [Series(name, [], at, x) for seed in SEEDS for name, x in faulty(np.random.default_rng(seed), at, start, start + HOUR_US // 2).items()]
        delays = []
        for one, found in zip(series, judge(series), strict=True):
            out = np.flatnonzero((found.severity >= 1.0) & (at >= start))
            if len(out) and "ramp" not in one.name:
                delays.append((at[out[0]] - start) / 60e6 + 1)
            elif len(out):
                assert (at[out[0]] - start) / 60e6 <= 25, f"{one.name} at {age_hours} h"
                delays.append(1)
        assert len(delays) >= share * len(series), f"found at the age of {age_hours} h"
        assert np.median(delays) <= delay_windows, f"windows until found at the age of {age_hours} h"


def test_a_lasting_change_becomes_normal() -> None:
    at = times(20, 300)
    x = INNOCENT["p99 of 200"](np.random.default_rng(5), at) * np.where(at >= MONDAY_US + 10 * 24 * HOUR_US, 1.6, 1.0)
    (found,) = judge([Series("deploy", [], at, x)])
    changed = at >= MONDAY_US + 10 * 24 * HOUR_US
    assert found.severity[changed][:12].max() >= 1.0
    assert (found.severity[changed][12 * 24 :] >= 1.0).mean() < 0.01, "a day later the new level is ordinary"
    assert (found.sent[changed] >= 1.0).sum() <= 8


def test_scores_of_a_series_cut_anywhere_are_the_first_of_the_whole() -> None:
    at = times(16, 600)
    random = np.random.default_rng(9)
    x = np.where(random.random(len(at)) < 0.02, np.nan, INNOCENT["heavy tail"](random, at))
    whole = judge([Series("whole", [], at, x), Series("other", [], at, np.sqrt(x))])[0]
    for cut in (1, 29, 31, 500, 1441, 2100):
        (part,) = judge([Series("cut", [], at[:cut], x[:cut])])
        for name in ("sent", "severity", "low", "high", "reason"):
            np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[:cut], err_msg=f"{name} cut at {cut}")
