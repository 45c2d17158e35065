"""What a test of detect on a real broker needs: topics of its own, spans of a service at times of their own, alerts as a subscriber reads them."""

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition

from tracebraid.jobs.shop import encode
from tracebraid.pipeline.kernel.settings import DetectSettings, IngestSettings, RulesSettings, Settings, StreamSettings, TopicSettings

MINUTE_US = 60_000_000
T0_US = 1_790_000_040_000_000 // MINUTE_US * MINUTE_US


def settings_for(broker: Any, folder: Path, rules: str, *, source: str, **detect: Any) -> Settings:
    """Own topics, few shards; `rules`: the YAML text of the only rules."""
    path = folder / "rules.yaml"
    path.write_text(rules, encoding="utf-8")
    name = broker.unique("detect")
    stream = StreamSettings(
        rejects_topic=f"{name}.rejects",
        windows_topic=f"{name}.windows",
        alerts_topic=f"{name}.alerts",
        alerts_state_topic=f"{name}.alerts.state",
        alertmanager_topic=f"{name}.alerts.alertmanager",
        state_topic=f"{name}.state",
        rules_topic=f"{name}.rules",
        rules_acks_topic=f"{name}.rules.acks",
        flush_ms=100,
    )
    for topic, partitions, compacted in (
        (stream.windows_topic, 4, False),
        (stream.alerts_topic, 2, False),
        (stream.alertmanager_topic, 1, False),
        (stream.alerts_state_topic, 4, True),
        (stream.state_topic, 4, True),
        (stream.rules_topic, 1, True),
    ):
        broker.create_topic(topic, partitions, {"cleanup.policy": "compact"} if compacted else {})
    return Settings(
        bootstrap_servers=broker.address,
        lake=str(folder / "lake"),
        topics=(TopicSettings(name=source),),
        ingest=IngestSettings(flush_age_s=5),
        stream=stream,
        rules=RulesSettings(starter=False, files=(str(path),)),
        detect=DetectSettings(**detect),
    )


def span_request(service: str, spans: Sequence[tuple[int, int, bool]], first_id: int) -> bytes:
    """One OTLP request of SERVER spans: (end in microseconds, duration in ms, whether it failed)."""
    rows = []
    shape = encode.span_shape("GET /orders", 2, [("http.route", "/orders")], False)
    for number, (end_us, ms, failed) in enumerate(spans):
        ids = ((first_id + number + 1).to_bytes(16, "big"), (first_id + number + 1).to_bytes(8, "big"), b"")
        rows.append(encode.span(ids, (end_us * 1000 - ms * 1_000_000, end_us * 1000), shape, encode.failed("no") if failed else b""))
    return encode.export_request([(encode.resource([("service.name", service)]), [(encode.scope("test", "1"), rows)])])


def produce_minutes(broker: Any, topic: str, partitions: int, minutes: range, sick: range) -> None:
    """60 spans a minute of `checkout`, on all partitions in turn; in `sick` minutes a tenth fails and takes 900 ms."""
    producer = Producer(broker.client)
    for minute in minutes:
        for second in range(60):
            end_us = T0_US + minute * MINUTE_US + second * 1_000_000
            bad = minute in sick and second % 10 == 0
            value = span_request("checkout", [(end_us, 900 if bad else 40, bad)], minute * 60 + second)
            producer.produce(topic, value, partition=second % partitions, timestamp=end_us // 1000)
    producer.flush(30)


def alerts_of(broker: Any, topic: str) -> list[dict[str, Any]]:
    """Every message, as a subscriber with read_committed sees them, in the order of windows."""
    consumer = Consumer({**broker.client, "group.id": "test-alerts", "isolation.level": "read_committed", "enable.partition.eof": "true"})
    try:
        partitions = list(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
        ends, found = set[int](), []
        while len(ends) < len(partitions):
            message = consumer.poll(10)
            assert message is not None
            if message.error() is not None:
                ends.add(message.partition())
            else:
                found.append(json.loads(message.value() or b"null"))
        return sorted(found, key=lambda each: (each["window"]["end_us"], each["rule"], sorted(each["series"].items()), each.get("transition", "")))
    finally:
        consumer.close()


def is_read(broker: Any, group: str, topic: str) -> bool:
    """Whether nothing lies behind what the group has committed. The end of a partition is an event: the marker of a transaction is an offset, too."""
    consumer = Consumer({**broker.client, "group.id": group, "isolation.level": "read_committed", "enable.partition.eof": True, "enable.auto.commit": False})
    try:
        places = [TopicPartition(topic, number) for number in consumer.list_topics(topic, timeout=30).topics[topic].partitions]
        committed = consumer.committed(places, timeout=30)
        consumer.assign([TopicPartition(each.topic, each.partition, each.offset if each.offset >= 0 else OFFSET_BEGINNING) for each in committed])
        ends = set[int]()
        while len(ends) < len(places):
            message = consumer.poll(30)
            if message is None or message.error() is None or message.error().code() != KafkaError._PARTITION_EOF:
                return False
            ends.add(message.partition())
        return True
    finally:
        consumer.close()


class Job:
    """A function of (stop) in a thread; what it raised comes out of join()."""

    def __init__(self, run: Any) -> None:
        self.stop, self.error = threading.Event(), None
        self.thread = threading.Thread(target=self._run, args=(run,), daemon=True)
        self.thread.start()

    def _run(self, run: Any) -> None:
        try:
            run(self.stop)
        except BaseException as error:
            self.error = error

    def end(self) -> None:
        self.stop.set()
        self.thread.join(60)
        assert not self.thread.is_alive()
        if self.error:
            raise self.error
