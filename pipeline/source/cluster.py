"""What a source asks of the cluster: who it is, which topics there are, their ids, where partitions begin and end.

In: a consumer and its settings. Out: values. Never: a record. What passes by itself is asked again, at most `limits.broker_retry_s`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from confluent_kafka import Consumer, IsolationLevel, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # exported, though not by name

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.broker import ABSENT, PASSING, ErrorLog, client_logger, explain
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.source.partitions import Start

Answer = TypeVar("Answer")
_LATEST = OffsetSpec.latest()  # type: ignore[no-untyped-call]
CALL_S = 5.0
NO_ID = "AAAAAAAAAAAAAAAAAAAAAA"  # a UUID of zeros, from brokers that know no topic ids
MOCK = "mockCluster"  # how librdkafka's embedded cluster names itself: it answers no admin calls, so there a topic's name serves as its id


class Cluster:
    """Questions to one cluster. Raises TracebraidError of one line where they stay without an answer."""

    def __init__(self, consumer: Consumer, client: Mapping[str, Any], clock: Clock, errors: ErrorLog) -> None:
        self.consumer = consumer
        self.client = client
        self.clock = clock
        self.errors = errors
        self.brokers = str(client.get("bootstrap.servers", ""))
        self.id = ""
        self._admin_client: AdminClient | None = None
        self._asked: dict[Partition, Future[Any]] = {}
        self._ends: dict[Partition, int] = {}
        self.answered_s = clock.monotonic_s()  # when a question of ends() was answered last, or there was nothing to ask

    @property
    def call_s(self) -> float:
        return self.clock.left_s(CALL_S)

    def connect(self) -> list[str]:
        """Names of all topics we may see. Raises within `limits.broker_wait_s`, at once where our identity is refused."""
        deadline = self.clock.monotonic_s() + limits.broker_wait_s
        while True:
            left = deadline - self.clock.monotonic_s()
            try:
                found = self.consumer.list_topics(timeout=max(0.1, min(2.0, left)))
            except KafkaException as error:
                self.consumer.poll(0)  # lets the error callback speak
                failure = error.args[0]
                if self.errors.refusal() or left <= 0 or failure.name() not in PASSING:
                    raise explain(*self.errors.cause(failure.name(), failure.str()), self.brokers, "connecting to Kafka") from None
            else:
                self.errors.connected = True
                self.id = found.cluster_id or self.brokers
                return sorted(found.topics)

    def require(self, topic: str) -> None:
        """Raises TracebraidError where `topic` does not exist or may not be seen."""
        found = self._ask(lambda: self.consumer.list_topics(topic, timeout=self.call_s), f"looking up topic {topic}").topics[topic]
        if found.error is not None:
            raise explain(found.error.name(), found.error.str(), self.brokers, f"reading topic {topic}")

    def topics(self) -> list[str]:
        return sorted(self._ask(lambda: self.consumer.list_topics(timeout=self.call_s), "listing topics").topics)

    def sizes(self) -> dict[str, int]:
        """Number of partitions of every topic that we may see."""
        return {
            name: len(topic.partitions) for name, topic in self._ask(lambda: self.consumer.list_topics(timeout=self.call_s), "listing topics").topics.items()
        }

    def siblings(self, partition: Partition) -> list[Partition]:
        """All partitions of the topic that `partition` is of, itself included.

        Asked from within callbacks of the consumer, so not of it: confluent-kafka 2.16 forgets after list_topics that the handle is within a call,
        and at the handle's next callback aborts the process.
        """
        numbers = self._ask(lambda: self._admin().list_topics(partition.topic, timeout=self.call_s), f"looking up topic {partition.topic}")
        return [replace(partition, number=number) for number in sorted({partition.number, *numbers.topics[partition.topic].partitions})]

    def topic_ids(self, topics: Iterable[str]) -> dict[str, str]:
        """Id of each topic, URL-safe base64 as Kafka's own tools print it; a topic that is not there is left out."""
        names = sorted(set(topics))
        if not names or self.id.startswith(MOCK):
            return {name: name for name in names}
        ids = {}
        for name in names:
            with suppress(Absent):
                spelled = self._ask(partial(self._topic_id, self._admin(), name), f"describing topic {name}")
                ids[name] = name if spelled == NO_ID else spelled
        return ids

    def _topic_id(self, admin: AdminClient, name: str) -> str:
        described = admin.describe_topics(TopicCollection([name]), request_timeout=self.call_s)[name].result()
        return str(described.topic_id).replace("+", "-").replace("/", "_")

    def _admin(self) -> AdminClient:
        if self._admin_client is None:
            config: dict[str, Any] = {**self.client, "error_cb": self.errors}
            self._admin_client = AdminClient(config, logger=client_logger())
        return self._admin_client

    def ends(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """The last stable offset of each, as an earlier call's question was answered; left out where it was not yet. Asks again, and never waits.

        It goes past the consumer: what a fetch told last says nothing where fetching has stopped.
        """
        refused = False
        for partition, answer in list(self._asked.items()):
            if answer.done():
                del self._asked[partition]
                try:
                    self._ends[partition] = answer.result().offset
                    self.answered_s = self.clock.monotonic_s()
                except KafkaException as error:
                    refused = True
                    if error.args[0].name() in ABSENT:
                        self._ends.pop(partition, None)
        if refused and partitions:  # once a broker has restarted, its partitions refuse the leader epoch that the client remembers; a description renews it
            self._admin().describe_topics(TopicCollection(sorted({each.topic for each in partitions})), request_timeout=self.call_s)
        self._ends = {each: self._ends[each] for each in partitions if each in self._ends}
        if not partitions:
            self.answered_s = self.clock.monotonic_s()
        elif not self._asked:
            wanted = {TopicPartition(each.topic, each.number): _LATEST for each in partitions}
            asked = self._admin().list_offsets(wanted, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=self.call_s)
            self._asked = {each: asked[TopicPartition(each.topic, each.number)] for each in partitions}
        return self._ends

    def watermarks(self, partition: Partition) -> tuple[int, int]:
        """Lowest offset there is, and the end of what read_committed may see: the last stable offset."""
        place = TopicPartition(partition.topic, partition.number)
        low, high = self._ask(lambda: self.consumer.get_watermark_offsets(place, timeout=self.call_s), f"asking for the ends of {partition}")
        return low, high

    def resolve(self, partition: Partition, start: Start) -> int:
        """The offset that `start` means now; a time means the first record not before it, or the end."""
        if isinstance(start, int):
            return start
        low, high = self.watermarks(partition)
        if start in ("earliest", "latest"):
            return low if start == "earliest" else high
        moment = datetime.fromisoformat(start)
        ms = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
        place = TopicPartition(partition.topic, partition.number, ms)
        found = self._ask(lambda: self.consumer.offsets_for_times([place], timeout=self.call_s), f"looking up {start} in {partition}")[0]
        return high if found.offset < 0 else int(found.offset)

    def committed(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """The group's offsets; a partition without one is left out, and one whose offset was written for an earlier topic of its name.

        The group's offsets go by name; ours carry the topic's id beside them.
        """
        by_place = {(each.topic, each.number): each for each in partitions}
        places = [TopicPartition(topic, number) for topic, number in by_place]
        found = self._ask(lambda: self.consumer.committed(places, timeout=self.call_s), "reading the group's offsets") if places else []
        offsets = {by_place[each.topic, each.partition]: each for each in found if each.offset >= 0}
        return {partition: each.offset for partition, each in offsets.items() if (each.metadata or partition.topic_id) == partition.topic_id}

    def _ask(self, question: Callable[[], Answer], doing: str) -> Answer:
        deadline = self.clock.monotonic_s() + limits.broker_retry_s
        while True:
            try:
                return question()
            except KafkaException as error:
                failure = error.args[0]
                if failure.name() in ABSENT:
                    raise Absent(f"{doing}: {failure.str()}") from None
                if not (failure.retriable() or failure.name() in PASSING) or self.clock.past(deadline):
                    raise explain(*self.errors.cause(failure.name(), failure.str()), self.brokers, doing) from None
            self.clock.sleep(0.1)


class Absent(TracebraidError):
    """The topic or partition is not there (any more)."""
