"""What the torture of alerts calls a difference: it must find each kind."""

from collections import Counter
from dataclasses import replace

from tests.torture.alerts import Told, about, differences, shown

ALERT = {
    "id": "a", "rule": "slow", "series": {"service_name": "cart"}, "transition": "firing", "reason": "condition", "started_us": 1,
    "window": {"start_us": 0, "end_us": 60}, "value": 900.0, "threshold": 500.0,
}  # fmt: skip
NAME = about(ALERT)
TOLD = Told(Counter([shown(ALERT)]), Counter([NAME]), Counter([NAME]), {NAME: "cart"}, {NAME: "own time 900 ms a trace"})


def kinds(found: Told) -> list[str]:
    return [each.partition(":")[0] for each in differences(TOLD, found)]


def test_equal_runs_do_not_differ() -> None:
    assert differences(TOLD, replace(TOLD)) == []


def test_an_alert_or_its_evidence_missing_or_twice_differs() -> None:
    assert kinds(replace(TOLD, alerts=Counter())) == ["missing"]
    assert kinds(replace(TOLD, alerts=TOLD.alerts + TOLD.alerts)) == ["too many"]
    assert kinds(replace(TOLD, evidence=Counter())) == ["without evidence (killed)"]
    assert kinds(replace(TOLD, evidence=TOLD.evidence + TOLD.evidence)) == ["evidence too often (killed)"]
    assert [each.partition(":")[0] for each in differences(replace(TOLD, evidence=Counter()), TOLD)] == ["without evidence (undisturbed)"]


def test_another_start_of_an_alert_differs() -> None:
    """`for:` that began anew."""
    assert kinds(replace(TOLD, alerts=Counter([shown({**ALERT, "started_us": 2})]))) == ["missing", "too many"]


def test_another_service_differs_and_other_numbers_where_both_lakes_held_the_window() -> None:
    assert differences(TOLD, replace(TOLD, faults={NAME: "db"})) == [f"service 'cart', 'db': {NAME}"]
    assert len(differences(TOLD, replace(TOLD, reasons={NAME: "own time 901 ms a trace"}))) == 1
    assert differences(TOLD, replace(TOLD, reasons={})) == []
