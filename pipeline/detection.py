"""detect: from partial windows to alerts, each transition published once.

    tracebraid.windows ─► Engine (pipeline/detect) ─► tracebraid.alerts, tracebraid.alerts.state; tracebraid.alerts.alertmanager for rules that ask for it

What is evaluated is a function of each shard (partition of the windows topic) and of the rules alone; no clock decides. The one exception, how
long a source that stands still is waited for, is made a message of the shard itself (`release`) before it counts.

1. Start. When a shard is assigned: its last snapshot is read from the state topic, with the offset at which it was taken, and the shard is read
   on from there. Skipped: `for:` begins anew, baselines have forgotten, and alerts that fire are told again.
2. Up to the group's committed offset it is a replay: what is evaluated there was published, and is dropped. Skipped: alerts twice. Half a minute later, when
   no transaction of a former owner is open any more, the state topic is compared with what is held: where a snapshot was of no use, or rules were changed
   after a crash, alerts are told to fire that nobody would ever end. They are ended. Skipped: such an alert fires for ever. What has been over for a day of
   event time leaves the state topic from then on. Skipped: it holds every series that ever alerted.
3. Each message is merged, or moves a watermark; windows that the watermarks have passed are evaluated, those of all shards together.
4. One transaction: transitions to both topics, releases, a snapshot of a shard now and then, and the group's offsets. Split: transitions twice
   (offsets last) or never (offsets first); a snapshot of another offset than it says would count windows twice.

When a shard goes to another detect, what it has not published goes with it: the next owner evaluates it anew, from the same messages.
"""

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import structlog

from tracebraid.pipeline.detect.build import EngineSettings
from tracebraid.pipeline.detect.engine import Engine
from tracebraid.pipeline.detect.over import Over
from tracebraid.pipeline.detect.snapshot import restore, snapshot
from tracebraid.pipeline.detect.told import Key, corrections, key_of, told
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import OwnershipLost, TracebraidError
from tracebraid.pipeline.kernel.metrics import DetectMetrics
from tracebraid.pipeline.kernel.records import Partition, Records
from tracebraid.pipeline.kernel.settings import Settings, TopicSettings
from tracebraid.pipeline.kernel.told import Headers, read_covered, read_object, read_partials, read_release, read_watermarks
from tracebraid.pipeline.notify.webhook import version_4
from tracebraid.pipeline.publish.alerts import CONTENT, alert_messages, forgotten
from tracebraid.pipeline.publish.producer import Message, Publisher
from tracebraid.pipeline.publish.topics import apply, own_topics
from tracebraid.pipeline.registering import register_aside
from tracebraid.pipeline.rulebook import RuleBook
from tracebraid.pipeline.source.compacted import CompactedTopic
from tracebraid.pipeline.source.kafka import KafkaSource
from tracebraid.pipeline.source.partitions import Owner
from tracebraid.schemas import alert
from tracebraid.schemas.windows import KIND_HEADER, VERSION

log = structlog.get_logger()
AUDIT_S = 2 * limits.transaction_timeout_ms / 1000
META = "meta"  # the snapshot's record that says how many others there are, and where it was taken


@dataclass(slots=True)
class Shard:
    """One partition of the windows topic.

    next_offset: of the message to be merged next. quiet_until: what lies below it is a replay. told_until_us: of the last release.
    """

    partition: Partition
    next_offset: int
    quiet_until: int
    snapshot_s: float
    told_until_us: int = 0
    stale: bool = False  # the next snapshot is due at once
    audit_s: float = float("inf")  # when the state topic is looked at
    dropped: dict[Key, alert.Transition] = field(default_factory=dict)  # the last of each, while it pends or fires, that a replay made
    spoken: set[Key] = field(default_factory=set)  # what was told since the replay, until the audit
    over: Over = field(default_factory=Over)


@dataclass(slots=True)
class Outbox:
    """What the next transaction carries."""

    messages: list[Message] = field(default_factory=list)
    moved: bool = False


class Detection:
    """One process. `step()` in a loop; `finish()` before it ends."""

    def __init__(self, settings: Settings, engine: Engine, rules: RuleBook, publisher: Publisher, *, metrics: DetectMetrics, clock: Clock) -> None:
        self.settings, self.engine, self.rules, self.publisher, self.metrics, self.clock = settings, engine, rules, publisher, metrics, clock
        self.shards: dict[int, Shard] = {}
        self.outbox = Outbox()
        self.doubt: OwnershipLost | None = None
        self.last_s = clock.monotonic_s()
        topic = TopicSettings(name=settings.stream.windows_topic)
        owner = Owner(assigned=self.assigned, revoked=self.revoked, lost=self.lost)
        group = settings.detect.group or f"tracebraid-detect-{settings.stream.windows_topic}"
        self.source = KafkaSource(settings.client_config(), [topic], group, owner, clock)

    # 1. Start.

    def assigned(self, partitions: Sequence[Partition]) -> dict[Partition, int | str]:
        committed = self.source.committed(partitions)
        snapshots = self._snapshots([partition.number for partition in partitions])
        return {partition: self._begin(partition, committed.get(partition), snapshots.get(partition.number, {})) for partition in partitions}

    def _snapshots(self, shards: Sequence[int]) -> dict[int, dict[str, bytes]]:
        """Shard → what its last snapshot consists of, by name."""
        topic = CompactedTopic(self.settings.client_config(), self.settings.stream.state_topic, self.clock, shards)
        try:
            found: dict[int, dict[str, bytes]] = {}
            for (shard, key), change in topic.latest().items():
                assert change.value is not None
                found.setdefault(shard, {})[key.decode().partition("/")[2]] = change.value
            return found
        finally:
            topic.close()

    def _begin(self, partition: Partition, committed: int | None, parts: dict[str, bytes]) -> int | str:
        """Where the shard is read from."""
        number, start = partition.number, None
        meta = json.loads(parts.pop(META, b"{}"))
        if meta.get("topic_id") == partition.topic_id and (committed is None or meta["next_offset"] <= committed):
            try:
                restore(self.engine, number, [(name, parts[name]) for name in meta["parts"] if name in parts])
                start = int(meta["next_offset"])
            except (TracebraidError, KeyError, IndexError, TypeError, ValueError) as error:  # of another make: worth no more than none, and no reason to end
                self.engine.forget(number)
                log.warning("the snapshot is not used", shard=number, why=repr(error))
        low, high = self.source.watermarks(partition)
        begin = low if start is None else max(start, low)
        if start is not None and start < low:
            log.warning("windows between the snapshot and what is kept of the topic are gone", shard=number, snapshot=start, first=low)
        # Without a committed offset nothing was ever published from here; what a first start finds is evaluated, as ingest's own first start is read.
        now_s = self.clock.monotonic_s()
        self.shards[number] = Shard(partition, begin, begin if committed is None else min(committed, high), now_s, audit_s=now_s + AUDIT_S)
        log.info("shard assigned", shard=number, offset=begin, committed=committed, snapshot=start)
        return begin

    def revoked(self, partitions: Sequence[Partition]) -> None:
        try:
            self.flush()
        except OwnershipLost as error:
            self.doubt = error
        self.lost(partitions)

    def lost(self, partitions: Sequence[Partition]) -> None:
        for partition in partitions:
            if self.shards.pop(partition.number, None):
                self.engine.forget(partition.number)

    # 2, 3. Read, merge, evaluate.

    def take(self, records: Records) -> None:
        """Merge one shard's messages; what a replay makes of them is dropped."""
        shard = self.shards.get(records.partition.number)
        if shard is None:
            return
        for piece in records.cut(shard.quiet_until):
            replayed = piece.first_offset < shard.quiet_until
            if not replayed and shard.next_offset < shard.quiet_until:
                self._tick(replaying=records.partition.number)
            self._merge(shard, piece)
            if replayed:
                self._tick(replaying=records.partition.number)

    def _merge(self, shard: Shard, records: Records) -> None:
        number, batch = shard.partition.number, records.batch
        for offset, value, headers in zip(*(batch.column(name).to_pylist() for name in ("kafka_offset", "value", "headers")), strict=True):
            try:
                self._message(number, value, {each["key"]: each["value"] for each in headers or ()})
            except ValueError as error:  # nobody but ingest writes here; one bad message ends nothing
                self.metrics.refused.inc()
                log.error("a message of the windows topic cannot be read", shard=number, offset=offset, why=str(error))
        shard.next_offset = records.next_offset
        self.outbox.moved = True

    def _message(self, number: int, value: bytes | None, headers: Headers) -> None:
        """Raises ValueError, and nothing has changed, for what is no message of ours."""
        if headers.get(KIND_HEADER) == b"partials":
            covered, batch = read_covered(headers), read_partials(value, headers)
            source = covered.source
            key = (source.cluster, source.topic, source.topic_id, source.number)
            self.engine.merge(number, key, covered.first_offset, covered.next_offset, batch, part=covered.part)
            return
        message = read_object(value)
        if message.get("kind") == "watermarks":
            self.engine.watermark(number, read_watermarks(message))
        elif message.get("kind") == "release":
            self.engine.release(number, *read_release(message))
        else:
            raise ValueError(f"kind {message.get('kind')!r} is none of partials, watermarks, release")

    def _tick(self, *, replaying: int | None = None) -> None:
        with self.metrics.tick_seconds.time():
            found = self.engine.tick()
        for each in found:
            if (shard := self.shards.get(each.shard)) is None:
                continue  # it was restored, and went again before this: its next owner finds it too
            made = told(each)
            if each.shard != replaying and shard.next_offset >= shard.quiet_until:
                self._send(each.shard, made)
            elif made.transition in ("pending", "firing"):
                shard.dropped[key_of(made)] = made
            else:
                shard.dropped.pop(key_of(made), None)

    def _send(self, number: int, made: alert.Transition) -> None:
        self.metrics.transitions.labels(made.transition).inc()
        self.outbox.messages += alert_messages(made, self.settings.stream, number)
        if made.format == "alertmanager" and made.transition in ("firing", "resolved"):  # that form has no other
            topic = self.settings.stream.alertmanager_topic
            value = orjson.dumps(version_4(made, topic, link=self.settings.notify.link))
            self.outbox.messages.append(Message(topic, value, made.id.encode(), CONTENT))
        if (shard := self.shards.get(number)) is not None:
            shard.over.note(made)
            if shard.audit_s < float("inf"):
                shard.spoken.add(key_of(made))

    def _audit(self) -> None:
        """Half a minute after its replay, what was told of a shard beside what is held of it."""
        now_s = self.clock.monotonic_s()
        due = {number: shard for number, shard in self.shards.items() if now_s >= shard.audit_s and shard.next_offset >= shard.quiet_until}
        if not due:
            return
        topic = CompactedTopic(self.settings.client_config(), self.settings.stream.alerts_state_topic, self.clock, sorted(due))
        try:
            held = topic.latest()
        finally:
            topic.close()
        state: dict[int, list[alert.Transition]] = {number: [] for number in due}
        for (number, _), change in held.items():
            try:
                state[number].append(alert.Transition.model_validate_json(change.value or b"", extra="ignore"))
            except ValueError as error:
                log.warning("a message of the state topic cannot be read", shard=number, offset=change.offset, why=str(error).splitlines()[0])
        versions: dict[str, set[str]] = {}
        for slot in self.engine.slots:
            versions.setdefault(slot.program.rule.name, set()).add(slot.program.rule.content_hash)
        for number, shard in due.items():
            shard.audit_s = float("inf")
            for each in state[number]:
                if key_of(each) not in shard.spoken:
                    shard.over.note(each)
            for each in corrections(state[number], self.engine.active(number), shard.dropped, shard.spoken, versions):
                log.warning("what was told of an alert is not the case", rule=each.rule, series=each.series, now=each.transition, why=each.reason)
                self._send(number, each)
            shard.dropped, shard.spoken = {}, set()

    def _forget(self) -> None:
        """Alerts that have been over for a day leave the state topic; not before the audit: until then it may hold what is not known here."""
        for number, shard in self.shards.items():
            if shard.audit_s == float("inf") and (held := self.engine.shards.get(number)) is not None:
                gone = shard.over.take(held.watermark_us)
                self.outbox.messages += [forgotten(rule, dict(series), self.settings.stream, number) for rule, series in gone]

    def _releases(self) -> None:
        """Ask, by the wall clock, which sources are waited for no longer, and say so in the shard itself."""
        for number, shard in self.shards.items():
            release = self.engine.holding(number, self.clock.monotonic_s(), self.settings.detect.hold_max_s)
            if release is None or release.until_us <= shard.told_until_us or shard.next_offset < shard.quiet_until:
                continue
            names = ("cluster", "topic", "topic_id", "partition")
            sources = [dict(zip(names, key, strict=True)) for key in release.sources]
            value = orjson.dumps({"kind": "release", "version": VERSION, "sources": sources, "until_us": release.until_us})
            topic = self.settings.stream.windows_topic
            self.outbox.messages.append(Message(topic, value, headers=((KIND_HEADER, b"release"),), partition=number))
            shard.told_until_us = release.until_us
            log.warning("windows close without sources that stand still", shard=number, sources=[key[1:] for key in release.sources])

    # 4. One transaction.

    def flush(self) -> None:
        """Publish what was found. Raises OwnershipLost where nobody can say whether it was."""
        self.last_s = self.clock.monotonic_s()
        if not (self.outbox.messages or self.outbox.moved):
            return
        snapshots = self._due_snapshot()
        offsets = {shard.partition: max(shard.next_offset, shard.quiet_until) for shard in self.shards.values()}
        began_s = self.clock.monotonic_s()
        self.publisher.transaction(self.outbox.messages + snapshots, offsets, self.source.group_metadata())
        self.metrics.transaction_seconds.observe(self.clock.monotonic_s() - began_s)
        self.outbox = Outbox()

    def _due_snapshot(self) -> list[Message]:
        """Of one shard: the one whose last is oldest, if that is due. Spread over time: all at once would hold the alerts up."""
        if self.engine.waits():
            return []
        live = [shard for shard in self.shards.values() if shard.next_offset >= shard.quiet_until]
        shard = min(live, key=lambda each: (not each.stale, each.snapshot_s), default=None)
        if shard is None or not (shard.stale or self.clock.monotonic_s() - shard.snapshot_s >= self.settings.detect.snapshot_s):
            return []
        shard.snapshot_s, shard.stale = self.clock.monotonic_s(), False
        return self._snapshot(shard)

    def _snapshot(self, shard: Shard) -> list[Message]:
        number, topic = shard.partition.number, self.settings.stream.state_topic
        parts = snapshot(self.engine, number)
        meta: dict[str, Any] = {"topic_id": shard.partition.topic_id, "next_offset": shard.next_offset, "parts": [name for name, _ in parts]}
        parts.append((META, json.dumps(meta).encode()))
        return [Message(topic, value, f"{number}/{name}".encode(), partition=number) for name, value in parts]

    # The loop.

    def step(self) -> None:
        """Read once, evaluate, and publish what is due."""
        try:
            self._no_doubt()
            if self.rules.poll():
                self._rules_changed()
            for records in self.source.poll(limits.poll_wait_s):
                self.take(records)
            self._no_doubt()
            self._events()
            self._tick()
            self._audit()
            self._forget()
            self._releases()
            if self.outbox.messages or self.clock.monotonic_s() - self.last_s >= self.settings.stream.flush_ms / 1000:
                self.source.verify()
                self._no_doubt()
                self.flush()
        except OwnershipLost as error:
            self._restart(error)

    def _rules_changed(self) -> None:
        for programs, effective_from_us in self.rules.changes():
            self.engine.set_rules(programs, effective_from_us)
        for shard in self.shards.values():
            shard.stale = True  # a replay over the change would need the rules of before it

    def _events(self) -> None:
        """Retention, truncation, damage: the topic is not what the snapshot saw."""
        events, self.source.events = self.source.events, []
        for event in events:
            log.warning("windows are gone", shard=event.partition.number, event=str(event))

    def _no_doubt(self) -> None:
        if self.doubt:
            doubt, self.doubt = self.doubt, None
            raise doubt

    def _restart(self, error: OwnershipLost) -> None:
        """Nobody can say whether the transaction was committed: the committed offsets can. Begin again from the snapshots."""
        log.warning("starting again from the snapshots", why=str(error))
        self.metrics.restarts.inc()
        self.outbox, self.doubt = Outbox(), None
        partitions = [shard.partition for shard in self.shards.values()]
        self.lost(partitions)
        for partition, offset in self.assigned(partitions).items():
            self.source.seek(partition, int(offset))

    def finish(self) -> None:
        """Publish what is open, with a snapshot of every shard, so that the next start has little to replay."""
        self._no_doubt()
        for shard in self.shards.values():
            if shard.next_offset >= shard.quiet_until and not self.engine.waits():
                self.outbox.messages += self._snapshot(shard)
                self.outbox.moved = True
        self.flush()

    def close(self) -> None:
        self.source.close()
        self.publisher.close()
        self.rules.close()


def run_detect(settings: Settings, *, stop: threading.Event, metrics: DetectMetrics, clock: Clock, watch: Callable[[Detection], None]) -> None:
    """Until `stop` is set. `watch` is called each turn of the loop."""
    apply(settings.client_config(), own_topics(settings), settings.stream.replication_factor)
    register_aside(settings, clock, stop)
    publisher = Publisher.transactional(settings.client_config(), settings.detect.group or "detect", clock)
    shards = publisher.partitions(settings.stream.windows_topic)
    rules = RuleBook(settings, clock, "detect")
    engine = Engine(rules.programs.values(), EngineSettings(shards=shards), rules.since_us)
    detection = Detection(settings, engine, rules, publisher, metrics=metrics, clock=clock)
    try:
        while not stop.is_set():
            detection.step()
            watch(detection)
        try:
            detection.finish()
        except OwnershipLost as error:
            log.warning("what was open was dropped: the next owner of the shards evaluates it", why=str(error))
    finally:
        detection.close()
