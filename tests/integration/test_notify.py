"""notify against a real broker and servers that fail: what is lost, what comes twice, what becomes a dead letter."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import NewPartitions

from tests.detecting_flow import Job
from tests.notifying import Server, evidence, messages_of, publish, server, settings_for, transition, wait_until
from tracebraid.pipeline.kernel.channels import ChannelSettings
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.metrics import NotifyMetrics
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.pipeline.notifying import COMMIT_S, run_notify

pytestmark = pytest.mark.broker


def webhook(url: str, name: str = "hook", **other: Any) -> ChannelSettings:
    return ChannelSettings(name=name, kind="webhook", url=url, **other)


@contextmanager
def notifying(settings: Settings, metrics: NotifyMetrics | None = None, partitions: int = 2) -> Iterator[None]:
    """In a thread, once every channel has its partitions."""
    ready: dict[str, int] = {}

    def watch(delivery: Any) -> None:
        ready[delivery.channel.name] = len(delivery.source.partitions())
        if delivery.done and not delivery.queue:
            ready[delivery.channel.name] = 0  # its place is not committed yet

    job = Job(lambda stop: run_notify(settings, stop=stop, metrics=metrics or NotifyMetrics(), clock=Clock(), watch=watch))
    try:
        names = [channel.name for channel in settings.notify.channels]
        wait_until(lambda: job.error is not None or all(ready.get(name) == partitions for name in names))
        yield
    finally:
        job.end()


def count(metrics: NotifyMetrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(f"tracebraid_notify_{name}_total", labels) or 0.0


def test_all_arrives_once_and_in_the_order_of_each_alert(broker: Any) -> None:
    alerts = [transition(change, number=number, minute=minute) for number in range(10) for minute, change in enumerate(("pending", "firing", "resolved"))]
    with server() as hook:
        settings = settings_for(broker, webhook(hook.url))
        publish(broker, settings, [transition(number=99)])  # before the channel is: a new one is not told of the past
        with notifying(settings):
            publish(broker, settings, [*alerts, evidence(alerts[1])])
            told = hook.wait_for(21)
        with notifying(settings):  # begins where it ended
            publish(broker, settings, [transition(number=50)])
            told = hook.wait_for(22)
            time.sleep(0.5)
    assert len(hook.requests) == 22
    assert [(each["kind"], each["id"]) for each in told[-1:]] == [("transition", f"{50:032x}")]
    changes = [(each["id"], each["transition"]) for each in told[:-1] if each["kind"] == "transition"]
    assert sorted(changes) == sorted((alert.id, alert.transition) for alert in alerts if alert.transition != "pending")
    for alert in alerts:
        assert [change for id_, change in changes if id_ == alert.id] == ["firing", "resolved"]
    assert hook.taken[0].headers["Idempotency-Key"].count("/") == 2
    assert hook.taken[0].body in {alert.model_dump_json().encode() for alert in alerts}


def test_a_partition_that_was_added_is_read_from_its_beginning(broker: Any) -> None:
    with server() as hook:
        settings = settings_for(broker, webhook(hook.url))
        with notifying(settings):
            publish(broker, settings, [transition(number=1)])
            hook.wait_for(1)
        topic, admin = settings.stream.alerts_topic, broker.admin()
        admin.create_partitions([NewPartitions(topic, 3)])[topic].result(30)
        producer = Producer(broker.client)
        added = transition(number=2)
        wait_until(lambda: len(producer.list_topics(topic, timeout=5).topics[topic].partitions) == 3)
        producer.produce(topic, added.model_dump_json().encode(), added.id.encode(), 2)  # detect learned of it sooner than we did
        assert producer.flush(30) == 0
        with notifying(settings, partitions=3):
            told = hook.wait_for(2)
    assert [each["id"] for each in told] == [f"{number:032x}" for number in (1, 2)]


def test_failures_are_tried_again_until_they_pass(broker: Any) -> None:
    metrics = NotifyMetrics()
    with server(script=[500, 503, (429, {"Retry-After": "1"}), 8.0, 408]) as hook:
        settings = settings_for(broker, webhook(hook.url, timeout_s=4))
        with notifying(settings, metrics):
            publish(broker, settings, [transition(number=1), transition("resolved", number=1, minute=3)])
            told = hook.wait_for(2)
    assert [each["transition"] for each in told] == ["firing", "resolved"]
    assert len(hook.requests) == 7
    assert hook.requests[3].at_s - hook.requests[2].at_s >= 1.0  # as Retry-After asked
    assert [count(metrics, "failed", channel="hook", reason=reason) for reason in ("500", "503", "429", "timeout", "408")] == [1.0] * 5
    assert count(metrics, "sent", channel="hook", what="firing") == 1.0
    assert messages_of(broker, settings.stream.alerts_dead_topic) == []


def test_what_is_refused_and_what_cannot_be_read_become_dead_letters(broker: Any) -> None:
    bad, good = transition(number=1), transition(number=2)
    with server(decide=lambda request: 400 if request.json["id"] == bad.id else None) as hook:
        settings = settings_for(broker, webhook(hook.url))
        with notifying(settings):
            publish(broker, settings, [bad, b"{", good])
            hook.wait_for(1)
            wait_until(lambda: len(messages_of(broker, settings.stream.alerts_dead_topic)) == 2)
    assert len(hook.requests) == 2
    dead = dict(messages_of(broker, settings.stream.alerts_dead_topic))
    assert set(dead) == {bad.model_dump_json().encode(), b"{"}
    headers = dead[bad.model_dump_json().encode()]
    assert headers["tracebraid.channel"] == b"hook"
    assert headers["tracebraid.reason"] == f"{hook.url} answered 400: no".encode()
    assert (headers["tracebraid.topic"], headers["content-type"]) == (settings.stream.alerts_topic.encode(), b"application/json")
    assert dead[b"{"]["tracebraid.reason"].startswith(b"the message cannot be read: not JSON")


def test_a_dead_channel_gives_up_in_time_and_holds_no_other_back(broker: Any) -> None:
    alerts = [transition(number=number) for number in range(5)]
    with server(always=500) as broken, server() as hook:
        settings = settings_for(
            broker, webhook(broken.url, "broken", give_up_s=6), webhook(hook.url, "whole"), webhook("http://127.0.0.1:9", "nobody", give_up_s=0)
        )
        with notifying(settings):
            began_s = time.monotonic()
            publish(broker, settings, alerts)
            hook.wait_for(5)
            assert time.monotonic() - began_s < 6
            wait_until(lambda: len(messages_of(broker, settings.stream.alerts_dead_topic)) == 10)
    assert len(hook.requests) == 5
    dead = messages_of(broker, settings.stream.alerts_dead_topic)
    for channel in (b"broken", b"nobody"):
        values = [json.loads(value)["id"] for value, headers in dead if headers["tracebraid.channel"] == channel]
        assert sorted(values) == [alert.id for alert in alerts]
    ids = [request.json["id"] for request in broken.requests]
    assert set(ids) == {alert.id for alert in alerts}  # each has had its attempt


def test_a_slow_channel_holds_no_other_back(broker: Any) -> None:
    with server(always=3.0) as slow, server() as hook:
        settings = settings_for(broker, webhook(slow.url, "slow"), webhook(hook.url, "quick"))
        with notifying(settings):
            publish(broker, settings, [transition(number=number) for number in range(20)])
            hook.wait_for(20)
            assert len(slow.requests) < 20
    assert len(hook.requests) == 20


def keys_of(hook: Server) -> set[str]:
    return {request.headers["Idempotency-Key"] for request in list(hook.taken)}


def test_two_processes_share_a_channel_and_hand_over(broker: Any) -> None:
    """One joins and leaves while alerts come: none is lost, and little comes twice: what was sent while the group was already changing hands."""
    first, second = (
        [transition(change, number=number, minute=minute) for number in numbers for minute, change in enumerate(("firing", "resolved"))]
        for numbers in (range(40), range(40, 80))
    )
    with server(decide=lambda _: time.sleep(0.01)) as hook:
        settings = settings_for(broker, webhook(hook.url))
        with notifying(settings):
            publish(broker, settings, first)
            with notifying(settings, partitions=1):
                publish(broker, settings, second)
                wait_until(lambda: len(keys_of(hook)) >= 100)
            wait_until(lambda: len(keys_of(hook)) == 160, 60)
    assert len(hook.taken) - 160 <= 2 * COMMIT_S / 0.01
    for alert in (*first, *second):
        told = [each.json["transition"] for each in hook.taken if each.json["id"] == alert.id]
        assert list(dict.fromkeys(told)) == ["firing", "resolved"]


def test_only_and_send_choose(broker: Any) -> None:
    mine = transition(number=1, labels={"severity": "critical", "team": "payments"})
    other = transition(number=2, rule="another", severity="warning", labels={"severity": "warning"})
    with server() as hook, server() as everything:
        settings = settings_for(
            broker,
            webhook(hook.url, only={"severity": "critical", "team": ["payments", "search"]}, send=("firing", "evidence")),
            webhook(everything.url, "all", send=("pending", "firing", "resolved", "evidence")),
        )
        with notifying(settings):
            resolved = mine.model_copy(update={"transition": "resolved"})
            publish(broker, settings, [mine, other, resolved, evidence(other), evidence(mine), transition("cancelled", number=3, minute=1)])
            everything.wait_for(6)
            told = hook.wait_for(2)
    assert [(each["kind"], each["id"]) for each in told] == [("transition", mine.id), ("evidence", mine.id)]
    assert len(hook.requests) == 2


def reached(hook: Server, aim: int, process: subprocess.Popen[bytes]) -> bool:
    return len(keys_of(hook)) >= aim or process.poll() is not None


def test_killed_again_and_again_it_loses_nothing_and_repeats_little(broker: Any, tmp_path: Path) -> None:
    """kill -9 in the middle of sending: every alert arrives; what comes again has the same Idempotency-Key."""
    alerts = [transition(number=number) for number in range(200)]
    with server(decide=lambda _: time.sleep(0.005)) as hook:
        settings = settings_for(broker, webhook(hook.url))
        config = tmp_path / "tracebraid.toml"
        stream = "\n".join(f'{name} = "{value}"' for name, value in settings.stream.model_dump().items() if name.endswith("_topic"))
        channel = f'[[notify.channels]]\nname = "hook"\nkind = "webhook"\nurl = "{hook.url}"'
        client = '[client]\n"group.instance.id" = "one"'  # so the next process takes over at once what the last one left open
        config.write_text(f'bootstrap_servers = "{broker.address}"\n[stream]\n{stream}\n{client}\n{channel}\n')
        with notifying(settings):
            pass  # the group has its place
        publish(broker, settings, alerts)
        kills = 0
        deadline = time.monotonic() + 200
        while len({each.json["id"] for each in list(hook.taken)}) < len(alerts):
            assert time.monotonic() < deadline
            process = subprocess.Popen([sys.executable, "-m", "tracebraid", "notify", "--config", str(config)], stderr=subprocess.DEVNULL)
            try:
                aim = min(len(keys_of(hook)) + 50, len(alerts))
                wait_until(partial(reached, hook, aim, process), 60)
                assert process.poll() is None
                kills += 1
            finally:
                process.kill()
                process.wait()
    keys = [request.headers["Idempotency-Key"] for request in hook.taken]
    assert {request.json["id"] for request in hook.taken} == {alert.id for alert in alerts}
    assert len(set(keys)) == len(alerts)
    assert kills >= 3
    assert len(keys) - len(alerts) <= kills * 50  # what was sent in the last fifth of a second before a kill
    assert messages_of(broker, settings.stream.alerts_dead_topic) == []
