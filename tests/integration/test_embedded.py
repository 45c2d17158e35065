"""The embedded broker: what is sent is what any Kafka client reads, timestamps, keys and headers included."""

from confluent_kafka import Consumer, TopicPartition

from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.publish.embedded import embedded_broker
from tracebraid.pipeline.publish.producer import Message, Publisher
from tracebraid.pipeline.source.compacted import CompactedTopic


def test_records_arrive_as_they_were_sent() -> None:
    sent = [
        Message("a", b"one", b"key", (("trace", b"\x00\xff"), ("trace", b"again")), 1_700_000_000_123),
        Message("a", b"two" * 10_000, None, (), 1_600_000_000_000),
        Message("b", b"three", None, (), 1_500_000_000_000),
    ]
    with embedded_broker(["a", "b"]) as address:
        publisher = Publisher.plain({"bootstrap.servers": address})
        assert [publisher.partitions(topic) for topic in ("a", "b", "c")] == [4, 4, 0]
        for message in sent:
            publisher.send(message)
        publisher.flush()
        publisher.close()
        consumer = Consumer({"bootstrap.servers": address, "group.id": "any", "enable.partition.eof": True, "log_level": 2})
        places = [TopicPartition(topic, number, 0) for topic in ("a", "b") for number in consumer.list_topics(topic, timeout=10).topics[topic].partitions]
        consumer.assign(places)
        found, ends = [], 0
        while ends < len(places):
            message = consumer.poll(10)
            assert message is not None
            if message.error():
                ends += 1
            else:
                headers = tuple(message.headers() or ())
                found.append(Message(message.topic(), message.value(), message.key(), headers, message.timestamp()[1]))
        consumer.close()
    assert sorted(found, key=lambda record: -record.timestamp_ms) == sent


def test_of_a_topic_of_keys_the_last_of_each_is_found() -> None:
    with embedded_broker(["state"]) as address:
        publisher = Publisher.plain({"bootstrap.servers": address})
        for number in range(50):
            publisher.send(Message("state", b"%d" % number, b"a"), 0)
            publisher.send(Message("state", b"%d" % number, b"b"), 0)
        publisher.send(Message("state", None, b"b"), 0)
        publisher.send(Message("state", b"other", b"a"), 1)
        publisher.flush()
        publisher.close()
        topic = CompactedTopic({"bootstrap.servers": address}, "state", Clock(), [0, 1])
        found = topic.latest()
        topic.close()
    assert {place: change.value for place, change in found.items()} == {(0, b"a"): b"49", (1, b"a"): b"other"}
