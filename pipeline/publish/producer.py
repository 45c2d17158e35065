"""The one Kafka producer: transactions for the flow, plain sending for load.

In: messages, offsets, the group's metadata. Out: nothing, or an error of one line. Never: a message that is larger than its topic
allows, and so an abort for size that would come back for ever.

An aborted transaction and one whose outcome is unknown come out alike, as OwnershipLost: whoever publishes reads the group's offsets
again, which are the truth in both cases, and goes on from there.
"""

import socket
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, NoReturn

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]  # exported, though not by name

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.apart import apart
from tracebraid.pipeline.kernel.broker import ABSENT, DENIED, IDENTITY, UNREACHABLE, ErrorLog, client_logger, explain
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import OwnershipLost, TracebraidError
from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.publish.topics import MOCK

CALL_S = 5.0
FRAME_BYTES = 256  # a batch's and a record's own fields, generously
BROKER_DEFAULT_BYTES = 1_000_000
LEFT_OUT = "tracebraid.value_left_out"
DEFAULTS = {"client.id": "tracebraid", "compression.type": "lz4", "linger.ms": "20", "partitioner": "murmur2_random"}  # as Java's clients place keys
OWN = {"acks": "all", "enable.idempotence": "true"}
# Other names of what is ours: given too, the later of the two would win.
ALIASES = frozenset({"request.required.acks", "delivery.timeout.ms", "message.timeout.ms", "transactional.id", "transaction.timeout.ms"})


@dataclass(frozen=True, slots=True)
class Message:
    """One record to publish. `timestamp_ms` 0: the present. `partition` -1: by key."""

    topic: str
    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp_ms: int = 0
    partition: int = -1

    @property
    def size_bytes(self) -> int:
        """What it takes in a batch of its own, uncompressed; never less."""
        headers = sum(len(name.encode()) + len(value or b"") + 20 for name, value in self.headers)
        return len(self.value or b"") + len(self.key or b"") + headers + FRAME_BYTES


def _nothing(step: str) -> None:
    """What happens after a step when nobody looks."""


class Publisher:
    """One producer. `Publisher.transactional(…)` for transaction(), `Publisher.plain(…)` for send(). Not for several threads.

    `after_step`: called with the name of each of a transaction's steps; tests inject faults there.
    """

    def __init__(self, client: Mapping[str, str], own: Mapping[str, str], clock: Clock) -> None:
        self.brokers = client.get("bootstrap.servers", "")
        self.clock = clock
        self.errors = ErrorLog(clock)
        self.failures: Counter[str] = Counter()  # messages that were not delivered, by the error's name
        self.failure = ""
        self.after_step: Callable[[str], None] = _nothing
        self._client = client
        self._config = {**DEFAULTS, **{key: value for key, value in client.items() if key not in ALIASES}, **OWN, **own}
        self._sizes: dict[str, int] = {}
        self._producer = self._new()

    @classmethod
    def plain(cls, client: Mapping[str, str], clock: Clock | None = None) -> "Publisher":
        """Sends in order of calls, each message kept by all replicas in sync."""
        return cls(client, {"message.max.bytes": str(limits.record_bytes_max + limits.MIB), "message.timeout.ms": "60000"}, clock or Clock())

    @classmethod
    def transactional(cls, client: Mapping[str, str], group: str, clock: Clock | None = None) -> "Publisher":
        """The transactional.id is tracebraid-<group>-<instance>. Raises TracebraidError where no broker answers.

        The embedded broker emulates no offsets in transactions: there it is a plain one, whose transaction() just sends.
        """
        instance = client.get("group.instance.id") or f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
        return cls._living(client, {"transactional.id": f"tracebraid-{group}-{instance}"}, clock)

    @classmethod
    def sole(cls, client: Mapping[str, str], name: str, clock: Clock | None = None) -> "Publisher":
        """The one process with transactional.id `name`: whoever was it before is fenced, and what it left open is settled when this returns."""
        return cls._living(client, {"transactional.id": name, "message.max.bytes": str(limits.record_bytes_max + limits.MIB)}, clock)

    @classmethod
    def _living(cls, client: Mapping[str, str], own: Mapping[str, str], clock: Clock | None) -> "Publisher":
        waits_ms = {"transaction.timeout.ms": limits.transaction_timeout_ms, "message.timeout.ms": limits.transaction_timeout_ms - 1000}
        publisher = cls(client, {**own, **{name: str(ms) for name, ms in waits_ms.items()}}, clock or Clock())
        if publisher.is_embedded():
            return cls.plain(client, clock)
        publisher._begin_life()
        return publisher

    @property
    def call_s(self) -> float:
        return self.clock.left_s(CALL_S)

    def _new(self) -> Producer:
        config: dict[str, Any] = {**self._config, "error_cb": self.errors, "on_delivery": self._undelivered, "delivery.report.only.error": True}
        try:
            return Producer(config, logger=client_logger())
        except KafkaException as error:
            raise explain(error.args[0].name(), error.args[0].str(), self.brokers, "setting up the producer") from None

    def _undelivered(self, error: Any, _: Any) -> None:
        if error is not None:
            self.failures[error.name()] += 1
            self.failure = error.str()

    def _begin_life(self) -> None:
        """Fence whoever had our transactional.id before, and wait until what it left open is finished or aborted."""
        try:
            self._again(lambda: self._producer.init_transactions(self.call_s), limits.broker_wait_s)
        except KafkaException as error:
            self._refuse(error.args[0], "starting transactions")
        self.errors.connected = True

    # Transactions.

    def transaction(self, messages: Sequence[Message], offsets: Mapping[Partition, int], group_metadata: Any = None, rows: Iterable[Message] = ()) -> None:
        """`messages`, `rows` (many, made while they are sent, each below every broker's default size) and the group's `offsets` (next offset by
        partition; none, if empty), all or nothing:

        1. begin;
        2. produce the messages;
        3. add the offsets, with the group's metadata, so that a member which has left the group is refused;
        4. commit.
        Swapped (3 before 2 would do as well; 4 before 3 would not): committed messages without offsets are published twice.

        Raises OwnershipLost where nothing was committed or nobody can say; TracebraidError for what no repetition mends.
        """
        fitting = [self._fit(message) for message in messages]
        if "transactional.id" not in self._config:
            for message in chain(fitting, rows):
                self.send(message, message.partition)
            return self.flush()
        positions = [TopicPartition(each.topic, each.number, offset, each.topic_id) for each, offset in offsets.items()]
        self.failures.clear()
        try:
            self._producer.begin_transaction()  # 1
            for message in chain(fitting, rows):
                self._produce(message, message.partition)  # 2
            self.after_step("produced")
            if positions:
                self._again(lambda: self._send_offsets(positions, group_metadata))  # 3
                self.after_step("sent offsets")
            self._again(lambda: self._producer.commit_transaction(self.call_s))  # 4
            self.after_step("committed")
        except KafkaException as error:
            self._recover(error.args[0])

    def _send_offsets(self, positions: list[TopicPartition], group_metadata: Any) -> None:
        """librdkafka 2.16 keeps no time in this call: where a coordinator goes meanwhile it was seen to take 18 s of the 5 it was given. So it has a thread."""
        producer, deadline = self._producer, self.clock.monotonic_s() + limits.transaction_timeout_ms / 1000
        if not apart(lambda: producer.send_offsets_to_transaction(positions, group_metadata, self.call_s), lambda: self.clock.past(deadline)):
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "the group's coordinator does not answer"))

    def _recover(self, error: Any) -> NoReturn:
        doing = "publishing in a transaction"
        aborted = error.txn_requires_abort() and self._aborted()
        if not aborted:
            self._producer = self._new()  # the old one's state is unknown; the new one's init_transactions settles what it left
            self._begin_life()
        cause = next((name for name in self.failures if name in DENIED | ABSENT | IDENTITY), error.name())
        if cause in DENIED | ABSENT | IDENTITY:
            raise explain(cause, self.failure or error.str(), self.brokers, doing)
        outcome = "was aborted" if aborted else "may have been committed or not"
        raise OwnershipLost(f"{doing}: it {outcome}: {error.str()}{f'; {self.failure}' if self.failures else ''}")

    def _aborted(self) -> bool:
        try:
            self._again(lambda: self._producer.abort_transaction(self.call_s))
        except KafkaException:
            return False
        return True

    def _again(self, call: Callable[[], None], wait_s: float = limits.transaction_timeout_ms / 1000) -> None:
        """The same call again while its error says that this is safe; the last error once `wait_s` is over."""
        deadline = self.clock.monotonic_s() + wait_s
        while True:
            try:
                return call()
            except KafkaException as error:
                if not error.args[0].retriable() or self.clock.past(deadline) or self.errors.refusal():
                    raise
            self._producer.poll(0.1)

    def _fit(self, message: Message) -> Message:
        """The message, without its value where it is larger than its topic takes. Raises TracebraidError where the rest is still larger."""
        limit = self.size_bytes_max(message.topic)
        if message.size_bytes <= limit:
            return message
        small = replace(message, value=None, headers=(*message.headers, (LEFT_OUT, b"larger than the topic's max.message.bytes")))
        if small.size_bytes > limit:
            raise TracebraidError(
                f"a message of {small.size_bytes} bytes does not fit topic {message.topic}, which takes {limit}", "Raise its max.message.bytes"
            )
        return small

    def size_bytes_max(self, topic: str) -> int:
        """What the topic takes, as its configuration says, and the client; the client's default where we may not read the configuration.

        Raises TracebraidError where there is no such topic: asked here, as a message to it would hold its transaction until it times out.
        """
        if topic not in self._sizes:
            config: dict[str, Any] = dict(self._client)
            admin = AdminClient(config, logger=client_logger())
            try:
                found = admin.list_topics(timeout=self.call_s)
                if topic not in found.topics:
                    raise TracebraidError(f"topic {topic} is not at {self.brokers}, or may not be seen", "`tracebraid topics apply` makes it")
                if (found.cluster_id or "").startswith(MOCK):
                    return BROKER_DEFAULT_BYTES
                resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
                told = int(admin.describe_configs([resource], request_timeout=self.call_s)[resource].result()["max.message.bytes"].value)
            except KafkaException:
                told = BROKER_DEFAULT_BYTES
            self._sizes[topic] = min(told, int(self._config.get("message.max.bytes", BROKER_DEFAULT_BYTES)))
        return self._sizes[topic]

    # Plain sending.

    def partitions(self, topic: str) -> int:
        """Number of the topic's partitions; 0 where it is not there. Raises TracebraidError where no broker answers."""
        found = self._cluster().topics.get(topic)
        return len(found.partitions) if found else 0

    def is_embedded(self) -> bool:
        """Whether the cluster is librdkafka's own. Raises TracebraidError where no broker answers."""
        return (self._cluster().cluster_id or "").startswith(MOCK)

    def _cluster(self) -> Any:
        deadline = self.clock.monotonic_s() + limits.broker_wait_s
        while True:
            try:
                found = self._producer.list_topics(timeout=2.0)
            except KafkaException as error:
                self._producer.poll(0)
                if error.args[0].name() not in UNREACHABLE or self.errors.refusal() or self.clock.monotonic_s() >= deadline:
                    self._refuse(error.args[0], "connecting to Kafka")
            else:
                self.errors.connected = True
                return found

    def send(self, message: Message, partition: int = -1) -> None:
        """Queue the message; waits while the queue is full. `partition` -1: by key. Raises TracebraidError once an earlier one has failed."""
        try:
            self._produce(message, partition)
        except KafkaException as error:
            self._refuse(error.args[0], f"writing to topic {message.topic}")
        if self._failed():
            self._refuse_failures(message.topic)

    def flush(self, topic: str = "") -> None:
        """Until everything queued is delivered or has failed. Raises TracebraidError for failures other than too large a record."""
        while self._producer.flush(1.0):
            pass
        if self._failed():
            self._refuse_failures(topic)

    def close(self) -> None:
        """Deliver what is queued, for a few seconds at most."""
        self._producer.flush(self.call_s)

    def _produce(self, message: Message, partition: int) -> None:
        headers: Any = list(message.headers) or None
        while True:
            try:
                self._producer.produce(message.topic, message.value, message.key, partition, timestamp=message.timestamp_ms, headers=headers)
            except BufferError:
                self._producer.poll(0.05)
                if self._failed():
                    return  # the caller learns of it at its next step
            else:
                self._producer.poll(0)
                return

    def _failed(self) -> bool:
        """Whether a message failed for another reason than its size, which is that message's alone."""
        return self.failures.total() > self.failures["MSG_SIZE_TOO_LARGE"]

    def _refuse_failures(self, topic: str) -> NoReturn:
        name = next(name for name in self.failures if name != "MSG_SIZE_TOO_LARGE")
        raise explain(*self.errors.cause(name, self.failure), self.brokers, f"writing to topic {topic}")

    def _refuse(self, error: Any, doing: str) -> NoReturn:
        raise explain(*self.errors.cause(error.name(), error.str()), self.brokers, doing)
