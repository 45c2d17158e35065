"""The Kafka source on a real broker."""

import time
from collections.abc import Mapping, Sequence

import pytest
from confluent_kafka import Producer

from tests.brokers.kafka import Broker, free_ports
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError, UsageError
from tracebraid.pipeline.kernel.records import Partition, Records
from tracebraid.pipeline.kernel.settings import TopicSettings
from tracebraid.pipeline.source.kafka import Expired, KafkaSource, Owner, Start, Truncated

pytestmark = pytest.mark.broker
DEADLINE_S = 60


class Keeper:
    """An Owner that remembers what it was told; partitions start at `starts[number]`, else at `start`."""

    def __init__(self, start: Start = "earliest", starts: Mapping[int, Start] | None = None) -> None:
        self.start, self.starts = start, dict(starts or {})
        self.assigned: list[Partition] = []
        self.revoked: list[Partition] = []
        self.lost: list[Partition] = []

    def owner(self) -> Owner:
        def assigned(partitions: Sequence[Partition]) -> dict[Partition, Start]:
            self.assigned += partitions
            return {each: self.starts.get(each.number, self.start) for each in partitions}

        return Owner(assigned, self.revoked.extend, self.lost.extend)


def source(broker: Broker, topics: Sequence[TopicSettings], keeper: Keeper, group: str = "", **client: str) -> KafkaSource:
    return KafkaSource({**broker.client, **client}, topics, group or broker.unique("group"), keeper.owner(), Clock())


def produce(broker: Broker, topic: str, values: Sequence[bytes], partition: int = 0, **client: str) -> None:
    producer = Producer({**broker.client, "linger.ms": "5", **client})
    for value in values:
        producer.produce(topic, value, partition=partition)
        producer.poll(0)
    assert producer.flush(30) == 0


def drain(kafka: KafkaSource) -> list[Records]:
    found: list[Records] = []
    deadline = time.monotonic() + DEADLINE_S
    while not kafka.drained():
        assert time.monotonic() < deadline, "the drain does not end"
        found += kafka.poll()
    return found


def values(found: Sequence[Records]) -> list[bytes]:
    return [value for records in found for value in records.batch.column("value").to_pylist()]


def numbers(first: int, last: int) -> list[bytes]:
    return [str(number).encode() for number in range(first, last)]


def test_several_topics_and_a_pattern_each_with_its_encoding_and_tenant(broker: Broker) -> None:
    stem = broker.unique("s")
    named, matched, other = (broker.create_topic(f"{stem}-{name}", 2) for name in ("spans", "logs-1", "metrics"))
    for topic in (named, matched, other):
        produce(broker, topic, [topic.encode()], 1)
    topics = [TopicSettings(name=named, encoding="otlp_proto", tenant="a"), TopicSettings(pattern=rf"{stem}-logs-\d+", encoding="json")]
    kafka = source(broker, topics, keeper := Keeper())
    found = drain(kafka)
    kafka.close()
    assert sorted((each.partition.topic, each.partition.number, each.encoding, each.tenant) for each in found) == [
        (matched, 1, "json", ""),
        (named, 1, "otlp_proto", "a"),
    ]
    assert sorted(values(found)) == [matched.encode(), named.encode()]
    assert len(keeper.assigned) == 4
    assert sorted(keeper.revoked) == sorted(keeper.assigned)


def test_a_record_arrives_whole(broker: Broker) -> None:
    topic = broker.create_topic(broker.unique("whole"))
    producer = Producer(broker.client)
    producer.produce(topic, b"\x00\xff", b"key", headers=[("a", b"1"), ("a", None), ("", b"")], timestamp=1_674_981_729_488)
    producer.produce(topic, None, timestamp=1)
    producer.flush(30)
    kafka = source(broker, [TopicSettings(name=topic)], keeper := Keeper())
    (records,) = drain(kafka)
    kafka.close()
    assert records.batch.to_pylist() == [
        {
            "kafka_offset": 0,
            "kafka_time_ms": 1_674_981_729_488,
            "key": b"key",
            "value": b"\x00\xff",
            "headers": [{"key": "a", "value": b"1"}, {"key": "a", "value": None}, {"key": "", "value": b""}],
        },
        {"kafka_offset": 1, "kafka_time_ms": 1, "key": None, "value": None, "headers": None},
    ]
    cluster = broker.admin().list_topics(timeout=5).cluster_id
    assert records.partition == keeper.assigned[0]
    assert records.partition.cluster == cluster
    assert len(records.partition.topic_id) == 22
    assert "/" not in records.partition.topic_id


def test_a_topic_written_with_transactions_drains_past_its_markers_and_hides_what_was_aborted(broker: Broker) -> None:
    topic = broker.create_topic(broker.unique("transactions"))
    producer = Producer({**broker.client, "transactional.id": broker.unique("t")})
    producer.init_transactions(30)
    for value, commit in ((b"kept 1", True), (b"aborted", False), (b"kept 2", True), (b"aborted last", False)):
        producer.begin_transaction()
        producer.produce(topic, value)
        producer.flush(30)
        producer.commit_transaction(30) if commit else producer.abort_transaction(30)
    kafka = source(broker, [TopicSettings(name=topic)], keeper := Keeper())
    found = drain(kafka)
    (partition,) = keeper.assigned
    high = kafka.watermarks(partition)[1]
    assert values(found) == [b"kept 1", b"kept 2"]
    assert [offset for each in found for offset in each.batch.column("kafka_offset").to_pylist()] == [0, 4]
    assert (kafka.position(partition), high, kafka.at_end(partition), kafka.lag()) == (5, 8, True, {partition: 0})
    kafka.close()


def test_a_drain_ends_at_the_stable_end_below_an_open_transaction(broker: Broker) -> None:
    topic = broker.create_topic(broker.unique("open"))
    produce(broker, topic, [b"stable"])
    producer = Producer({**broker.client, "transactional.id": broker.unique("t")})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"open")
    producer.flush(30)
    kafka = source(broker, [TopicSettings(name=topic)], Keeper())
    assert values(drain(kafka)) == [b"stable"]
    producer.commit_transaction(30)
    kafka.aim()
    assert not kafka.drained()
    assert values(drain(kafka)) == [b"open"]
    kafka.close()


def test_a_drain_ends_on_a_topic_that_never_rests(broker: Broker) -> None:
    topic = broker.create_topic(broker.unique("busy"))
    produce(broker, topic, numbers(0, 100))
    kafka = source(broker, [TopicSettings(name=topic)], Keeper())
    producer, found, deadline = Producer({**broker.client, "linger.ms": "0"}), [], time.monotonic() + DEADLINE_S
    while not kafka.drained():
        assert time.monotonic() < deadline
        producer.produce(topic, b"more")
        producer.poll(0)
        found += kafka.poll(0.01)
    producer.flush(30)
    kafka.close()
    assert values(found)[:100] == numbers(0, 100)


def test_while_paused_nothing_arrives_and_afterwards_everything_once(broker: Broker) -> None:
    topic = broker.create_topic(broker.unique("pause"), 3)
    for number in range(3):
        produce(broker, topic, [b"%d:%d" % (number, each) + b"." * 1000 for each in range(2000)], number)
    client = {"fetch.message.max.bytes": "65536", "queued.max.messages.kbytes": "256", "session.timeout.ms": "3000", "heartbeat.interval.ms": "500"}
    kafka = source(broker, [TopicSettings(name=topic)], keeper := Keeper(), **client)
    found: list[Records] = []
    while not found:
        found += kafka.poll()
    kafka.pause()
    kafka.poll()
    deadline = time.monotonic() + 4  # longer than the session: polling alone keeps the membership
    while time.monotonic() < deadline:
        assert kafka.poll() == []
    kafka.resume()
    while not kafka.drained():
        found += kafka.poll()
    kafka.close()
    assert sorted(values(found)) == sorted(b"%d:%d" % (number, each) + b"." * 1000 for number in range(3) for each in range(2000))
    assert (len(keeper.assigned), keeper.lost) == (3, [])


def test_a_poll_is_bounded_by_bytes_and_records(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = broker.create_topic(broker.unique("bounded"))
    produce(broker, topic, [b"." * 10_000] * 2000)
    monkeypatch.setattr(limits, "poll_bytes_max", 1_000_000)
    kafka = source(broker, [TopicSettings(name=topic)], Keeper())
    sizes = [(each.batch.num_rows, each.batch.nbytes) for each in drain(kafka)]
    kafka.close()
    assert sum(rows for rows, _ in sizes) == 2000
    assert max(size for _, size in sizes[1:]) <= 1_010_000


def test_large_records_behind_many_small_ones_do_not_fill_a_poll(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = (broker.create_topic(broker.unique(name)) for name in ("small", "large"))
    produce(broker, small, [b"."] * 5000)
    monkeypatch.setattr(limits, "poll_bytes_max", 100_000)
    kafka = source(broker, [TopicSettings(name=small), TopicSettings(name=large)], Keeper())
    assert len(values(drain(kafka))) == 5000
    produce(broker, large, [b"." * 10_000] * 2000)
    kafka.aim()
    polls: list[list[bytes]] = []
    while not kafka.drained():
        polls.append(values(kafka.poll()))
    kafka.close()
    assert sum(map(len, polls)) == 2000
    unknown, *known = (len(each) for each in polls if each)
    assert unknown <= limits.consume_records_max
    assert max(known) <= 10


def test_two_members_share_the_partitions_and_read_each_record_once(broker: Broker) -> None:
    topic, group = broker.create_topic(broker.unique("shared"), 4), broker.unique("group")
    first = source(broker, [TopicSettings(name=topic)], one := Keeper(), group)
    while len(one.assigned) < 4:
        first.poll()
    second = source(broker, [TopicSettings(name=topic)], two := Keeper(), group)
    deadline = time.monotonic() + DEADLINE_S
    while len(two.assigned) < 2:
        assert time.monotonic() < deadline
        first.poll(0.05)
        second.poll(0.05)
    assert sorted(one.revoked) == sorted(two.assigned)
    for number in range(4):
        produce(broker, topic, numbers(number * 100, number * 100 + 100), number)
    found: dict[str, list[bytes]] = {"first": [], "second": []}
    while sum(map(len, found.values())) < 400:
        assert time.monotonic() < deadline
        found["first"] += values(first.poll(0.05))
        found["second"] += values(second.poll(0.05))
    assert {name: len(each) for name, each in found.items()} == {"first": 200, "second": 200}
    assert sorted(found["first"] + found["second"]) == sorted(numbers(0, 400))
    first.close()
    second.close()


@pytest.mark.parametrize("records", [3, 15])
def test_a_topic_made_again_is_another_topic(broker: Broker, records: int) -> None:
    """Shorter than the position: the broker says out of range. Longer: librdkafka reads on in the new log, and only the id tells."""
    topic = broker.create_topic(broker.unique("again"))
    produce(broker, topic, numbers(0, 10))
    kafka = source(broker, [TopicSettings(name=topic)], keeper := Keeper())
    assert values(drain(kafka)) == numbers(0, 10)
    broker.delete_topic(topic)
    broker.create_topic(topic)
    produce(broker, topic, numbers(100, 100 + records))
    found: list[Records] = []
    deadline = time.monotonic() + DEADLINE_S
    while len(keeper.assigned) < 2:
        assert time.monotonic() < deadline
        read = kafka.poll()
        kafka.verify()  # as before a commit
        found += read if len(keeper.assigned) < 2 else []
    old, new = keeper.assigned
    assert found == []
    assert (old.topic, old.number) == (new.topic, new.number)
    assert old.topic_id != new.topic_id
    assert keeper.lost == [old]
    found = drain(kafka)
    kafka.close()
    assert values(found) == numbers(100, 100 + records)
    assert {each.partition for each in found} == {new}


def test_a_position_below_the_log_is_told_and_reading_goes_on_where_it_begins(broker: Broker) -> None:
    topic = broker.create_topic(broker.unique("expired"))
    produce(broker, topic, numbers(0, 10))
    broker.delete_records(topic, 6)
    kafka = source(broker, [TopicSettings(name=topic)], keeper := Keeper(2))
    assert values(drain(kafka)) == numbers(6, 10)
    assert kafka.events == [Expired(keeper.assigned[0], 2, 6)]
    kafka.close()


def test_retention_that_overtakes_the_reader_is_told(broker: Broker) -> None:
    topic = broker.create_topic(broker.unique("overtaken"))
    produce(broker, topic, numbers(0, 10))
    kafka = source(broker, [TopicSettings(name=topic)], keeper := Keeper(0))
    drain(kafka)
    kafka.pause()
    produce(broker, topic, numbers(10, 20))
    broker.delete_records(topic, 15)
    kafka.resume()
    kafka.aim()
    assert values(drain(kafka)) == numbers(15, 20)
    assert kafka.events == [Expired(keeper.assigned[0], 10, 15)]
    kafka.close()


def test_a_position_above_the_end_is_told_and_the_others_are_read(broker: Broker) -> None:
    topic = broker.create_topic(broker.unique("truncated"), 2)
    for number in range(2):
        produce(broker, topic, numbers(0, 5), number)
    kafka = source(broker, [TopicSettings(name=topic)], keeper := Keeper("earliest", {0: 9}))
    found = drain(kafka)
    broken = next(each for each in keeper.assigned if each.number == 0)
    assert kafka.events == [Truncated(broken, 9, 5)]
    assert [each.partition.number for each in found] == [1]
    kafka.close()


def test_starts_resolve_to_offsets(broker: Broker) -> None:
    topic = broker.create_topic(broker.unique("starts"))
    producer = Producer(broker.client)
    for second in (100, 200, 300):
        producer.produce(topic, b"", timestamp=second * 1000)
    producer.flush(30)
    kafka = source(broker, [TopicSettings(name=topic)], keeper := Keeper("1970-01-01T00:03:20"))
    found = drain(kafka)
    assert found[0].first_offset == 1
    (partition,) = keeper.assigned
    starts: list[Start] = ["earliest", "latest", "1970-01-01T02:05:00+02:00", "2100-01-01", 7]
    assert [kafka.resolve(partition, start) for start in starts] == [0, 3, 2, 3, 7]
    assert kafka.committed([partition]) == {}
    kafka.close()


def test_a_topic_that_appears_later_is_found_by_its_pattern(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "pattern_refresh_s", 0.2)
    stem = broker.unique("later")
    kafka = source(broker, [TopicSettings(pattern=f"{stem}.*")], keeper := Keeper())
    assert kafka.drained()
    assert kafka.poll() == []
    topic = broker.create_topic(f"{stem}-1")
    produce(broker, topic, [b"here"])
    found: list[Records] = []
    deadline = time.monotonic() + DEADLINE_S
    while not found:
        assert time.monotonic() < deadline
        found += kafka.poll()
    kafka.close()
    assert values(found) == [b"here"]
    assert [each.topic for each in keeper.assigned] == [topic]


def test_what_an_owner_raises_reaches_the_caller_of_poll(broker: Broker) -> None:
    topic = broker.create_topic(broker.unique("raises"))

    def assigned(partitions: Sequence[Partition]) -> dict[Partition, Start]:
        raise TracebraidError(f"no ledger for {len(partitions)}")

    kafka = KafkaSource(broker.client, [TopicSettings(name=topic)], broker.unique("g"), Owner(assigned, lambda _: None, lambda _: None), Clock())
    with pytest.raises(TracebraidError, match="no ledger for 1"):
        drain(kafka)
    kafka.close()


def test_a_broker_that_is_not_there_is_one_line_soon() -> None:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    began = time.monotonic()
    with pytest.raises(TracebraidError) as raised:
        KafkaSource({"bootstrap.servers": address}, [TopicSettings(name="t")], "g", Keeper().owner(), Clock())
    assert time.monotonic() - began < 15
    assert str(raised.value).startswith(f"connecting to Kafka: no broker answers at {address}: ")
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 1


def test_a_missing_topic_is_one_line(broker: Broker) -> None:
    missing = broker.unique("missing")
    with pytest.raises(TracebraidError) as raised:
        source(broker, [TopicSettings(name=missing)], Keeper())
    assert str(raised.value).startswith(f"reading topic {missing}: no such topic at {broker.address}")


def test_a_setting_that_librdkafka_does_not_know_is_wrong_use(broker: Broker) -> None:
    with pytest.raises(UsageError, match=r'setting up the consumer: No such configuration property: "no\.such"'):
        source(broker, [TopicSettings(name="t")], Keeper(), **{"no.such": "1"})
