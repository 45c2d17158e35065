"""Single records by their position, and whole compacted topics: what a re-drive reads again.

In: client settings, positions. Out: bytes. Never: a group's offset, a rebalance: partitions are assigned by hand, and nothing is committed.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.broker import ErrorLog, client_logger, explain
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.source.cluster import Cluster

OWN = {
    "group.id": "tracebraid-redrive",  # librdkafka wants one; no such group comes to be
    "enable.auto.commit": "false",
    "enable.auto.offset.store": "false",
    "isolation.level": "read_committed",
    "auto.offset.reset": "error",
    "enable.partition.eof": "true",
}


class Again:
    """One consumer without a group. Not for several threads. `topics`: partitions of each topic there is; `cluster`: the cluster's id."""

    def __init__(self, client: Mapping[str, str], clock: Clock) -> None:
        """Raises TracebraidError where no broker answers."""
        self.clock, self.errors, self.brokers = clock, ErrorLog(clock), client.get("bootstrap.servers", "")
        # A queue of its own size, not the source's: one record is wanted each time, and what is fetched beyond it is for nothing.
        config: dict[str, Any] = {"client.id": "tracebraid", "check.crcs": "true", "queued.max.messages.kbytes": "1024", **client, **OWN}
        try:
            self.consumer = Consumer({**config, "error_cb": self.errors}, logger=client_logger())
        except KafkaException as error:
            raise explain(error.args[0].name(), error.args[0].str(), self.brokers, "setting up the consumer") from None
        questions = Cluster(self.consumer, client, clock, self.errors)
        try:
            questions.connect()
            self.cluster, self.topics = questions.id, questions.sizes()
        except BaseException:
            self.consumer.close()
            raise
        self._questions = questions
        self._ids: dict[str, str | None] = {}

    def is_there(self, partition: Partition) -> bool:
        """Whether the cluster has that very partition: the topic's id counts, since a topic made again has other records at the same offsets."""
        if partition.topic not in self._ids:
            self._ids[partition.topic] = self._questions.topic_ids([partition.topic]).get(partition.topic) if partition.topic in self.topics else None
        same = partition.cluster == self.cluster and self._ids[partition.topic] == partition.topic_id
        return same and partition.number < self.topics[partition.topic]

    def value(self, partition: Partition, offset: int) -> bytes | None:
        """The value of one record; None where it is gone (retention, compaction, or the partition altogether)."""
        if not self.is_there(partition):
            return None
        low, high = self._questions.watermarks(partition)
        if not low <= offset < high:
            return None
        self.consumer.assign([TopicPartition(partition.topic, partition.number, offset)])
        try:
            found = next(self._messages({(partition.topic, partition.number)}, f"reading {partition} at {offset}"), None)
        finally:
            self.consumer.unassign()
        return found.value() if found is not None and found.offset() == offset else None

    def compacted(self, topic: str) -> dict[bytes, bytes]:
        """Value by key of all that the topic shows now, tombstones left out; empty where there is no such topic."""
        places = [(topic, number) for number in range(self._questions.sizes().get(topic, 0))]
        held: dict[bytes, bytes] = {}
        if not places:
            return held
        self.consumer.assign([TopicPartition(*place, OFFSET_BEGINNING) for place in places])
        try:
            for message in self._messages(set(places), f"reading topic {topic}"):
                if message.value() is None:
                    held.pop(message.key(), None)
                else:
                    held[message.key()] = message.value()
        finally:
            self.consumer.unassign()
        return held

    def close(self) -> None:
        self.consumer.close()

    def _messages(self, places: set[tuple[str, int]], doing: str) -> Iterator[Any]:
        """Of all `places` to their ends. Raises TracebraidError where nothing comes for `limits.broker_retry_s`."""
        left, heard_s = set(places), self.clock.monotonic_s()
        while left:
            message = self.consumer.poll(limits.poll_wait_s)
            if message is None:
                if self.clock.monotonic_s() - heard_s >= limits.broker_retry_s:
                    raise explain(*self.errors.cause("_TIMED_OUT", f"nothing came for {limits.broker_retry_s:.0f} s"), self.brokers, doing)
                continue
            heard_s, error = self.clock.monotonic_s(), message.error()
            if error is None:
                yield message
            elif error.name() == "_PARTITION_EOF":
                left.discard((message.topic(), message.partition()))
            elif error.fatal() or not error.retriable():  # also where retention took what was to be read just now
                raise TracebraidError(f"{doing}: {error.str()}", transient=True)
