"""What channels are sent, as values: labels, annotations, Alertmanager's two shapes, signatures."""

import hashlib
import hmac

from tests.notifying import MINUTE_US, T0_US, evidence, transition
from tracebraid.pipeline.notify.alertmanager import postable
from tracebraid.pipeline.notify.labels import annotations, fingerprint, labels, rfc3339, shown, sql, summary, valid_names
from tracebraid.pipeline.notify.webhook import signature, version_4

LABELS = {"alertname": "slow-and-failing", "http_route": "/orders/{id}", "service_name": "shop-1", "severity": "critical", "team": "payments"}


def test_names_are_made_valid_and_kept_apart() -> None:
    given = {"http.route": "a", "http_route": "b", "9lives": "c", "größe": "d", "": "e", "ok": "f"}
    assert valid_names(given) == {"_": "e", "_9lives": "c", "gr__e": "d", "http_route": "a", "http_route_2": "b", "ok": "f"}


def test_labels_are_those_of_the_series_and_the_rule() -> None:
    assert labels(transition()) == LABELS
    alert = transition(labels={"severity": "critical", "alertname": "mine", "service_name": "ours"}, series={"service_name": "", "route": "/x"})
    assert labels(alert) == {"alertname": "slow-and-failing", "route": "/x", "service_name": "ours", "severity": "critical"}


def test_labels_stay_the_same_through_an_episode() -> None:
    found = {tuple(labels(transition(change, minute=minute, value=float(minute))).items()) for minute, change in enumerate(("firing", "resolved"))}
    assert len(found) == 1


def test_annotations_say_what_was_measured_and_where_to_look() -> None:
    alert = transition()
    assert annotations(alert, link="https://traces.example/{trace_id}?a={id}&r={rule}") == {
        "summary": "slow-and-failing for http.route=/orders/{id}, service_name=shop-1: p99(duration) > 500ms (is 912 ms)",
        "value": "912 ms",
        "threshold": "500 ms",
        "reason": "condition",
        "window": f"{alert.window.start} to {alert.window.end}",
        "completeness": "100%",
        "alert_id": alert.id,
        "trace_ids": f"{'ab' * 16}, {'cd' * 16}",
        "sql": f"SELECT * FROM spans WHERE trace_id IN ('{'ab' * 16}', '{'cd' * 16}')",
        "link": f"https://traces.example/{'ab' * 16}?a={alert.id}&r=slow-and-failing",
        "runbook": "look here",
    }
    found = annotations(alert, evidence(alert))
    assert (found["service_at_fault"], found["path"], found["sql"]) == ("payments-db", "shop: GET /orders > payments-db: SELECT", "SELECT 1")


def test_a_rules_own_annotations_win() -> None:
    assert annotations(transition(annotations={"summary": "call me"}))["summary"] == "call me"


def test_without_exemplars_the_window_is_asked_for() -> None:
    alert = transition(exemplars=[], signal="logs", value=None, comparisons=[], reason="no data")
    assert sql(alert) == f"SELECT * FROM logs WHERE time >= TIMESTAMPTZ '{alert.window.start}' AND time < TIMESTAMPTZ '{alert.window.end}'"
    assert summary(alert).endswith(": no data")


def test_numbers_for_people() -> None:
    assert [shown(value, unit) for value, unit in ((0.0523, "1"), (12.5, "1/s"), (90e9, "ns"), (3 * 2.0**20, "By"), (7.0, ""), (None, "ns"), (0.0, "ns"))] == [
        "5.23 %",
        "12.5/s",
        "1.5 min",
        "3 MiB",
        "7",
        "",
        "0 ns",
    ]


def test_what_fires_is_good_for_so_long() -> None:
    now_us = T0_US + 10 * MINUTE_US
    found = postable(transition(), now_us, 180.0)
    assert (found["startsAt"], found["endsAt"]) == (rfc3339(T0_US), rfc3339(now_us + 3 * MINUTE_US))
    assert found["labels"] == LABELS
    assert "generatorURL" not in found


def test_what_resolved_ended_with_its_window_but_never_ahead_of_now() -> None:
    resolved = transition("resolved", minute=5)
    late, early = (postable(resolved, T0_US + minutes * MINUTE_US, 180.0) for minutes in (10, 2))
    assert (late["startsAt"], late["endsAt"]) == (rfc3339(T0_US), rfc3339(T0_US + 5 * MINUTE_US))
    assert (early["startsAt"], early["endsAt"]) == (rfc3339(T0_US), rfc3339(T0_US + 2 * MINUTE_US))
    ahead = postable(transition("resolved", minute=0), T0_US - MINUTE_US, 180.0)
    assert ahead["startsAt"] == ahead["endsAt"] == rfc3339(T0_US - MINUTE_US)


def test_version_4_is_what_alertmanager_sends() -> None:
    firing, resolved = (version_4(transition(change, minute=minute), "hook") for minute, change in ((0, "firing"), (5, "resolved")))
    assert set(firing) == {
        "version",
        "groupKey",
        "truncatedAlerts",
        "status",
        "receiver",
        "groupLabels",
        "commonLabels",
        "commonAnnotations",
        "externalURL",
        "alerts",
    }
    assert (firing["version"], firing["status"], firing["receiver"], firing["commonLabels"]) == ("4", "firing", "hook", LABELS)
    assert firing["groupKey"] == resolved["groupKey"]
    assert firing["groupKey"].startswith('{}:{alertname="slow-and-failing", http_route="/orders/{id}"')
    (first,), (last,) = firing["alerts"], resolved["alerts"]
    assert (first["status"], first["startsAt"], first["endsAt"]) == ("firing", rfc3339(T0_US), "0001-01-01T00:00:00Z")
    assert (last["status"], last["startsAt"], last["endsAt"]) == ("resolved", rfc3339(T0_US), rfc3339(T0_US + 5 * MINUTE_US))
    assert first["fingerprint"] == last["fingerprint"] == fingerprint(LABELS)


def test_a_signature_is_of_time_and_body() -> None:
    expected = "sha256=" + hmac.new(b"secret", b'1790000000.{"a":1}', hashlib.sha256).hexdigest()
    assert signature("secret", "1790000000", b'{"a":1}') == expected
    assert len({expected, signature("secret", "1790000001", b'{"a":1}'), signature("other", "1790000000", b'{"a":1}')}) == 3
