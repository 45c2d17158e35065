"""The Kafka source: bounded batches of records, partition by partition, in the order of their offsets.

In: client settings, topics, a group, an Owner who says where partitions start. Out: Records; events (Expired, Truncated, Damaged).
Never: a commit (the flow's transaction moves the group's offsets), a record of a partition that is not ours, a record twice.

A topic deleted and made again within seconds goes on under its old name: librdkafka then fetches the new log from the old offset and
says nothing (seen with 2.16). So `verify()` compares topic ids, and whoever accounts for records calls it before each commit: ids never
come back, so an id that is unchanged at the commit was the id of every record read before it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import structlog
from confluent_kafka import OFFSET_END, Consumer, KafkaException, TopicPartition

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.broker import ABSENT, DENIED, IDENTITY, ErrorLog, client_logger, explain
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.closing import close
from tracebraid.pipeline.kernel.errors import UsageError
from tracebraid.pipeline.kernel.records import Partition, Records
from tracebraid.pipeline.kernel.settings import TopicSettings
from tracebraid.pipeline.source.batches import Columns, is_end, taken_apart, to_batch
from tracebraid.pipeline.source.cluster import Absent, Cluster
from tracebraid.pipeline.source.damage import DAMAGE, first_readable
from tracebraid.pipeline.source.partitions import Damaged, Event, Expired, Held, Owner, Start, Truncated
from tracebraid.pipeline.source.stall import Seen
from tracebraid.pipeline.source.topics import settings_of, wanted

__all__ = ["Damaged", "Event", "Expired", "KafkaSource", "Owner", "Start", "Truncated"]
log = structlog.get_logger()
Place = tuple[str, int]
ANSWER_S = 10.0  # an end that was asked for longer ago says nothing beside the high watermark of the last fetch
# A user may set these otherwise.
DEFAULTS = {
    "client.id": "tracebraid",
    "queued.max.messages.kbytes": str(limits.fetch_queue_bytes_max // limits.KIB),
    "fetch.queue.backoff.ms": "10",  # a full queue is looked at again this soon; 1 s by default
    "fetch.wait.max.ms": "100",  # also how late an end of partition is told
    "check.crcs": "true",
}
# What the guarantee rests on.
OWN = {
    "enable.auto.commit": "false",
    "enable.auto.offset.store": "false",
    "isolation.level": "read_committed",
    "auto.offset.reset": "error",
    "enable.partition.eof": "true",
    "partition.assignment.strategy": "cooperative-sticky",
}


class KafkaSource:
    """Reads topics as one member of a group. Not for several threads."""

    def __init__(
        self, client: Mapping[str, str], topics: Sequence[TopicSettings], group: str, owner: Owner, clock: Clock, *, own_topics: Collection[str] = ()
    ) -> None:
        """Connects and subscribes. `own_topics`: never read by a pattern. Raises TracebraidError where no broker answers or a topic is missing."""
        if not topics:
            raise UsageError("no topic to read", "Give --topic NAME, or [[topics]] in the settings")
        self.settings, self.owner, self.clock, self.own_topics = topics, owner, clock, own_topics
        self.errors = ErrorLog(clock)
        own = {key: value for key, value in OWN.items() if not (key == "partition.assignment.strategy" and client.get("group.protocol") == "consumer")}
        config: dict[str, Any] = {**DEFAULTS, **{key: value for key, value in client.items() if key not in OWN}, **own, "group.id": group}
        try:
            self.consumer = Consumer({**config, "error_cb": self.errors}, logger=client_logger())
        except KafkaException as error:
            raise explain(error.args[0].name(), error.args[0].str(), client.get("bootstrap.servers", ""), "setting up the consumer") from None
        self.cluster = Cluster(self.consumer, client, clock, self.errors)
        self.events: list[Event] = []
        self.subscribed: list[str] = []
        self.paused = False
        self._held: dict[Place, Held] = {}
        self._moved: set[Place] = set()  # taken from us, or begun anew, within the present poll
        self.joined = False
        self._largest: dict[str, int] = {}  # by topic: bytes of the largest value in the last poll that had any of it
        try:
            existing = self.cluster.connect()
            for each in topics:
                if each.name and each.name not in existing:
                    self.cluster.require(each.name)
            self._subscribe(existing)
        except BaseException:
            close(self.consumer)
            raise

    # Reading.

    def poll(self, timeout_s: float = limits.poll_wait_s, gather_s: float = 0.0) -> list[Records]:
        """Records that arrived within `timeout_s`, one Records a partition, at most limits.poll_records_max in all; where they are few, within `gather_s`.

        Call it at least every max.poll.interval.ms, also while paused: that keeps the group alive. Afterwards look at `events`
        (whoever handles them clears them). Raises TracebraidError for what no waiting mends.
        """
        if self.clock.monotonic_s() >= self._refresh_at:
            self._subscribe(self.cluster.topics())
        self._moved.clear()
        groups, damaged = self._grouped(self._consume(timeout_s, min(gather_s, limits.gather_wait_s_max)))
        found = [records for place, group in groups.items() if (records := self._records(place, group)) is not None]
        for place, reason in damaged.items():
            self._fetch_again(place, reason)
        for held in [held for place, held in self._held.items() if place in self._moved and not held.stopped]:
            # Away and back within one poll: which of its messages, an end or damage among them, are of which time cannot be told.
            self._refetch(held.partition, held.next_offset)
        return found

    def _grouped(self, parts: list[Any]) -> tuple[dict[Place, list[Columns]], dict[Place, str]]:
        """What came, by partition, and where damage was found."""
        groups, damaged = dict[Place, list[Columns]](), dict[Place, str]()
        for part in parts:
            if not isinstance(part, Columns):
                self._notice(part, damaged)
            elif part.place not in damaged:  # whatever librdkafka makes of the bytes behind damage, a gap included, is fetched again
                groups.setdefault(part.place, []).append(part)
        return groups, damaged

    def _consume(self, timeout_s: float, gather_s: float) -> list[Any]:
        """About limits.poll_bytes_max, as taken_apart() gives them; what came within `gather_s` where that is less than limits.gather_bytes.

        librdkafka bounds a batch by number alone, and large records may follow small ones. So few are asked for at a time: as many as fit if each is as
        large as the largest lately, in whichever topic that was."""
        found: list[Any] = []
        largest: dict[str, int] = {}
        left, count, began_s, now_ms = limits.poll_bytes_max, 0, self.clock.monotonic_s(), self.clock.unix_nano() // 1_000_000
        wait_s = timeout_s
        while left > 0 and count < limits.poll_records_max:
            wanted = max(1, min(limits.consume_records_max, left // max([1, *self._largest.values(), *largest.values()])))
            parts, came = taken_apart(self.consumer.consume(wanted, wait_s), now_ms)
            found += parts
            count += came
            for part in parts:
                if isinstance(part, Columns):
                    left -= int(part.sizes.sum())
                    largest[part.place[0]] = max(largest.get(part.place[0], 0), int(part.sizes.max()))
            few = 0 < limits.poll_bytes_max - left < limits.gather_bytes and all(isinstance(part, Columns) or is_end(part) for part in parts)
            left_s = began_s - self.clock.monotonic_s() + (max(timeout_s, gather_s) if few else timeout_s)
            if left_s <= 0 or (came < wanted and not (few and gather_s > 0)):
                break
            wait_s = min(timeout_s, left_s)
        self._largest |= largest
        return found

    def _fetch_again(self, place: Place, reason: str) -> None:
        """A fetch found damage at the next offset. It may have happened on the way, so it is tried again; what stays is an event."""
        held = self._held.get(place)
        if held is None or held.stopped or place in self._moved:
            return
        held.damaged += 1
        if held.damaged >= limits.damaged_fetches_max:
            wanted, end = held.next_offset, self.cluster.watermarks(held.partition)[1]
            held.next_offset = first_readable(self.cluster.client, held.partition, wanted, end, self.clock)
            held.damaged = 0
            self.events.append(Damaged(held.partition, wanted, held.next_offset, reason))
            log.error("records are damaged", partition=str(held.partition), first=wanted, last=held.next_offset - 1, error=reason)
        self._refetch(held.partition, held.next_offset)

    def _records(self, place: Place, parts: list[Columns]) -> Records | None:
        held = self._held.get(place)
        if held is None or held.stopped or place in self._moved:
            return None
        batch = to_batch(parts, held.next_offset)
        if not batch.num_rows:
            return None
        records = Records(held.partition, batch, held.encoding, held.tenant)
        held.next_offset, held.damaged = records.next_offset, 0
        return records

    def pause(self) -> None:
        """Fetch nothing more. What is queued is dropped and fetched again after resume()."""
        self.paused = True
        self.consumer.pause(self._places(self._held))

    def resume(self) -> None:
        self.paused = False
        self.consumer.resume(self._places(place for place, held in self._held.items() if not held.stopped))

    def stop(self, partition: Partition) -> None:
        """Hold the partition and read it no more."""
        self._held[partition.topic, partition.number].stopped = True
        self.consumer.pause([TopicPartition(partition.topic, partition.number)])

    def seek(self, partition: Partition, offset: int) -> None:
        """Hand out `offset` next, also of a partition that was stopped."""
        held = self._held[partition.topic, partition.number]
        if held.stopped and not self.paused:
            self.consumer.resume([TopicPartition(partition.topic, partition.number)])  # librdkafka's pause outlives the assignment
        held.stopped = False
        self._refetch(partition, offset)

    def _refetch(self, partition: Partition, offset: int) -> None:
        held = self._held[partition.topic, partition.number]
        held.next_offset, held.eof_offset = offset, -1
        place = (partition.topic, partition.number)
        self.consumer.incremental_unassign(self._places([place]))  # seek() fails before the first fetch and after an error
        self._fetch_from([place])

    # Where we stand.

    def partitions(self) -> list[Partition]:
        return [held.partition for held in self._held.values()]

    def position(self, partition: Partition) -> int:
        """The offset to be handed out next."""
        return self._held[partition.topic, partition.number].next_offset

    def at_end(self, partition: Partition) -> bool:
        """Whether the end was met and nothing was handed out since."""
        return self._held[partition.topic, partition.number].at_end

    def aim(self) -> None:
        """Set each partition's target for drained() to its present end; without it the target is the end it had when it became ours."""
        for held in self._held.values():
            held.target, held.eof_offset = self.cluster.watermarks(held.partition)[1], -1

    def drained(self) -> bool:
        """Whether every partition of ours was read to its target (Held.drained says when that is so); false before the group has let us in."""
        return (self.joined or not self.subscribed) and all(held.drained for held in self._held.values())

    def lag(self) -> dict[Partition, int]:
        """Offsets between the next one and the end, as the last fetch told it; 0 at the end, whatever markers lie behind it."""
        found = {}
        for (topic, number), held in self._held.items():
            high = -1 if held.at_end else self.consumer.get_watermark_offsets(TopicPartition(topic, number), cached=True)[1]
            found[held.partition] = max(0, high - held.next_offset)
        return found

    def seen(self) -> dict[Partition, Seen]:
        """Each partition of ours beside its end as the broker last told it apart from fetching. Never waits; call it again for a newer answer."""
        ends, told = self.cluster.ends(self.partitions()), self.unanswered_s() < ANSWER_S
        return {
            held.partition: Seen(
                held.next_offset,
                held.eof_offset,
                ends.get(held.partition, -1),
                not self.paused,
                held.stopped and held.partition in ends,
                self.consumer.get_watermark_offsets(TopicPartition(*place), cached=True)[1] if told else -1,
            )
            for place, held in self._held.items()
        }

    def unanswered_s(self) -> float:
        """Since a broker last answered what seen() asks."""
        return self.clock.monotonic_s() - self.cluster.answered_s

    def watermarks(self, partition: Partition) -> tuple[int, int]:
        return self.cluster.watermarks(partition)

    def siblings(self, partition: Partition) -> list[Partition]:
        return self.cluster.siblings(partition)

    def resolve(self, partition: Partition, start: Start) -> int:
        return self.cluster.resolve(partition, start)

    def committed(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        return self.cluster.committed(partitions)

    def group_metadata(self) -> Any:
        """What send_offsets_to_transaction wants: it fences whoever has left the group."""
        return self.consumer.consumer_group_metadata()

    def verify(self) -> list[Partition]:
        """Partitions whose topic is another now; they were lost (the owner is told) and taken anew under their new identity.

        A topic that is gone altogether changes nothing: what was read of it was its own. Costs about a millisecond a topic.
        """
        partitions = self.stale()
        if not partitions:
            return []
        stale = [(each.topic, each.number) for each in partitions]
        log.warning("topic was made again: its partitions start anew", partitions=[str(each) for each in partitions])
        self.owner.lost(partitions)
        held = self._begin(stale)  # where no broker answers this raises, and the next call finds them as they were
        self.consumer.incremental_unassign(self._places(stale))
        self._held.update(held)
        self._moved.update(stale)  # what the present poll has of them is of the old topic, or of the new one from a wrong place
        self._fetch_from(stale)
        return partitions

    def stale(self) -> list[Partition]:
        """Partitions whose topic is another now, by its id. Changes nothing: for whoever gives them up anyway."""
        ids = self.cluster.topic_ids(topic for topic, _ in self._held)
        found = [held.partition for held in self._held.values()]
        return [each for each in found if ids.get(each.topic, each.topic_id) != each.topic_id]

    def close(self) -> None:
        """Leave the group; the owner is told of the partitions that go."""
        close(self.consumer)

    # The group.

    def _subscribe(self, existing: Iterable[str]) -> None:
        names = wanted(existing, self.settings, self.own_topics)
        self._refresh_at = self.clock.monotonic_s() + limits.pattern_refresh_s if any(each.pattern for each in self.settings) else float("inf")
        if names == self.subscribed:
            return
        log.info("subscribing", topics=names)
        self.subscribed = names
        if names:
            self.consumer.subscribe(names, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)
        else:
            log.warning("no topic matches yet", patterns=[each.pattern for each in self.settings])
            self.consumer.unsubscribe()

    def _on_assign(self, _: Consumer, places: list[TopicPartition]) -> None:
        self.joined = True
        taken = [(each.topic, each.partition) for each in places]
        self._held.update(self._begin(taken))
        self._fetch_from(taken)

    def _begin(self, places: Sequence[Place]) -> dict[Place, Held]:
        """Ask the cluster who they are, and the owner where they start. Changes nothing of ours: an answer may fail to come."""
        ids = self.cluster.topic_ids(topic for topic, _ in places)
        partitions = {place: Partition(self.cluster.id, place[0], ids.get(place[0], place[0]), place[1]) for place in places}
        starts = self.owner.assigned(list(partitions.values())) if partitions else {}
        return {place: self._hold(partition, starts.get(partition)) for place, partition in partitions.items()}

    def _fetch_from(self, places: Sequence[Place]) -> None:
        """Give librdkafka partitions it does not have, from the next offset of each; pause those that are not to be read now."""
        held = {place: self._held[place] for place in places}
        self.consumer.incremental_assign([TopicPartition(*place, OFFSET_END if each.stopped else each.next_offset) for place, each in held.items()])
        unread = [place for place, each in held.items() if each.stopped or self.paused]
        if unread:
            self.consumer.pause(self._places(unread))
        if read := held.keys() - set(unread):
            self.consumer.resume(self._places(read))  # librdkafka's pause outlives the assignment: one that went while we paused came back paused

    def _hold(self, partition: Partition, start: Start | None) -> Held:
        topic = settings_of(partition.topic, self.settings) or TopicSettings(name=partition.topic)
        try:
            low, high = self.cluster.watermarks(partition)
            offset = self.cluster.resolve(partition, start) if start is not None else -1
        except Absent as error:
            log.warning("partition is not there", partition=str(partition), error=str(error))
            return Held(partition, topic.encoding, topic.tenant, 0, 0, stopped=True)
        held = Held(partition, topic.encoding, topic.tenant, offset, high, stopped=start is None)
        if not held.stopped:
            self._check_range(held, low, high)
        return held

    def _check_range(self, held: Held, low: int, high: int) -> None:
        """Into the log, with an event where the next offset lies outside it."""
        if held.next_offset < low:
            self.events.append(Expired(held.partition, held.next_offset, low))
            log.warning("retention took records before they were read", partition=str(held.partition), first=held.next_offset, last=low - 1)
            held.next_offset = low
        elif held.next_offset > high:
            self.events.append(Truncated(held.partition, held.next_offset, high))
            log.error("the log ends below the next offset: not read", partition=str(held.partition), next=held.next_offset, end=high)
            held.stopped = True

    def _on_revoke(self, _: Consumer, places: list[TopicPartition]) -> None:
        self._give(places, self.owner.revoked)

    def _on_lost(self, _: Consumer, places: list[TopicPartition]) -> None:
        self._give(places, self.owner.lost)

    def _give(self, places: Sequence[TopicPartition], tell: Any) -> None:
        gone = [(each.topic, each.partition) for each in places if (each.topic, each.partition) in self._held]
        tell([self._held[place].partition for place in gone])
        self.consumer.incremental_unassign(self._places(gone))
        for place in gone:
            del self._held[place]
        self._moved.update(gone)

    @staticmethod
    def _places(places: Iterable[Place]) -> list[TopicPartition]:
        return [TopicPartition(topic, number) for topic, number in places]

    # Messages that are none.

    def _notice(self, message: Any, damaged: dict[Place, str]) -> None:
        error, place = message.error(), (message.topic(), message.partition())
        name, held = error.name(), self._held.get(place)
        if is_end(message):
            if held is not None and place not in self._moved:
                held.eof_offset = message.offset()
        elif error.fatal() or name in DENIED or name in IDENTITY:
            raise explain(name, error.str(), self.cluster.brokers, f"reading {message.topic() or 'Kafka'}")
        elif name == "_AUTO_OFFSET_RESET" and held is not None:
            self._out_of_range(held)
        elif name in ABSENT:
            log.warning("topic is not there", topic=message.topic(), error=name)
            self.verify()
        elif name in DAMAGE and held is not None:
            damaged.setdefault(place, error.str())
        else:
            self.errors(error)

    def _out_of_range(self, held: Held) -> None:
        if held.partition in self.verify():
            return
        try:
            low, high = self.cluster.watermarks(held.partition)
        except Absent:
            return
        self._check_range(held, low, high)
        self._refetch(held.partition, held.next_offset)
