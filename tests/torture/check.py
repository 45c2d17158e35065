"""Is everything there, and once? By the numbers in the records' content, and by their positions.

In: the lake's files, the rejects topic, the list of what was sent. Out: what is wrong, a line each. Never: code of the product: files are
named by delta-rs, read by DuckDB.
"""

import re
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import duckdb
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # exported, though not by name
from deltalake import DeltaTable

from tests.torture.workload import Sent, Topic, kind_of, rows_of

NUMBER = {
    "logs": "attributes['number']::bigint",
    "spans": "attributes['number']::bigint",
    "rejects": "record_value",
}
GROUP = "tracebraid.group"  # the property of `intervals` that names the group
COMMON = "kafka_topic_id, kafka_partition, kafka_offset, record_index"
SAMPLES = 5
OPEN_S_MAX = 90.0  # a transaction that a kill left open is aborted by the broker: its timeout of 15 s, and 10 s between the broker's looks
LATEST = OffsetSpec.latest()  # type: ignore[no-untyped-call]


_DIGITS = re.compile(rb"[0-9]+\Z")


class Row(NamedTuple):
    """One row of the lake: the number in its content, and where it came from."""

    number: int
    table: str
    topic_id: str
    partition: int
    offset: int
    item: int


class Interval(NamedTuple):
    kind: str
    topic_id: str
    partition: int
    first: int
    last: int


def _query(lake: str, table: str, columns: str) -> list[tuple[Any, ...]]:
    files = [uri.removeprefix("file://") for uri in DeltaTable(f"{lake}/{table}").file_uris()]
    if not files:
        return []
    with duckdb.connect() as database:
        return database.execute(f"select {columns} from read_parquet({files!r}, hive_partitioning = false)").fetchall()


def read_lake(lake: str) -> tuple[list[Row], list[Interval]]:
    rows = [Row(_number(found), table, *rest) for table, spelled in NUMBER.items() for found, *rest in _query(lake, table, f"{spelled}, {COMMON}")]
    return rows, [Interval(*row) for row in _query(lake, "intervals", "kind, kafka_topic_id, kafka_partition, first_offset, last_offset")]


def stored(lake: str) -> dict[tuple[str, int], int]:
    """How far intervals come, by topic id and partition: the offset behind the last."""
    ends: dict[tuple[str, int], int] = {}
    for topic_id, partition, end in _query(lake, "intervals", "kafka_topic_id, kafka_partition, last_offset + 1"):
        ends[topic_id, partition] = max(ends.get((topic_id, partition), 0), end)
    return ends


def _number(found: int | bytes) -> int:
    return int(_DIGITS.search(found)[0]) if isinstance(found, bytes) else found  # type: ignore[index]  # what is no poison ends in digits all the same


def check_content(lake: str, topics: Iterable[Topic]) -> list[str]:
    """Every record that was sent is in the table of its kind, each of its rows once, at its position; or in an interval that says it was lost, or before the
    first start, which retention moved. Of a topic that was made again, what no interval has come to may be missing. Of a record whose fate the broker
    did not tell, nothing may come twice."""
    rows, intervals = read_lake(lake)
    held: dict[int, list[Row]] = {}
    for row in rows:
        held.setdefault(row.number, []).append(row)
    starts: dict[tuple[str, int], int] = {}
    ends: dict[tuple[str, int], int] = {}
    lost: dict[tuple[str, int], list[Interval]] = {}
    for interval in intervals:
        place = interval.topic_id, interval.partition
        starts[place] = min(starts.get(place, interval.first), interval.first)
        ends[place] = max(ends.get(place, 0), interval.last + 1)
        if interval.kind == "lost":
            lost.setdefault(place, []).append(interval)
    found = Counter[str]()
    samples: dict[str, list[str]] = {}
    for topic in topics:
        for sent in topic.sent:
            there = held.pop(sent.number, [])
            place = sent.topic_id, sent.partition
            gone = sent.offset < starts.get(place, 0) or any(each.first <= sent.offset <= each.last for each in lost.get(place, ()))
            for problem in _judge(sent, there, gone=gone, reached=sent.offset < ends.get(place, 0), current=sent.topic_id == topic.id):
                found[problem] += 1
                samples.setdefault(problem, []).append(f"number {sent.number}, {sent.topic}[{sent.partition}]@{sent.offset}: {[*there]}")
    problems = [f"{problem}: {count} records, as {'; '.join(samples[problem][:SAMPLES])}" for problem, count in found.items()]
    if held:
        problems.append(f"never sent: {len(held)} numbers, as {list(held.items())[:SAMPLES]}")
    return problems


def _judge(sent: Sent, there: list[Row], *, gone: bool, reached: bool, current: bool) -> Iterable[str]:
    """gone: intervals say that it was lost, or start behind it (a torn cycle may have kept it, whole); reached: intervals account for its offset; current: its
    topic was not made again."""
    if any(row.table != kind_of(sent.number) for row in there):
        yield "in a wrong table"
    indexes = sorted(row.item for row in there)
    if len(set(indexes)) < len(indexes):
        yield "doubled"
    if not sent.topic_id:
        return
    if any((row.topic_id, row.partition, row.offset) != (sent.topic_id, sent.partition, sent.offset) for row in there):
        yield "at a wrong position"
    if (there or not gone) and (current or reached) and len(set(indexes)) < rows_of(sent.number):
        yield "missing"


def await_transactions(client: dict[str, str], topic: str) -> None:
    """Until no transaction is open on the topic: what was committed behind one cannot be read before. Raises TimeoutError."""
    admin, deadline_s = AdminClient({**client, "log_level": 0}), time.monotonic() + OPEN_S_MAX
    wanted = {TopicPartition(topic, number): LATEST for number in admin.list_topics(topic, timeout=10).topics[topic].partitions}

    def ends(level: Any) -> list[int]:
        return [asked.result().offset for asked in admin.list_offsets(wanted, isolation_level=level, request_timeout=10).values()]

    while ends(IsolationLevel.READ_COMMITTED) != ends(IsolationLevel.READ_UNCOMMITTED):
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"a transaction is open on {topic} since {OPEN_S_MAX:g} s")
        time.sleep(0.2)


def check_group(lake: str, client: dict[str, str], ends: dict[tuple[str, int], tuple[int, int]]) -> list[str]:
    """The group's offset stands at the end of every partition. ends: first offset and end, by topic and partition."""
    group = DeltaTable(f"{lake}/intervals").metadata().configuration[GROUP]
    admin = AdminClient({**client, "log_level": 0})
    told = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)], require_stable=True, request_timeout=30)[group].result()
    at = {(each.topic, each.partition): each.offset for each in told.topic_partitions}
    return [f"the group stands at {at.get(place)} of {place[0]}[{place[1]}], which ends at {end}" for place, (_, end) in ends.items() if at.get(place) != end]


def read_rejects(client: dict[str, str], topic: str) -> Counter[int]:
    """How often each number is on the rejects topic, under read_committed."""
    consumer = Consumer({**client, "group.id": "torture-reader", "isolation.level": "read_committed", "enable.partition.eof": True, "log_level": 0})
    places = [TopicPartition(topic, number, 0) for number in consumer.list_topics(topic, timeout=10).topics[topic].partitions]
    consumer.assign(places)
    numbers, ends = Counter[int](), set[int]()
    while len(ends) < len(places):
        message: Any = consumer.poll(30)
        if message is None:
            raise TimeoutError(f"topic {topic} has no end")
        if message.error() is None:
            numbers[_number(message.value())] += 1
        elif message.error().name() == "_PARTITION_EOF":
            ends.add(message.partition())
        else:
            raise KafkaException(message.error())
    consumer.close()
    return numbers


def check_rejects(published: Counter[int], topics: Iterable[Topic], low: dict[tuple[str, int], int]) -> list[str]:
    """Each poisoned record exactly once; at most once if its topic was made again or retention may have taken it first. low: by topic, partition."""
    doubled, missing = [number for number, count in published.items() if count > 1], []
    poison = set[int]()
    for topic in topics:
        for sent in topic.sent:
            if kind_of(sent.number) != "rejects":
                continue
            poison.add(sent.number)
            if sent.topic_id == topic.id and sent.offset >= low.get((sent.topic, sent.partition), 0) and not published[sent.number]:
                missing.append(sent.number)
    problems = [f"rejects published twice: {len(doubled)}, as {doubled[:SAMPLES]}"] if doubled else []
    if missing:
        problems.append(f"rejects not published: {len(missing)}, as {missing[:SAMPLES]}")
    if strange := set(published) - poison:
        problems.append(f"rejects published of records that are none: {sorted(strange)[:SAMPLES]}")
    return problems
