"""A compacted topic of ours as what it is: the last value of each key.

In: client settings, a topic, which of its partitions. Out: changes, the oldest first. Never: a group, a commit; a change that a transaction did not commit.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.broker import UNREACHABLE, ErrorLog, client_logger, explain
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.source.kafka import DEFAULTS, OWN

CALL_S = 2.0
MESSAGES_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Change:
    """One message: `value` None removes its key. time_ms: its Kafka timestamp."""

    partition: int
    offset: int
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    time_ms: int


class CompactedTopic:
    """Reads partitions of one topic from their beginning, and goes on as they grow. Not for several threads.

    `partitions` None: all that the topic has now. Raises TracebraidError where no broker answers or there is no such topic.
    """

    def __init__(self, client: Mapping[str, str], topic: str, clock: Clock, partitions: Sequence[int] | None = None) -> None:
        self.topic, self.clock, self.brokers = topic, clock, client.get("bootstrap.servers", "")
        self.errors = ErrorLog(clock)
        own = {**OWN, "auto.offset.reset": "earliest"}  # a partition whose beginning was cleaned meanwhile is read from where it begins now
        config: dict[str, Any] = {**DEFAULTS, **{key: value for key, value in client.items() if key not in {*OWN, "group.instance.id"}}, **own}
        try:
            self.consumer = Consumer({**config, "group.id": "tracebraid-reader", "error_cb": self.errors}, logger=client_logger())
        except KafkaException as error:
            raise explain(error.args[0].name(), error.args[0].str(), self.brokers, "setting up the consumer") from None
        try:
            there = self._partitions()
            self.partitions = sorted(there if partitions is None else partitions)
            self._behind = set(self.partitions)
            self.consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in self.partitions])
        except BaseException:
            self.consumer.close()
            raise

    def _partitions(self) -> list[int]:
        deadline = self.clock.monotonic_s() + limits.broker_wait_s
        while True:
            try:
                found = self.consumer.list_topics(self.topic, timeout=CALL_S).topics[self.topic]
            except KafkaException as error:
                self.consumer.poll(0)
                if error.args[0].name() not in UNREACHABLE or self.errors.refusal() or self.clock.monotonic_s() >= deadline:
                    raise explain(*self.errors.cause(error.args[0].name(), error.args[0].str()), self.brokers, "connecting to Kafka") from None
            else:
                self.errors.connected = True
                if found.error is not None or not found.partitions:
                    raise TracebraidError(f"topic {self.topic} is not at {self.brokers}, or may not be seen", "`tracebraid topics apply` makes it")
                return list(found.partitions)

    @property
    def at_end(self) -> bool:
        """Whether every partition was read to an end that it had since we began."""
        return not self._behind

    def poll(self, timeout_s: float = 0.0) -> list[Change]:
        """What has come, in the order of each partition. Raises TracebraidError for what no waiting mends."""
        found = []
        for message in self.consumer.consume(MESSAGES_MAX, timeout_s):
            error = message.error()
            if error is None:
                found.append(_change(message))
            elif error.name() == "_PARTITION_EOF":
                self._behind.discard(message.partition())
            elif not error.retriable() and error.name() not in UNREACHABLE:
                raise explain(error.name(), error.str(), self.brokers, f"reading topic {self.topic}")
        return found

    def read(self, wait_s: float = limits.broker_retry_s) -> list[Change]:
        """All up to the present end. Raises TracebraidError (transient) where that is not reached for `wait_s`."""
        return [change for came in self._to_the_end(wait_s) for change in came]

    def latest(self, wait_s: float = limits.broker_retry_s) -> dict[tuple[int, bytes], Change]:
        """The last change of each (partition, key) up to the present end, without those removed. No more is held, however long the topic."""
        found: dict[tuple[int, bytes], Change] = {}
        for came in self._to_the_end(wait_s):
            found.update(((change.partition, change.key), change) for change in came)
        return {place: change for place, change in found.items() if change.value is not None}

    def _to_the_end(self, wait_s: float) -> Iterator[list[Change]]:
        deadline = self.clock.monotonic_s() + wait_s
        while self._behind:
            yield (came := self.poll(0.1))
            if came:
                deadline = self.clock.monotonic_s() + wait_s
            elif self.clock.monotonic_s() >= deadline:
                hint = "Look whether a transaction hangs there: kafka-transactions.sh --find-hanging"
                raise TracebraidError(f"the end of topic {self.topic} is not reached at {self.brokers}", hint, transient=True)

    def close(self) -> None:
        self.consumer.close()


def _change(message: Any) -> Change:
    return Change(message.partition(), message.offset(), message.key() or b"", message.value(), tuple(message.headers() or ()), message.timestamp()[1])


def latest(changes: Sequence[Change]) -> dict[tuple[int, bytes], Change]:
    """The last change of each (partition, key), without those that were removed."""
    found = {(change.partition, change.key): change for change in changes}
    return {place: change for place, change in found.items() if change.value is not None}
