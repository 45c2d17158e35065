"""What topics hold: the offsets of their records, read with a consumer of our own.

In: client settings, topics. Out: chunks of offsets that are complete between two offsets; positions on the rejects topic; a group's offsets.
Never: a group joined, an offset committed, a value kept.
"""

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import numpy as np
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaException, Message, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]  # exported, though not by name

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.broker import ABSENT, PASSING, ErrorLog, client_logger, explain
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.closing import close
from tracebraid.pipeline.verify.report import Key, Longs

Answer = TypeVar("Answer")
Count = Callable[[bytes | None], int]
CALL_S = 5.0
GROUP = "tracebraid-verify"  # a consumer must name one; it is never joined, and nothing is committed for it
POLL_RECORDS = 20_000
FILL_S = 0.02  # consume() waits so long for its number to be full, also at the end of a partition
MOCK = "mockCluster"
NO_ID = "AAAAAAAAAAAAAAAAAAAAAA"
OUT_OF_RANGE = ("OFFSET_OUT_OF_RANGE", "_AUTO_OFFSET_RESET")
DAMAGE = ("_BAD_MSG", "_BAD_COMPRESSION", "INVALID_MSG")  # a batch whose checksum is wrong, or that does not decompress
OWN = {
    "enable.auto.commit": "false",
    "enable.auto.offset.store": "false",
    "isolation.level": "read_committed",
    "auto.offset.reset": "error",
    "enable.partition.eof": "true",
    "check.crcs": "true",
    "queued.max.messages.kbytes": str(limits.fetch_queue_bytes_max // limits.KIB),
    "fetch.queue.backoff.ms": "10",
    "fetch.wait.max.ms": "10",  # the end of each partition costs one such wait, and a question behind a fetch another
}


@dataclass(frozen=True, slots=True)
class Chunk:
    """All records of one partition from offset `first` up to and without `until`. times_ms: -1 where there is none. empty: whether its value
    is. expected: rows that the record should have, by the caller's count; -1 where that was not asked.
    """

    first: int
    until: int
    offsets: Longs
    times_ms: Longs
    empty: Longs
    expected: Longs

    def cut(self, until: int) -> "tuple[Chunk, Chunk]":
        """The part below `until`, and the rest."""
        place = int(np.searchsorted(self.offsets, until))
        columns = (self.offsets, self.times_ms, self.empty, self.expected)
        return Chunk(self.first, until, *(each[:place] for each in columns)), Chunk(until, self.until, *(each[place:] for each in columns))


@dataclass(frozen=True, slots=True)
class Published:
    """Rejects of one partition that are on the rejects topic. kept_from: those of lower offsets that topic's retention may have taken."""

    offsets: Longs
    indexes: Longs
    kept_from: int


class Broker:
    """Questions to one cluster. Raises TracebraidError of one line where they stay without an answer."""

    def __init__(self, client: Mapping[str, str], clock: Clock) -> None:
        self.client, self.clock = client, clock
        self.brokers = client.get("bootstrap.servers", "")
        self.errors = ErrorLog(clock)
        self.consumer = self._consumer(GROUP)
        config: dict[str, Any] = {**client, "error_cb": self.errors}
        self.admin = AdminClient(config, logger=client_logger())
        found = self._ask(lambda: self.consumer.list_topics(timeout=CALL_S), "connecting to Kafka", limits.broker_wait_s)
        self.errors.connected = True
        self.cluster = found.cluster_id or self.brokers
        self.partitions = {name: sorted(topic.partitions) for name, topic in found.topics.items()}

    def close(self) -> None:
        close(self.consumer)

    def topic_id(self, topic: str) -> str:
        """'' where there is no such topic."""
        if topic not in self.partitions:
            return ""
        if self.cluster.startswith(MOCK):
            return topic
        described = self._ask(lambda: self._described(topic), f"describing topic {topic}")
        if described is None:
            return ""
        spelled = str(described.topic_id).replace("+", "-").replace("/", "_")
        return topic if spelled == NO_ID else spelled

    def _described(self, topic: str) -> Any:
        try:
            return self.admin.describe_topics(TopicCollection([topic]), request_timeout=CALL_S)[topic].result()
        except KafkaException as error:
            if error.args[0].name() in ABSENT:
                return None
            raise

    def is_compacted(self, topic: str) -> bool:
        """Whether records may vanish from the middle of the topic; True where the broker will not say."""
        if self.cluster.startswith(MOCK):
            return False
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        try:
            found = self.admin.describe_configs([resource], request_timeout=CALL_S)[resource].result()
        except KafkaException:
            return True
        return "compact" in str(found["cleanup.policy"].value)

    def low(self, topic: str, number: int) -> int:
        """The lowest offset that retention has left."""
        place = TopicPartition(topic, number)
        low, _ = self._ask(lambda: self.consumer.get_watermark_offsets(place, timeout=CALL_S), f"asking for the ends of {topic}[{number}]")
        return int(low)

    def chunks(self, topic: str, number: int, first: int, end: int, count: Count | None = None) -> Iterator[Chunk]:
        """The records at `first` and above, below `end`; what retention has taken, also meanwhile, or cannot be read, is in no chunk."""
        position = max(first, self.low(topic, number))
        for messages in self._read(topic, number, position, end):
            if isinstance(messages, int):  # retention came between: this is where the log begins now
                position = max(position, messages)
                continue
            until = min(end, _offset(messages[-1]) + 1) if messages else end
            yield _chunk(position, until, [message for message in messages if position <= _offset(message) < end], count)
            position = until

    def _read(self, topic: str, number: int, start: int, end: int) -> "Iterator[list[Message] | int]":
        """Records in order, in lists; [] at the end of the log, and then nothing; a number where the log's beginning has moved beyond us."""
        if start >= end:
            return
        self.consumer.assign([TopicPartition(topic, number, start)])
        deadline = self.clock.monotonic_s() + limits.broker_retry_s
        try:
            while True:
                first = self.consumer.poll(0.5)
                messages = [] if first is None else [first, *self.consumer.consume(POLL_RECORDS, FILL_S)]
                errors = [error for message in messages if (error := message.error())]
                records = [message for message in messages if message.error() is None and message.partition() == number and message.topic() == topic]
                if records:
                    deadline = self.clock.monotonic_s() + limits.broker_retry_s
                    yield records
                    if _offset(records[-1]) + 1 >= end:
                        return
                for error in errors:
                    if error.name() == "_PARTITION_EOF":
                        yield []
                        return
                    if error.name() in OUT_OF_RANGE:
                        low = self.low(topic, number)
                        yield low
                        if low >= end:
                            return
                        self.consumer.assign([TopicPartition(topic, number, low)])
                    elif error.name() in DAMAGE:
                        return
                    elif error.name() not in PASSING:
                        self._refuse(error, f"reading {topic}[{number}]")
                if self.clock.monotonic_s() >= deadline:
                    raise explain("_TIMED_OUT", f"no record and no end of {topic}[{number}] came", self.brokers, f"reading {topic}[{number}]")
        finally:
            self.consumer.unassign()

    def committed(self, group: str, keys: Mapping[Key, str]) -> dict[Key, int]:
        """The offsets of `group`, for partitions of these topics; one written for an earlier topic of the same name is left out."""
        consumer = self._consumer(group)
        try:
            places = {(topic, key.number): key for key, topic in keys.items()}
            wanted = [TopicPartition(*place) for place in places]
            found = self._ask(lambda: consumer.committed(wanted, timeout=CALL_S), f"reading the offsets of group {group}") if wanted else []
            named = {places[each.topic, each.partition]: each for each in found if each.offset >= 0}
            return {key: int(each.offset) for key, each in named.items() if (each.metadata or key.topic_id) == key.topic_id}
        finally:
            close(consumer)

    def published(self, topic: str, group: str) -> Callable[[Key], Published]:
        """The rejects of `group` on the rejects topic, and those that name no group, by the partition that they came from."""
        found: defaultdict[Key, tuple[array[int], array[int]]] = defaultdict(lambda: (array("q"), array("q")))
        oldest: defaultdict[Key, dict[int, int]] = defaultdict(dict)  # the lowest offset in each partition of the rejects topic that has lost records
        shortened = []
        for number in self.partitions.get(topic, []):
            low = self.low(topic, number)
            if low > 0:
                shortened.append(number)
            for messages in self._read(topic, number, low, 1 << 62):
                if isinstance(messages, int):
                    shortened.append(number)
                    continue
                for message in messages:
                    if position := _position(message, group):
                        key, offset, index = position
                        found[key][0].append(offset)
                        found[key][1].append(index)
                        oldest[key][number] = min(offset, oldest[key].get(number, offset))

        def of(key: Key) -> Published:
            offsets, indexes = found.get(key, (array("q"), array("q")))
            kept_from = max((oldest.get(key, {}).get(number, 1 << 62) for number in shortened), default=0)
            return Published(np.array(offsets, dtype=np.int64), np.array(indexes, dtype=np.int64), kept_from)

        return of

    def _consumer(self, group: str) -> Consumer:
        config: dict[str, Any] = {**self.client, **OWN, "group.id": group, "error_cb": self.errors}
        try:
            return Consumer(config, logger=client_logger())
        except KafkaException as error:
            self._refuse(error.args[0], "setting up a consumer")

    def _ask(self, question: Callable[[], Answer], doing: str, wait_s: float = limits.broker_retry_s) -> Answer:
        """The answer; again where what fails may pass."""
        deadline = self.clock.monotonic_s() + wait_s
        while True:
            try:
                return question()
            except KafkaException as error:
                failure = error.args[0]
                self.consumer.poll(0)  # lets the error callback speak
                if self.errors.refusal() or not (failure.retriable() or failure.name() in PASSING) or self.clock.monotonic_s() >= deadline:
                    self._refuse(failure, doing)
            self.clock.sleep(0.1)

    def _refuse(self, error: Any, doing: str) -> NoReturn:
        raise explain(*self.errors.cause(error.name(), error.str()), self.brokers, doing) from None


def _chunk(first: int, until: int, messages: list[Message], count: Count | None) -> Chunk:
    times = (message.timestamp() for message in messages)
    return Chunk(
        first,
        until,
        np.array([message.offset() for message in messages], dtype=np.int64),
        np.array([-1 if kind == TIMESTAMP_NOT_AVAILABLE else ms for kind, ms in times], dtype=np.int64),
        np.array([len(message) == 0 for message in messages], dtype=np.int64),
        np.array([-1 if count is None else count(message.value()) for message in messages], dtype=np.int64),
    )


def _position(message: Message, group: str) -> tuple[Key, int, int] | None:
    """The position that a reject's headers name; None for a message that is none, or another group's: other lakes publish there too."""
    try:
        headers = {name: value for name, value in reversed(_headers(message)) if name.startswith("tracebraid.")}
        if group and _text(headers.get("tracebraid.group", group)) != group:
            return None
        cluster, topic_id, number, offset, index = (headers[f"tracebraid.{name}"] for name in ("cluster", "topic_id", "partition", "offset", "index"))
        return Key(_text(cluster), _text(topic_id), int(_text(number))), int(_text(offset)), int(_text(index))
    except (KeyError, ValueError):
        return None


def _offset(message: Message) -> int:
    return int(message.offset() or 0)


def _headers(message: Message) -> list[tuple[str, Any]]:
    headers: Any = message.headers()
    return list(headers or ())


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
