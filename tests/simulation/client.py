"""confluent_kafka's faces before the virtual cluster: Consumer, Producer, AdminClient. The product's source and publisher run on them.

In: the calls of confluent_kafka that the product makes, with its own classes for errors and partitions. Out: messages, callbacks, errors as
librdkafka gives them. Never: a call answered while the broker is down; a call of a killed process.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from confluent_kafka import OFFSET_END, KafkaError, KafkaException, TopicPartition

from tests.simulation.broker import NO_MEMBER, Broker, Log, Member, Metadata, Place
from tests.simulation.world import World

CLUSTER = "virtual"
OWN = ("tracebraid.rejects", "tracebraid.windows")
PASSING = {
    "coordinator loading": "COORDINATOR_LOAD_IN_PROGRESS",
    "not coordinator": "NOT_COORDINATOR",
    "not leader": "NOT_LEADER_FOR_PARTITION",
    "request timed out": "REQUEST_TIMED_OUT",
}


def error(name: str, *, retriable: bool = False, fatal: bool = False, abort: bool = False) -> KafkaError:
    return KafkaError(getattr(KafkaError, name), f"virtual {name}", fatal, retriable, abort)


@dataclass(slots=True)
class Message:
    """A record, or an error. `_value` None with `_error`."""

    _topic: str
    _partition: int
    _offset: int
    _value: str | None = None
    _error: KafkaError | None = None

    def topic(self) -> str:
        return self._topic

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset

    def value(self) -> bytes | None:
        return None if self._value is None else self._value.encode()

    def error(self) -> KafkaError | None:
        return self._error

    def key(self) -> None:
        return None

    def headers(self) -> None:
        return None

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_700_000_000_000


@dataclass(slots=True)
class Fetch:
    """One assigned partition. `queue`: fetched already, from the log as it was then. `ended`: where the end was told. `stuck`: an error was told."""

    position: int
    paused: bool = False
    queue: list[Message] = field(default_factory=list)
    ended: int = -1
    stuck: bool = False


class _Caller:
    """Calls that ask the cluster, with what may befall each."""

    world: World
    broker: Broker

    def _ask(self, step: str, *passing: str) -> None:
        fault = self.world.point(step, *(passing or ("not leader",)), "request timed out", "unanswered")
        if self.world.now_s < self.broker.down_until_s:
            self.world.wait(0.5)
            raise KafkaException(error("_TRANSPORT"))
        if fault == "unanswered":
            self.world.wait(self.world.chance.choice((1.0, 5.0, 40.0)))
            raise KafkaException(error("_TIMED_OUT"))
        if fault:
            raise KafkaException(error(PASSING[fault], retriable=True))

    def list_topics(self, topic: str = "", timeout: float = -1) -> Any:
        self._ask("list topics")
        found = {name: SimpleNamespace(partitions=dict.fromkeys(range(len(each.logs))), error=None) for name, each in self.broker.topics.items()}
        found.update({name: SimpleNamespace(partitions={0: None}, error=None) for name in OWN})
        if topic and topic not in found:
            found[topic] = SimpleNamespace(partitions={}, error=error("UNKNOWN_TOPIC_OR_PART"))
        return SimpleNamespace(topics={topic: found[topic]} if topic else found, cluster_id=CLUSTER)


class Admin(_Caller):
    """AdminClient."""

    def __init__(self, world: World, broker: Broker) -> None:
        self.world, self.broker = world, broker

    def describe_topics(self, topics: Any, request_timeout: float) -> dict[str, Any]:
        def result() -> Any:
            self._ask("describe topics")
            if name not in self.broker.topics:
                raise KafkaException(error("UNKNOWN_TOPIC_OR_PART"))
            return SimpleNamespace(topic_id=self.broker.topics[name].id)

        (name,) = topics.topic_names
        return {name: SimpleNamespace(result=result)}

    def describe_configs(self, resources: Sequence[Any], request_timeout: float) -> dict[Any, Any]:
        return {resources[0]: SimpleNamespace(result=lambda: {"max.message.bytes": SimpleNamespace(value="1000000")})}


class Consumer(_Caller):
    """Consumer, with cooperative assignment, a queue of what was fetched ahead, and callbacks within consume() and close() alone."""

    def __init__(self, world: World, broker: Broker) -> None:
        self.world, self.broker = world, broker
        assert world.running
        self.process = world.running
        self.fetches: dict[Place, Fetch] = {}
        self.flaws: Counter[Place] = Counter()
        self.member: Member | None = None
        self.on: dict[str, Callable[[Any, list[TopicPartition]], None]] = {}

    # Reading.

    def poll(self, timeout: float = -1) -> None:
        return None

    def consume(self, count: int, timeout: float) -> list[Message]:
        world = self.world
        fault = world.point("poll", "bad message", "transport error")
        if self.member:
            self.member.polled_s = world.now_s
        messages: list[Message] = []
        early = world.chance.random() < 0.3  # messages in the batch before the callbacks, of partitions that then go
        if early:
            messages += self._take(count)
        self._serve()
        if not early or world.chance.random() < 0.5:
            messages += self._take(count)
        if fault == "transport error":
            messages.append(Message("", -1, -1, None, error("_ALL_BROKERS_DOWN")))
        elif fault:
            self._flaw(messages)
        world.wait(0 if any(message._error is None for message in messages) else world.chance.uniform(timeout, 10 * timeout))
        return messages

    def _flaw(self, messages: list[Message]) -> None:
        """A fetch is damaged on its way; never thrice in a row, for then it counts as damaged in the log."""
        flawed = [place for place in self.fetches if self.flaws[place] < 2]
        if flawed:
            topic, number = self.world.chance.choice(flawed)
            self.flaws[topic, number] += 1
            messages.append(Message(topic, number, self.fetches[topic, number].position, None, error("_BAD_MSG")))

    def assign(self, places: Sequence[TopicPartition]) -> None:
        """For a consumer without a group."""
        self.fetches = {(each.topic, each.partition): Fetch(each.offset) for each in places}

    def _take(self, count: int) -> list[Message]:
        if self.world.now_s < self.broker.down_until_s:
            return []
        taken: list[Message] = []
        for place, fetch in self.fetches.items():
            if fetch.paused:
                continue
            if len(fetch.queue) < 4 and not fetch.stuck:
                self._fetch(place, fetch)
            size = self.world.chance.randint(1, 12)
            taken += fetch.queue[:size]
            if any(message.error() is None for message in fetch.queue[:size]):
                self.flaws[place] = 0
            del fetch.queue[:size]
        return taken[:count]

    def _fetch(self, place: Place, fetch: Fetch) -> None:
        log = self.broker.log(place)
        if log is None:
            if self.world.chance.random() < 0.2:
                fetch.queue.append(Message(*place, -1, None, error("UNKNOWN_TOPIC_OR_PART")))
            return
        if not log.start <= fetch.position <= log.end:
            fetch.queue.append(Message(*place, fetch.position, None, error("_AUTO_OFFSET_RESET")))
            fetch.stuck = True
            return
        if log.is_damaged(fetch.position):
            fetch.queue.append(Message(*place, fetch.position, None, error("_BAD_MSG")))
            fetch.stuck = True
            return
        found = log.read(fetch.position, self.world.chance.randint(1, 30))
        fetch.queue += [Message(*place, offset, log.values[offset]) for offset in found]
        if found:
            fetch.position = found[-1] + 1
        if (not found or found[-1] == log.offsets[-1]) and fetch.ended != log.end:
            fetch.position = fetch.ended = log.end
            fetch.queue.append(Message(*place, log.end, None, error("_PARTITION_EOF")))

    def incremental_assign(self, places: Sequence[TopicPartition]) -> None:
        self.world.point("assign")
        for each in places:
            if (each.topic, each.partition) in self.fetches:
                raise KafkaException(error("_CONFLICT"))
            log = self.broker.log((each.topic, each.partition))
            end = log.end if log else 0
            self.fetches[each.topic, each.partition] = Fetch(end if each.offset == OFFSET_END else each.offset)

    def incremental_unassign(self, places: Sequence[TopicPartition]) -> None:
        self.world.point("unassign")
        for each in places:
            if (each.topic, each.partition) not in self.fetches:
                raise KafkaException(error("_INVALID_ARG"))
            del self.fetches[each.topic, each.partition]

    def pause(self, places: Sequence[TopicPartition]) -> None:
        for each in places:
            fetch = self.fetches[each.topic, each.partition]
            fetch.paused = True
            records = [message for message in fetch.queue if message.error() is None]
            fetch.position, fetch.queue, fetch.ended, fetch.stuck = records[0].offset() if records else fetch.position, [], -1, False

    def resume(self, places: Sequence[TopicPartition]) -> None:
        for each in places:
            self.fetches[each.topic, each.partition].paused = False

    # The group.

    def subscribe(self, topics: list[str], *, on_assign: Any, on_revoke: Any, on_lost: Any) -> None:
        self.on = {"assign": on_assign, "revoke": on_revoke, "lost": on_lost}
        if self.member is None:
            self.member = self.broker.join(self.process, self.world.now_s, -1)

    def _serve(self) -> None:
        member = self.member
        if member is None:
            return
        while member.news:
            what, places = member.news.pop(0)
            if what == "lost":
                member.told = True
            elif what == "assign" and self.world.telling:
                self.world.tell(f"on_assign {places}")
            if what != "assign":
                self.world.tell(f"on_{what} {places}")
            member.serving = True
            if places or what == "assign":
                self.on[what](self, [TopicPartition(*place) for place in places])
            member.serving = False
            member.polled_s = self.world.now_s
            if what == "revoke" and not member.gone:
                self.broker.released(member, places)
        if member.gone:
            self.member = self.broker.join(self.process, self.world.now_s, member.generation)

    def consumer_group_metadata(self) -> Metadata:
        return self.member.metadata if self._heartbeat() else NO_MEMBER

    def memberid(self) -> str:
        return self.member.metadata[0] if self._heartbeat() and self.member else ""

    def _heartbeat(self) -> bool:
        """Whether the group still has us. Who was thrown out learns it in the background, sooner or later."""
        member = self.member
        if member and member.gone and not member.told:
            member.told = self.world.chance.random() < 0.7
        return member is not None

    def close(self) -> None:
        self.world.point("leave the group")
        member = self.member
        if member is None:
            return
        self._serve_before_leaving(member)
        self.broker.leave(member)
        self.member = None

    def _serve_before_leaving(self, member: Member) -> None:
        places, member.serving = list(self.fetches), True
        if places:
            self.on["lost" if member.gone else "revoke"](self, [TopicPartition(*place) for place in places])

    # Questions.

    def _log(self, each: TopicPartition) -> Log:
        log = self.broker.log((each.topic, each.partition))
        if log is None:
            raise KafkaException(error("UNKNOWN_TOPIC_OR_PART"))
        return log

    def get_watermark_offsets(self, place: TopicPartition, timeout: float = -1, cached: bool = False) -> tuple[int, int]:
        self._ask("watermarks")
        log = self._log(place)
        return log.start, log.end

    def committed(self, places: Sequence[TopicPartition], timeout: float) -> list[TopicPartition]:
        self._ask("committed offsets", "coordinator loading", "not coordinator")
        if any(self.broker.unstable((each.topic, each.partition)) for each in places):
            raise KafkaException(error("UNSTABLE_OFFSET_COMMIT", retriable=True))
        known = [self.broker.committed.get((each.topic, each.partition), (-1001, "")) for each in places]
        return [TopicPartition(each.topic, each.partition, *found) for each, found in zip(places, known, strict=True)]


class Producer(_Caller):
    """A transactional Producer. `_fate`: an error that the next call gives, since a message was not delivered."""

    def __init__(self, world: World, broker: Broker, config: Mapping[str, Any]) -> None:
        self.world, self.broker = world, broker
        self.id, self.undelivered = str(config["transactional.id"]), config["on_delivery"]
        self.epoch = -1
        self._fate = ""
        self._finished = ""

    def poll(self, timeout: float) -> None:
        if timeout:
            self.world.wait(timeout)

    def flush(self, timeout: float) -> int:
        return 0

    def init_transactions(self, timeout: float) -> None:
        self._gate("init transactions")
        self.epoch = self.broker.begin_life(self.id)

    def begin_transaction(self) -> None:
        self._finished = ""

    def produce(self, topic: str, value: bytes | None, key: bytes | None, partition: int, *, timestamp: int, headers: Any) -> None:
        if self.world.point("produce", "undelivered") and not self._fate:
            self._fate = "undelivered"
            self.undelivered(error("_MSG_TIMED_OUT"), None)
            return
        transaction = self._transaction()
        if topic == OWN[0]:
            transaction.values.append(((value or b"").decode(), {name: (fact or b"").decode() for name, fact in headers or ()}))
        else:
            transaction.watermarks.append((value or b"").decode())

    def send_offsets_to_transaction(self, positions: Sequence[TopicPartition], metadata: Metadata, timeout: float) -> None:
        fault = self._gate("add offsets", "happened")
        transaction = self._transaction()
        if refusal := self.broker.fences(metadata):
            self.world.tell(f"offsets are refused: {refusal}")
            self.world.faults["refused", refusal] += 1
            raise KafkaException(error(refusal, abort=True))
        transaction.offsets.update({(each.topic, each.partition): (each.offset, each.metadata or "") for each in positions})
        if fault == "happened":
            raise KafkaException(error("_TIMED_OUT", retriable=True))

    def commit_transaction(self, timeout: float) -> None:
        if self._finished == "committed":
            return  # an answer that was late
        fault = self._gate("commit transaction", "happened", "happened, fatal", "fatal")
        if fault == "fatal":
            raise KafkaException(error("_FATAL", fatal=True))
        self._transaction()
        self.broker.finish(self.id, "committed")
        self._finished = "committed"
        if fault == "happened":
            raise KafkaException(error("_TIMED_OUT", retriable=True))
        if fault:
            raise KafkaException(error("_FATAL", fatal=True))

    def abort_transaction(self, timeout: float) -> None:
        self._gate("abort transaction")
        self._fate = ""
        if self.broker.epochs.get(self.id) == self.epoch:
            self.broker.finish(self.id, "aborted")

    def _gate(self, step: str, *fails: str) -> str:
        fault = self.world.point(step, "coordinator loading", "not coordinator", "abortable", *fails)
        if self.world.now_s < self.broker.down_until_s:
            self.world.wait(0.5)
            raise KafkaException(error("_TRANSPORT", retriable=True))
        if fault in PASSING:
            raise KafkaException(error(PASSING[fault], retriable=True))
        in_transaction = step in ("add offsets", "commit transaction")
        if in_transaction and (fault == "abortable" or self._fate):
            raise KafkaException(error("_MSG_TIMED_OUT" if self._fate else "REQUEST_TIMED_OUT", abort=True))
        return "" if fault == "abortable" else fault

    def _transaction(self) -> Any:
        transaction = self.broker.open(self.id, self.epoch, self.world.now_s)
        if transaction is None:
            raise KafkaException(error("_FENCED", fatal=True))
        return transaction
