"""The producer and tracebraid's own topics on a real broker."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from confluent_kafka import Consumer

from tests.brokers.kafka import Broker, free_ports
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import OwnershipLost, TracebraidError
from tracebraid.pipeline.kernel.records import Partition, Records
from tracebraid.pipeline.kernel.settings import TopicSettings
from tracebraid.pipeline.publish.producer import CALL_S, LEFT_OUT, Message, Publisher
from tracebraid.pipeline.publish.rejects import OpenRejects
from tracebraid.pipeline.source.kafka import KafkaSource, Owner
from tracebraid.schemas.records import RECORDS
from tracebraid.schemas.rejects import REJECTS

pytestmark = pytest.mark.broker
NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)


@pytest.fixture
def source(broker: Broker) -> Iterator[KafkaSource]:
    """A source that holds one partition with ten records."""
    topic = broker.create_topic(broker.unique("in"))
    publisher = Publisher.plain(broker.client)
    for number in range(10):
        publisher.send(Message(topic, str(number).encode()))
    publisher.flush(topic)
    owner = Owner(lambda partitions: dict.fromkeys(partitions, "earliest"), lambda _: None, lambda _: None)
    kafka = KafkaSource(broker.client, [TopicSettings(name=topic)], broker.unique("group"), owner, Clock())
    while not kafka.drained():
        kafka.poll()
    yield kafka
    kafka.close()


def read(broker: Broker, topic: str) -> list[Message]:
    """All that the topic shows."""
    settings = {
        "group.id": "reader",
        "auto.offset.reset": "earliest",
        "enable.partition.eof": "true",
        "isolation.level": "read_committed",
        "enable.auto.commit": "false",
    }
    consumer = Consumer({**broker.client, **settings})
    consumer.subscribe([topic])
    found: list[Message] = []
    while (message := consumer.poll(20)) is not None and message.error() is None:
        found.append(Message(topic, message.value(), message.key(), tuple(message.headers() or ())))
    assert message is not None
    assert message.error().name() == "_PARTITION_EOF"
    consumer.close()
    return found


def rejects(partition: Partition, offset: int, value: bytes, headers: list[tuple[str, bytes | None]]) -> tuple[Records, pa.RecordBatch]:
    row = {
        "day": NOW.date(), "reason": "malformed", "message": "no field 0", "encoding": "otlp_proto", "record_key": b"k", "record_value": value,
        "record_headers": [{"key": key, "value": content} for key, content in headers], "value_bytes": len(value), "value_sha256": "ab", "tenant": "t",
        "kafka_cluster": partition.cluster, "kafka_topic": partition.topic, "kafka_topic_id": partition.topic_id, "kafka_partition": partition.number,
        "kafka_offset": offset, "record_index": 0, "kafka_time": NOW, "ingested_at": NOW,
    }  # fmt: skip
    record = {"kafka_offset": offset, "kafka_time_ms": 0, "key": b"k", "value": value, "headers": None}
    return Records(partition, pa.RecordBatch.from_pylist([record], RECORDS)), pa.RecordBatch.from_pylist([row], REJECTS.arrow)


def test_rejects_and_offsets_are_committed_together(broker: Broker, source: KafkaSource) -> None:
    topic = broker.create_topic(broker.unique("rejects"))
    (partition,) = source.partitions()
    opened = OpenRejects("group")
    opened.add(*rejects(partition, 6, b"\x00bytes", [("traceparent", b"00-"), ("traceparent", None)]))
    publisher = Publisher.transactional(broker.client, "g")
    publisher.transaction(opened.messages(topic), opened.next_offsets, source.group_metadata())
    assert source.committed([partition]) == {partition: 7}
    facts = {
        "reason": "malformed", "message": "no field 0", "encoding": "otlp_proto", "tenant": "t", "cluster": partition.cluster, "topic": partition.topic,
        "topic_id": partition.topic_id, "partition": "0", "offset": "6", "index": "0", "kafka_time": "2026-01-02T03:04:05.678000+00:00", "value_bytes": "6",
        "value_sha256": "ab", "group": "group",
    }  # fmt: skip
    headers = (*((f"tracebraid.{name}", fact.encode()) for name, fact in facts.items()), ("traceparent", b"00-"), ("traceparent", None))
    assert read(broker, topic) == [Message(topic, b"\x00bytes", b"k", headers)]
    publisher.transaction([], {partition: 9}, source.group_metadata())
    assert source.committed([partition]) == {partition: 9}
    publisher.close()


def test_a_zombie_of_the_group_commits_nothing(broker: Broker, source: KafkaSource) -> None:
    topic = broker.create_topic(broker.unique("rejects"))
    (partition,) = source.partitions()
    owner = Owner(lambda partitions: dict.fromkeys(partitions, "earliest"), lambda _: None, lambda _: None)
    zombie = KafkaSource(broker.client, [TopicSettings(name=partition.topic)], group := broker.unique("group"), owner, Clock())
    while not zombie.drained():
        zombie.poll()
    publisher, stale = Publisher.transactional(broker.client, "g"), zombie.group_metadata()
    publisher.transaction([], {partition: 3}, stale)
    zombie.close()
    heir = KafkaSource(broker.client, [TopicSettings(name=partition.topic)], group, owner, Clock())
    while not heir.drained():
        heir.poll()
    with pytest.raises(OwnershipLost, match="it was aborted"):
        publisher.transaction([Message(topic, b"zombie")], {partition: 8}, stale)
    assert heir.committed([partition]) == {partition: 3}
    assert read(broker, topic) == []
    heir.close()
    publisher.close()


def test_a_publisher_that_was_fenced_says_so_and_goes_on_with_a_new_producer(broker: Broker, source: KafkaSource) -> None:
    topic = broker.create_topic(broker.unique("rejects"))
    (partition,) = source.partitions()
    client = {**broker.client, "group.instance.id": broker.unique("instance")}
    first = Publisher.transactional(client, "g")
    first.transaction([Message(topic, b"1")], {partition: 1}, source.group_metadata())
    second = Publisher.transactional(client, "g")
    with pytest.raises(OwnershipLost):
        first.transaction([Message(topic, b"fenced")], {partition: 2}, source.group_metadata())
    assert source.committed([partition]) == {partition: 1}
    first.transaction([Message(topic, b"2")], {partition: 2}, source.group_metadata())
    assert source.committed([partition]) == {partition: 2}
    assert [each.value for each in read(broker, topic)] == [b"1", b"2"]
    first.close()
    second.close()


def test_what_is_too_large_for_the_topic_goes_without_its_value(broker: Broker, source: KafkaSource) -> None:
    topic = broker.create_topic(broker.unique("small"), config={"max.message.bytes": "2000"})
    (partition,) = source.partitions()
    publisher = Publisher.transactional(broker.client, "g")
    publisher.transaction([Message(topic, b"." * 3000, b"k")], {partition: 1}, source.group_metadata())
    assert read(broker, topic) == [Message(topic, None, b"k", ((LEFT_OUT, b"larger than the topic's max.message.bytes"),))]
    with pytest.raises(TracebraidError, match="does not fit topic"):
        publisher.transaction([Message(topic, b"", b"k" * 3000)], {partition: 2}, source.group_metadata())
    assert source.committed([partition]) == {partition: 1}
    publisher.close()


def test_a_missing_topic_is_one_line_and_moves_no_offset(broker: Broker, source: KafkaSource) -> None:
    (partition,) = source.partitions()
    publisher = Publisher.transactional(broker.client, "g")
    with pytest.raises(TracebraidError, match=r"topic no-such is not at .*`tracebraid topics apply` makes it"):
        publisher.transaction([Message("no-such", b"")], {partition: 1}, source.group_metadata())
    assert source.committed([partition]) == {}
    publisher.close()


def test_no_broker_is_one_line_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "broker_wait_s", 1.0)
    with pytest.raises(TracebraidError, match="connecting to Kafka: no broker answers"):
        Publisher.transactional({"bootstrap.servers": f"127.0.0.1:{free_ports(1)[0]}"}, "g")


def test_a_transaction_whose_broker_dies_ends_soon_after_the_process_is_told_to(broker: Broker, source: KafkaSource) -> None:
    """librdkafka keeps no time while it waits for a coordinator to be sent offsets: the system's alarm rang meanwhile."""
    if not broker.owned:
        pytest.skip("the broker is not ours to kill")
    (partition,) = source.partitions()
    told: list[float] = []
    publisher = Publisher.transactional(broker.client, "g", Clock().ending(lambda: bool(told), 1.0))

    def dies(step: str) -> None:
        if step == "produced":
            broker.kill()
            told.append(time.monotonic())

    publisher.after_step = dies
    try:
        with pytest.raises(TracebraidError):
            publisher.transaction([], {partition: 1}, source.group_metadata())
        assert time.monotonic() - told[0] < 1.0 + CALL_S + 3  # the wait, a call under way, a busy machine
    finally:
        broker.start()
    publisher.close()


def test_a_record_that_the_topic_does_not_take_is_counted_and_the_others_arrive(broker: Broker) -> None:
    topic = broker.create_topic(broker.unique("small"), config={"max.message.bytes": "2000"})
    publisher = Publisher.plain({**broker.client, "compression.type": "none"})
    for value in (b"before", b"." * 3000, b"after"):
        publisher.send(Message(topic, value))
        publisher.flush(topic)
    assert sorted(each.value or b"" for each in read(broker, topic)) == [b"after", b"before"]
    assert dict(publisher.failures) == {"MSG_SIZE_TOO_LARGE": 1}
    publisher.close()
