"""detect against a real broker: what fires, fires once, whatever ends the process."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from tests.detecting_flow import MINUTE_US, T0_US, Job, alerts_of, is_read, produce_minutes, settings_for
from tests.notifying import messages_of
from tests.registry import registry
from tracebraid.pipeline.detect.build import EngineSettings
from tracebraid.pipeline.detect.engine import Engine
from tracebraid.pipeline.detection import Detection, run_detect
from tracebraid.pipeline.flow import run_ingest
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.metrics import DetectMetrics
from tracebraid.pipeline.kernel.schema_registry import SchemaRegistrySettings
from tracebraid.pipeline.kernel.settings import IngestSettings, Settings
from tracebraid.pipeline.publish.producer import Publisher
from tracebraid.pipeline.rulebook import RuleBook
from tracebraid.pipeline.source.compacted import CompactedTopic

pytestmark = pytest.mark.broker
RULES = """
- name: slow-and-failing
  on: spans
  by: [service_name]
  when: p99(duration) > 500ms and error_rate > 5%
  for: 1m
  keep_firing_for: 1m
  labels: {severity: critical, team: payments}
  format: alertmanager
"""


def ingest(settings: Settings) -> Job:
    return Job(lambda stop: run_ingest(settings, stop=stop, rules=lambda: RuleBook(settings, Clock(), "ingest")))


def detect(settings: Settings) -> Job:
    return Job(lambda stop: run_detect(settings, stop=stop, metrics=DetectMetrics(), clock=Clock(), watch=lambda _: None))


def killed(settings: Settings) -> Job:
    """detect that ends without a word: no snapshot but those that were due."""

    def run(stop: threading.Event) -> None:
        publisher = Publisher.transactional(settings.client_config(), "detect", Clock())
        rules = RuleBook(settings, Clock(), "detect")
        engine = Engine(rules.programs.values(), EngineSettings(shards=publisher.partitions(settings.stream.windows_topic)))
        detection = Detection(settings, engine, rules, publisher, metrics=DetectMetrics(), clock=Clock())
        while not stop.is_set():
            detection.step()
        detection.close()

    return Job(run)


def told(broker: Any, settings: Settings, count: int, wait_s: float = 60) -> list[tuple[Any, ...]]:
    """(transition, reason, minute of the window's end), once there are `count`, and one more look a second later."""
    deadline = time.monotonic() + wait_s
    while len(found := alerts_of(broker, settings.stream.alerts_topic)) < count and time.monotonic() < deadline:
        time.sleep(0.3)
    time.sleep(1)
    found = alerts_of(broker, settings.stream.alerts_topic)
    return [(each["transition"], each["reason"], (each["window"]["end_us"] - T0_US) // MINUTE_US) for each in found]


def test_a_fault_is_told_once_from_pending_to_resolved(broker: Any, tmp_path: Path) -> None:
    topic = broker.create_topic(broker.unique("spans"), 3)
    settings = settings_for(broker, tmp_path, RULES, source=topic)
    produce_minutes(broker, topic, 3, range(20), range(8, 12))
    with registry(failing=[503]) as known:
        settings = settings.model_copy(update={"schema_registry": SchemaRegistrySettings(url=known.url)})
        jobs = [ingest(settings), detect(settings)]
        try:
            expected = [("pending", "condition", 9), ("firing", "for elapsed", 10), ("resolved", "recovered", 14)]
            assert told(broker, settings, 3) == expected
        finally:
            for job in jobs:
                job.end()
    assert list(known.subjects) == [f"{settings.stream.alerts_topic}-value", f"{settings.stream.alerts_state_topic}-value"]
    first = alerts_of(broker, settings.stream.alerts_topic)
    assert len({each["id"] for each in first}) == 1
    firing = first[1]
    assert (firing["series"], firing["severity"], firing["completeness"]) == ({"service_name": "checkout"}, "critical", 1.0)
    assert firing["comparisons"][0]["text"] == "p99(duration) > 500ms"
    assert abs(firing["comparisons"][0]["value"] - 900e6) < 0.01 * 900e6
    assert {each["failing"] for each in firing["exemplars"]} == {True, False} or all(each["failing"] for each in firing["exemplars"])
    in_their_form = [json.loads(value) for value, _ in messages_of(broker, settings.stream.alertmanager_topic)]
    assert [(each["version"], each["status"], each["alerts"][0]["annotations"]["alert_id"]) for each in in_their_form] == [
        ("4", "firing", firing["id"]),
        ("4", "resolved", firing["id"]),
    ]
    # Started again, it tells nothing twice, and goes on with what comes; no registry answers any more.
    jobs = [ingest(settings), detect(settings)]
    try:
        produce_minutes(broker, topic, 3, range(20, 40), range(25, 28))
        again = [("pending", "condition", 26), ("firing", "for elapsed", 27), ("resolved", "recovered", 30)]
        assert told(broker, settings, 6) == expected + again
    finally:
        for job in jobs:
            job.end()


def rewound(broker: Any, settings: Settings) -> None:
    """Ingest's group stands at the beginning of its topic, as after `kafka-consumer-groups --reset-offsets --to-earliest`."""
    topic = settings.topics[0].name
    consumer = Consumer({**broker.client, "group.id": settings.ingest.group, "enable.auto.commit": False})
    places = [TopicPartition(topic, number, 0) for number in consumer.list_topics(topic, timeout=30).topics[topic].partitions]
    consumer.commit(offsets=places, asynchronous=False)
    consumer.close()


def all_read(broker: Any, settings: Settings, wait_s: float = 90) -> None:
    """Until ingest and detect have met the end of what they read."""
    group, deadline = f"tracebraid-detect-{settings.stream.windows_topic}", time.monotonic() + wait_s
    while not (is_read(broker, settings.ingest.group, settings.topics[0].name) and is_read(broker, group, settings.stream.windows_topic)):
        assert time.monotonic() < deadline
        time.sleep(0.3)


def test_yesterdays_records_do_not_alert_again(broker: Any, tmp_path: Path) -> None:
    """Sent a second time; read a second time by the same group; read a second time by a new one, into a new lake."""
    topic = broker.create_topic(broker.unique("spans"), 3)
    settings = settings_for(broker, tmp_path, RULES, source=topic)
    first = settings.model_copy(update={"ingest": IngestSettings(flush_age_s=1, group=broker.unique("ingest"))})
    second = first.model_copy(update={"lake": str(tmp_path / "other"), "ingest": IngestSettings(flush_age_s=1, group=broker.unique("ingest"))})
    produce_minutes(broker, topic, 3, range(20), range(8, 12))
    expected = [("pending", "condition", 9), ("firing", "for elapsed", 10), ("resolved", "recovered", 14)]
    for turn, settings in enumerate((first, first, second)):
        jobs = [ingest(settings), detect(settings)]
        try:
            all_read(broker, settings)
            assert told(broker, settings, 3) == expected
            produce_minutes(broker, topic, 3, range(18), range(8, 12))
            all_read(broker, settings)
            assert told(broker, settings, 3) == expected
        finally:
            for job in jobs:
                job.end()
        if turn == 0:
            rewound(broker, first)
    jobs = [ingest(second), detect(second)]
    try:
        produce_minutes(broker, topic, 3, range(20, 40), range(25, 28))
        assert told(broker, second, 6) == [*expected, ("pending", "condition", 26), ("firing", "for elapsed", 27), ("resolved", "recovered", 30)]
    finally:
        for job in jobs:
            job.end()


def state_of(settings: Settings) -> list[bool]:
    """Of each message of the state topic, whether it is an alert; the others are tombstones."""
    topic = CompactedTopic(settings.client_config(), settings.stream.alerts_state_topic, Clock())
    try:
        return [change.value is not None for change in topic.read()]
    finally:
        topic.close()


def test_a_day_after_it_ended_an_alert_leaves_the_state_topic_also_where_detect_began_anew_meanwhile(
    broker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracebraid.pipeline.detection.AUDIT_S", 1.0)
    topic = broker.create_topic(broker.unique("spans"), 3)
    settings = settings_for(broker, tmp_path, RULES, source=topic)
    produce_minutes(broker, topic, 3, range(16), range(8, 12))
    ingesting, detecting = ingest(settings), detect(settings)
    try:
        expected = told(broker, settings, 3)
        assert expected[-1] == ("resolved", "recovered", 14)
        detecting.end()
        detecting = detect(settings)
        produce_minutes(broker, topic, 3, range(1440, 1443), range(0))  # a day after it began, not after it ended
        time.sleep(3)
        assert state_of(settings) == [True] * 3
        produce_minutes(broker, topic, 3, range(1460, 1463), range(0))
        deadline = time.monotonic() + 30
        while len(state_of(settings)) == 3 and time.monotonic() < deadline:
            time.sleep(0.3)
        assert state_of(settings) == [*[True] * 3, False]
        detecting.end()
        detecting = detect(settings)  # its audit meets the tombstone
        time.sleep(3)
        assert (state_of(settings), told(broker, settings, 3)) == ([*[True] * 3, False], expected)
    finally:
        for job in (ingesting, detecting):
            job.end()


@pytest.mark.parametrize("removed", [True, False])
def test_what_fired_when_detect_was_killed_ends_with_its_rule_and_goes_on_without_a_word_else(
    broker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, removed: bool
) -> None:
    monkeypatch.setattr("tracebraid.pipeline.detection.AUDIT_S", 1.0)
    topic = broker.create_topic(broker.unique("spans"), 3)
    settings = settings_for(broker, tmp_path, RULES, source=topic)
    produce_minutes(broker, topic, 3, range(12), range(8, 12))
    expected = [("pending", "condition", 9), ("firing", "for elapsed", 10)]
    ingesting, detecting = ingest(settings), killed(settings)
    try:
        assert told(broker, settings, 2) == expected
        detecting.end()
        if removed:
            (tmp_path / "rules.yaml").write_text("- {name: other, on: logs, when: count() > 5}", encoding="utf-8")
        detecting = detect(settings)
        if removed:
            assert told(broker, settings, 3) == [*expected, ("resolved", "rule removed", 10)]
        else:
            time.sleep(5)
            produce_minutes(broker, topic, 3, range(12, 20), range(0))
            assert told(broker, settings, 3) == [*expected, ("resolved", "recovered", 14)]
        assert len({each["id"] for each in alerts_of(broker, settings.stream.alerts_topic)}) == 1
    finally:
        for job in (ingesting, detecting):
            job.end()
