"""What a rule asks to be measured, and its truth over series."""

import numpy as np
import pytest

from tracebraid.pipeline.rules.compile import compile_rule
from tracebraid.pipeline.rules.measures import Measure
from tracebraid.pipeline.rules.program import Band, BaselineSpec, Input, Program
from tracebraid.pipeline.rules.slo import DEFAULT_PERIOD_US, DEFAULT_WINDOWS
from tracebraid.schemas.rule import HOUR_US, MINUTE_US, Rule, Slo

NAN = np.nan


def compiled(when: str, **keys: object) -> Program:
    return compile_rule(Rule(name="r", when=when, **{"on": "spans", "by": ("service_name",), **keys}))  # type: ignore[arg-type]


def test_inputs_and_measure_of_a_composite() -> None:
    program = compiled("p99(duration) > 500ms and error_rate > 5%", where="kind = 'SERVER'")
    measure = Measure(signal="spans", by=("service_name",), pane_us=MINUTE_US, where="kind = 'SERVER'", columns=("duration",))
    assert program.measures == (measure,)
    assert program.inputs == (
        Input(measure.id, "quantile", MINUTE_US, quantile=0.99),
        Input(measure.id, "errors", MINUTE_US),
        Input(measure.id, "count", MINUTE_US),
    )
    assert (program.unit, program.early, program.baselines) == ("ns", False, ())
    verdict = program.evaluate([np.array([6e8, 6e8, NAN, NAN, 4e8]), np.array([1.0, 0, 1, 0, NAN]), np.array([10.0, 10, 10, 10, NAN])])
    assert verdict.truth.tolist() == [1, 0, -1, 0, 0]
    assert [(each.text, each.unit, each.truth.tolist()) for each in verdict.comparisons] == [
        ("p99(duration) > 500ms", "ns", [1, 1, -1, -1, 0]),
        ("error_rate > 5%", "1", [1, 0, 1, 0, -1]),
    ]
    assert verdict.comparisons[1].value[:2].tolist() == [0.1, 0.0]
    assert verdict.comparisons[1].threshold.tolist() == [0.05] * 5


def test_one_question_is_asked_once() -> None:
    program = compiled("count() > 5 or count() > 7 and errors / count() > 10% and p99(duration) > 1s and avg(duration) > 1s")
    assert [each.kind for each in program.inputs] == ["count", "errors", "quantile", "avg"]
    assert program.measures[0].columns == ("duration",)


def test_both_signals_of_one_group() -> None:
    program = compiled("p99(duration) > 1s and logs.count(severity_number >= 17) > 10", where="kind = 'SERVER'")
    assert [(each.signal, each.by, each.where, each.conditions, each.columns) for each in program.measures] == [
        ("spans", ("service_name",), "kind = 'SERVER'", (), ("duration",)),
        ("logs", ("service_name",), "", ("severity_number >= 17",), ()),
    ]
    assert [each.measure_id for each in program.inputs] == [measure.id for measure in program.measures]


def test_baseline() -> None:
    program = compiled("p99(duration) > baseline(p99(duration), sensitivity: 3, floor: 50ms) and errors >= 1")
    (measure,) = program.measures
    assert program.baselines == (BaselineSpec("p99(duration)", "ns", measure.id, 3.0, 50e6, 30, "high"),)
    values = [np.array([5.0, 15, 15, NAN]), np.ones(4)]
    band = Band(np.array([1.0, 1, NAN, 1]), np.array([10.0, 10, NAN, 10]), np.zeros(4), np.zeros(4, np.int8))
    assert program.observe(0, values).tolist()[:3] == [5, 15, 15]
    verdict = program.evaluate(values, [band])
    assert verdict.truth.tolist() == [0, 1, 0, -1]
    assert verdict.comparisons[0].band is band
    assert verdict.comparisons[0].threshold.tolist()[:2] == [10, 10]


def test_a_count_is_its_own_sample() -> None:
    texts = [
        "count() < baseline(count())",
        "rate() <> baseline(rate())",
        "baseline(error_rate) < error_rate",
        "avg(duration) > baseline(avg(duration), min_count: 5)",
    ]
    assert [(spec.min_count, spec.direction, spec.unit) for text in texts for spec in compiled(text).baselines] == [
        (0, "low", ""),
        (0, "both", "1/s"),
        (30, "high", "1"),
        (5, "high", "ns"),
    ]


def test_an_unlearned_band_is_no_missing_data() -> None:
    program = compiled("not (count() > baseline(count()))")
    for low, high in ((NAN, NAN), (-np.inf, np.inf)):
        band = Band(np.array([low]), np.array([high]), np.zeros(1), np.zeros(1, np.int8))
        assert program.evaluate([np.array([5.0])], [band]).truth.tolist() == [0]
        assert program.evaluate([np.array([NAN])], [band]).truth.tolist() == [-1]


def test_either_side_of_a_band() -> None:
    program = compiled("count() <> baseline(count())")
    band = Band(np.array([1.0, 1, 1, -np.inf, 1, -np.inf]), np.array([9.0, 9, 9, 9, np.inf, np.inf]), np.zeros(6), np.zeros(6, np.int8))
    verdict = program.evaluate([np.array([0.0, 5, 10, 10, 0, 0])], [band])
    assert verdict.truth.tolist() == [1, 0, 1, 1, 1, 0]
    assert verdict.comparisons[0].threshold.tolist() == [1, 1, 9, 9, 1, -np.inf]


def test_rule_over_rows() -> None:
    program = compiled("offset > 0.3 and temp > 72", on="records", by=("device",), consecutive=3)
    assert [(each.signal, each.observe) for each in program.measures] == [("logs", "offset > 0.3 and temp > 72")]
    assert program.inputs == (Input(program.measures[0].id, "run", MINUTE_US),)
    verdict = program.evaluate([np.array([2.0, 3, 7, NAN])])
    assert verdict.truth.tolist() == [0, 1, 1, -1]
    assert verdict.comparisons[0].text == "rows in a row with offset > 0.3 and temp > 72 >= 3"


@pytest.mark.parametrize(
    ("when", "early"),
    [
        ("count() > 5", True),
        ("5 < errors and max(duration) >= 1s", True),
        ("not count(kind = 'SERVER') <= 5 or rate() > 3", True),
        ("2 * count() + errors > 5", True),
        ("count() < 5", False),
        ("not count() > 5", False),
        ("-count() > -5", False),
        ("error_rate > 5%", False),
        ("count() > errors", False),
        ("min(duration) > 1s", False),
        ("sum(duration) > 1s", False),
        ("count() > 5 or p99(duration) > 1s", False),
        ("count() > baseline(count())", False),
        ("change(count(), 1m) > 50%", False),
        ("temp > 72", True),
    ],
)
def test_early(when: str, early: bool) -> None:
    assert compiled(when).early is early


def test_slo_burns_over_both_windows() -> None:
    slo = Slo(0.99, "status_code <> 'ERROR'", DEFAULT_WINDOWS, DEFAULT_PERIOD_US)
    program = compiled("", slo=slo)
    assert [measure.conditions for measure in program.measures] == [("status_code <> 'ERROR'",)]
    windows = [HOUR_US, 5 * MINUTE_US, 6 * HOUR_US, 30 * MINUTE_US, 72 * HOUR_US]
    assert [(each.kind, each.window_us) for each in program.inputs] == [(kind, us) for us in windows for kind in ("condition", "count")]
    # Bad rows a thousand: over 1 h, 5 m, 6 h, 30 m, 3 d; allowed are 10.
    series = [[200, 200, 0, 0, 0], [200, 100, 0, 0, 0], [0, 0, 70, 70, 5], [0, 0, 5, 0, 20], [0, 0, 11, 0, 20], [0, 0, 0, 0, 0]]
    values = [np.array([1000.0 - bad[i] if kind == "good" else 1000.0 for bad in series]) for i in range(5) for kind in ("good", "all")]
    verdict = program.evaluate(values)
    assert verdict.truth.tolist() == [1, 0, 1, 0, 1, 0]
    assert [each.text for each in verdict.comparisons] == [
        "burn rate over 1h > 14.4",
        "burn rate over 5m > 14.4",
        "burn rate over 6h > 6",
        "burn rate over 30m > 6",
        "burn rate over 3d > 1",
        "burn rate over 6h > 1",
        "error budget of 30d left, by the last 3d",
    ]
    assert verdict.comparisons[0].value.round(9).tolist() == [20, 20, 0, 0, 0, 0]
    assert verdict.comparisons[-1].value.round(9).tolist() == [1, 1, 0.95, 0.8, 0.8, 1]


def test_series_without_rows_have_no_burn_rate() -> None:
    program = compiled("", slo=Slo(0.99, "status_code <> 'ERROR'", DEFAULT_WINDOWS, DEFAULT_PERIOD_US))
    assert program.evaluate([np.zeros(1) for _ in program.inputs]).truth.tolist() == [-1]
