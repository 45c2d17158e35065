"""The embedded broker: what is sent is what any Kafka client reads, timestamps, keys and headers included."""

from confluent_kafka import Consumer, TopicPartition

from tracebraid.pipeline.publish.embedded import HistoryProducer, embedded_broker


def test_records_arrive_as_they_were_sent() -> None:
    sent = [
        ("a", b"key", b"one", (("trace", b"\x00\xff"), ("trace", b"again")), 1_700_000_000_123),
        ("a", None, b"two" * 10_000, (), 1_600_000_000_000),
        ("b", None, b"three", (), 1_500_000_000_000),
    ]
    with embedded_broker() as address:
        producer = HistoryProducer(address, ["a", "b"])
        producer.send(sent)
        assert (producer.sent.records, producer.sent.value_bytes) == (3, 3 + 30_000 + 5)
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
                found.append((message.topic(), message.key(), message.value(), headers, message.timestamp()[1]))
        consumer.close()
    assert sorted(found, key=lambda record: -record[4]) == sent
