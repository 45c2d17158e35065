"""notify and a real Alertmanager: what fires stays so as long as it is told again, and no longer."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.brokers.alertmanager import alertmanager, program
from tests.integration.test_notify import notifying
from tests.notifying import evidence, publish, server, settings_for, transition, wait_until
from tracebraid.pipeline.kernel.channels import ChannelSettings
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.notify.http import Notice
from tracebraid.pipeline.notify.webhook import version_4
from tracebraid.pipeline.notifying import channel_of

pytestmark = pytest.mark.skipif(not program(), reason="no prometheus-alertmanager on this machine")


def now_us() -> int:
    return time.time_ns() // 1000


def told(hook: Any) -> list[tuple[str, list[str]]]:
    return [(each.json["status"], sorted(alert["labels"]["service_name"] for alert in each.json["alerts"])) for each in list(hook.taken)]


def test_our_webhook_json_is_what_its_own_webhooks_are_sent(tmp_path: Path) -> None:
    with server() as hook, alertmanager(tmp_path / "am", hook.url, "1m") as running:
        channel, started_us = ChannelSettings(name="am", kind="alertmanager", url=running.url), now_us() // 1_000_000 * 1_000_000
        sender = channel_of(channel, Clock(), "https://traces.example/{id}")
        for change in ("firing", "resolved"):
            alert = transition(change, start_us=started_us, series={"service_name": "shöp", "http.route": "/a"})
            assert sender.send([Notice(alert, b"")]).error == ""
            theirs = hook.wait_for(1 if change == "firing" else 2)[-1]
            ours = version_4(alert, "hook", link="https://traces.example/{id}")
            shown = {name: [type(value) for value in (ours[name], theirs[name])] for name in theirs}
            assert ours.keys() == theirs.keys(), shown
            assert all(a is b for a, b in shown.values()), shown
            # Theirs are grouped by two labels, ours by all; the address is that of Alertmanager.
            apart = {"groupKey", "groupLabels", "externalURL", "alerts"}
            assert {name: ours[name] for name in ours.keys() - apart} == {name: theirs[name] for name in theirs.keys() - apart}
            assert theirs["groupLabels"].items() <= ours["groupLabels"].items()
            (our,), (their,) = ours["alerts"], theirs["alerts"]
            assert our == their


@pytest.mark.broker
def test_an_alert_fires_as_long_as_it_is_told_and_its_resolution_arrives(broker: Any, tmp_path: Path) -> None:
    with server() as hook, alertmanager(tmp_path / "am", hook.url, "3s") as running:
        channel = ChannelSettings(name="am", kind="alertmanager", url=running.url, resend_s=1)
        settings = settings_for(broker, channel)
        started_us = now_us()
        first, second = (transition(number=number, start_us=started_us) for number in (1, 2))
        with notifying(settings):
            publish(broker, settings, [first, second, evidence(first)])
            hook.wait_for(2)
            until_s = time.monotonic() + 8
            while time.monotonic() < until_s:
                assert len(running.alerts()) == 2
                time.sleep(0.2)
            publish(broker, settings, [transition("resolved", number=2, start_us=started_us, minute=0)])
            hook.wait_for(3)
            wait_until(lambda: [each["labels"]["service_name"] for each in running.alerts()] == ["shop-1"])
        (alert,) = running.alerts()
        assert alert["labels"] == {
            "alertname": "slow-and-failing",
            "severity": "critical",
            "team": "payments",
            "service_name": "shop-1",
            "http_route": "/orders/{id}",
        }
        assert (alert["annotations"]["service_at_fault"], alert["annotations"]["value"]) == ("payments-db", "912 ms")
        assert alert["annotations"]["trace_ids"] == ", ".join(["ab" * 16, "cd" * 16])
        # notify has ended: nobody says that it fires, and so it ends by itself.
        wait_until(lambda: not running.alerts())
        hook.wait_for(4)
        # A new notify has not read the transition again, but the state says that it fires.
        with notifying(settings):
            hook.wait_for(5)
            assert len(running.alerts()) == 1
            publish(broker, settings, [transition("resolved", number=1, start_us=started_us, minute=0)])
            wait_until(lambda: not running.alerts())
            hook.wait_for(6)
    assert sorted(told(hook)[:2]) == [("firing", ["shop-1"]), ("firing", ["shop-2"])]
    assert told(hook)[2:] == [("resolved", ["shop-2"]), ("resolved", ["shop-1"]), ("firing", ["shop-1"]), ("resolved", ["shop-1"])]


@pytest.mark.broker
def test_an_alertmanager_that_lost_its_memory_and_one_that_is_away(broker: Any, tmp_path: Path) -> None:
    """Two members: one is started late, with nothing in memory; it is told with the next re-send."""
    with server() as hook, server() as member, alertmanager(tmp_path / "first", hook.url, "1m") as first:
        settings = settings_for(broker, ChannelSettings(name="am", kind="alertmanager", url=[first.url, member.url], resend_s=1))
        member.always = 503
        with notifying(settings):
            publish(broker, settings, [transition(number=number, start_us=now_us()) for number in range(150)])  # three requests and more
            wait_until(lambda: len(first.alerts()) == 150)
            member.always = 200
            wait_until(lambda: len({alert["labels"]["service_name"] for each in member.taken for alert in each.json}) == 150)
    assert member.requests[0].path == "/api/v2/alerts"
