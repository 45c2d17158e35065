"""notify: each alert to each channel that wants it, at least once, or to the dead-letter topic with the reason.

    tracebraid.alerts ─► read, choose ─► channel (pipeline/notify) ─► offsets, dead letters
    tracebraid.alerts.state ─► what fires now ─► Alertmanager, again each minute

Each channel is a consumer group, a thread and a producer of its own, so that a slow or dead one holds no other back. In a channel messages are sent in the
order of their partition, and so in order for each alert.

1. Start. A channel that is new begins at the end of all partitions: it is not told the alerts of the last month. Those places are committed at once, also
   of partitions that another process has. Skipped: what comes before the first commit is passed over when the process ends meanwhile; and a partition that
   was added since, which begins at its beginning, could not be told from one that was never read.
2. Read, and queue. While anything is queued nothing more is read, but the group is kept alive.
3. Send the first of the queue. It leaves the queue when it was taken, when it is not wanted, or when it became a dead letter: at once if the answer says
   that repeating is no use, else once it has waited `give_up_s` and one more attempt has failed.
4. One transaction: dead letters, and the offsets of what has left the queue. Offsets before 3: alerts lost where the process ends between. Dead letters
   apart from offsets: lost, or there twice. What was sent but not committed is sent again after a crash, under the same Idempotency-Key.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import structlog

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.backoff import Backoff
from tracebraid.pipeline.kernel.channels import ChannelSettings
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import OwnershipLost, TracebraidError, UsageError
from tracebraid.pipeline.kernel.metrics import NotifyMetrics
from tracebraid.pipeline.kernel.records import Partition, Records
from tracebraid.pipeline.kernel.settings import Settings, TopicSettings
from tracebraid.pipeline.notify.alertmanager import Alertmanager
from tracebraid.pipeline.notify.choice import Recent, why_not
from tracebraid.pipeline.notify.http import Channel, Notice, Outcome, Post
from tracebraid.pipeline.notify.present import Key, Present, key_of_text, read, share
from tracebraid.pipeline.notify.webhook import Webhook
from tracebraid.pipeline.publish.producer import Message, Publisher
from tracebraid.pipeline.publish.topics import apply, own_topics
from tracebraid.pipeline.source.compacted import Change, CompactedTopic
from tracebraid.pipeline.source.kafka import KafkaSource
from tracebraid.pipeline.source.partitions import Owner
from tracebraid.schemas.alert import Evidence

log = structlog.get_logger()
COMMIT_S = 0.2  # at least so long between two transactions while there is more to send: what a crash may send twice
TURN_S = 1.0  # of sending, before the group is told again that we live
STOP_WAIT_S = 20.0


@dataclass(frozen=True, slots=True)
class Item:
    """One message of the alerts topic. notice: None where it is not to be sent. dead: why it cannot be read."""

    partition: Partition
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    seen_s: float
    notice: Notice | None
    dead: str = ""


def channel_of(settings: ChannelSettings, clock: Clock, link: str) -> Channel:
    """Raises UsageError where its settings name a file that cannot be read."""
    post = Post(settings, clock)
    return Alertmanager(settings, post, clock, link) if settings.kind == "alertmanager" else Webhook(settings, post, clock, link)


class Delivery:
    """One channel. `step()` in a loop; `finish()` before it ends. Of one thread."""

    def __init__(self, settings: Settings, channel: ChannelSettings, publisher: Publisher, metrics: NotifyMetrics, clock: Clock) -> None:
        self.settings, self.channel, self.publisher, self.metrics, self.clock = settings, channel, publisher, metrics, clock
        self.sender = channel_of(channel, clock, settings.notify.link)
        self.queue: deque[Item] = deque()
        self.done: dict[Partition, int] = {}  # next offsets that are not committed yet
        self.dead: list[tuple[Partition, Message]] = []
        self.recent, self.present, self.backoff = Recent(), Present(hold=channel.alertmanager_shape), Backoff(clock)
        self.singly = 0  # so many of the queue are sent one by one: together they were refused
        self.not_before_s = self.committed_s = self.turned_s = clock.monotonic_s()
        self.resend_s = clock.monotonic_s()
        self.again: deque[Key] = deque()
        self.doubt: OwnershipLost | None = None
        self.parts = publisher.partitions(settings.stream.alerts_topic)
        self.state = CompactedTopic(settings.client_config(), settings.stream.alerts_state_topic, clock)
        self.learn(self.state.read())
        topic, owner = TopicSettings(name=settings.stream.alerts_topic), Owner(assigned=self.assigned, revoked=self.revoked, lost=self.lost)
        self.source = KafkaSource(settings.client_config(), [topic], channel.group, owner, clock)

    # 1. Start.

    def assigned(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        if not partitions:
            return {}
        siblings = self.source.siblings(partitions[0])
        committed = self.source.committed(siblings)
        fresh = [each for each in (partitions if committed else siblings) if each not in committed]
        begins = {each: self.source.watermarks(each)[0 if committed else 1] for each in fresh}
        if begins:
            what = "partitions that were added are read from their beginning" if committed else "the channel begins with the alerts that come from now on"
            log.info(what, channel=self.channel.name, offsets={str(each): offset for each, offset in begins.items()})
        self.done |= begins
        return {each: {**begins, **committed}[each] for each in partitions}

    def revoked(self, partitions: Sequence[Partition]) -> None:
        try:
            if not self.doubt:
                self.commit()
        except TracebraidError as error:
            self.doubt = OwnershipLost(str(error))
        self.lost(partitions)

    def lost(self, partitions: Sequence[Partition]) -> None:
        gone = set(partitions)
        self.queue = deque(item for item in self.queue if item.partition not in gone)
        self.done = {partition: offset for partition, offset in self.done.items() if partition not in gone}
        self.dead = [(partition, message) for partition, message in self.dead if partition not in gone]
        self.singly = 0

    # 2. Read, and queue.

    def learn(self, changes: Sequence[Change]) -> None:
        """What the state topic says; a message there that cannot be read is passed over: it is on the alerts topic as well."""
        for change in changes:
            try:
                if change.value is None:
                    self.present.forget(key_of_text(change.key))
                else:
                    self.present.learn(read(change.value), change.time_ms)
            except ValueError as error:
                log.warning("a message of the state topic cannot be read", partition=change.partition, offset=change.offset, why=str(error))

    def read(self) -> None:
        self.learn(self.state.poll())
        now_s = self.clock.monotonic_s()
        waiting = bool(self.queue) and not self.due(now_s)
        if self.queue and not waiting and now_s - self.turned_s < TURN_S:
            return
        if self.queue and not self.source.paused:
            self.source.pause()
        elif not self.queue and self.source.paused:
            self.source.resume()
        self.turned_s = now_s
        for records in self.source.poll(limits.poll_wait_s if waiting or not self.queue else 0.0):
            self.take(records)
        if self.source.events:
            log.error("alerts are gone before they were read", channel=self.channel.name, events=[str(event) for event in self.source.events])
            self.source.events = []

    def take(self, records: Records) -> None:
        seen_s = self.clock.monotonic_s()
        names = ("kafka_offset", "kafka_time_ms", "key", "value", "headers")
        for offset, told_ms, key, value, headers in zip(*(records.batch.column(name).to_pylist() for name in names), strict=True):
            pairs = tuple((each["key"], each["value"]) for each in headers or ())
            try:
                notice, dead = self.choose(value or b"", told_ms), ""
            except ValueError as error:
                notice, dead = None, f"the message cannot be read: {error}"
            self.queue.append(Item(records.partition, offset, key, value, pairs, seen_s, notice, dead))

    def choose(self, value: bytes, told_ms: int) -> Notice | None:
        """Raises ValueError where the message is none."""
        message = read(value)
        self.present.learn(message, told_ms)
        if why_not(message, self.channel, self.present.rule_labels):
            return None
        if isinstance(message, Evidence) and self.channel.alertmanager_shape:
            about = self.present.about(message)
            return Notice(message, value, about) if about else None
        return Notice(message, value)

    # 3. Send.

    def due(self, now_s: float) -> bool:
        return self.backoff.due() and now_s >= self.not_before_s

    def deliver(self) -> None:
        """Send until the queue is empty, an attempt fails, or a second is over."""
        until_s = self.clock.monotonic_s() + TURN_S
        while self.queue and self.due(now_s := self.clock.monotonic_s()) and now_s < until_s:
            items = list(islice(self.queue, 1 if self.singly else self.sender.batch_max))
            notices = [item.notice for item in items if item.notice is not None and item.notice.identity not in self.recent]
            outcome = self.attempt(notices) if notices else Outcome()
            if not outcome.error:
                self.delivered(items, notices)
            elif outcome.retry:
                self.wait(items, outcome)
            elif len(items) > 1:
                self.singly = len(items)  # one of them is no good: which?
            else:
                self.bury(self.queue.popleft(), outcome.error)
            if self.done and self.clock.monotonic_s() - self.committed_s >= COMMIT_S:
                return

    def attempt(self, notices: Sequence[Notice]) -> Outcome:
        name = self.channel.name
        with self.metrics.seconds.labels(name).time():
            outcome = self.sender.send(notices)
        if outcome.error:
            self.metrics.failed.labels(name, outcome.reason).inc()
        return outcome

    def delivered(self, items: Sequence[Item], notices: Sequence[Notice]) -> None:
        if notices:
            self.backoff.worked()
        for notice in notices:
            self.recent.add(notice.identity)
            self.metrics.sent.labels(self.channel.name, notice.what).inc()
        for item in items:
            self.queue.popleft()
            if item.dead:
                self.bury(item, item.dead)
            else:
                self.left(item)

    def wait(self, items: Sequence[Item], outcome: Outcome) -> None:
        """Try again later; what has waited too long is given up, and then the next has its attempt at once."""
        now_s = self.clock.monotonic_s()
        pause_s = self.backoff.failed(TracebraidError(outcome.error, transient=True))
        longest_s = max(limits.retry_s_max, items[0].seen_s + self.channel.give_up_s - now_s)
        self.not_before_s = now_s + min(outcome.after_s, longest_s)
        log.warning("not delivered", channel=self.channel.name, why=outcome.error, attempt=self.backoff.failures, seconds=max(pause_s, outcome.after_s))
        over = [item for item in items if now_s - item.seen_s >= self.channel.give_up_s]
        for item in over:
            self.queue.popleft()
            self.left(item) if item.notice is None and not item.dead else self.bury(item, item.dead or outcome.error)
        if over:
            self.backoff.worked()

    def bury(self, item: Item, why: str) -> None:
        """To the dead-letter topic: the message as it was, the reason in headers."""
        told = {"channel": self.channel.name, "reason": why, "topic": item.partition.topic, "partition": item.partition.number, "offset": item.offset}
        headers = (*item.headers, *((f"tracebraid.{name}", str(value).encode()) for name, value in told.items()))
        self.dead.append((item.partition, Message(self.settings.stream.alerts_dead_topic, item.value, item.key, headers)))
        self.metrics.dead.labels(self.channel.name).inc()
        log.error("given up", **told)
        self.left(item)

    def left(self, item: Item) -> None:
        self.done[item.partition] = item.offset + 1
        self.singly = max(0, self.singly - 1)

    # What fires is told again.

    def tell_again(self) -> None:
        """A piece of what is due: each `resend_s` all that fires, and what has resolved in the last quarter of an hour."""
        now_s, now_ms = self.clock.monotonic_s(), self.clock.unix_nano() // 1_000_000
        if not self.again and now_s >= self.resend_s:
            self.resend_s = now_s + self.channel.resend_s
            ours = {partition.number for partition in self.source.partitions()}
            found = list(self.present.to_tell(now_ms))  # forgets what is old, for other channels too
            self.metrics.firing.labels(self.channel.name).set(self.present.firing())
            self.again += [key for key, held in found if share(held.alert, self.parts) in ours and not why_not(held.alert, self.channel, {})]
        if not isinstance(self.sender, Alertmanager):
            self.again.clear()
            return
        keys = [self.again.popleft() for _ in range(min(len(self.again), self.sender.batch_max))]
        alerts = [(held.alert, held.evidence) for key in keys if (held := self.present.standing(key))]
        if alerts and (outcome := self.sender.tell(alerts)).error:
            self.metrics.failed.labels(self.channel.name, outcome.reason).inc()
            log.warning("what fires was not told again", channel=self.channel.name, alerts=len(alerts), why=outcome.error)
            if outcome.retry:
                self.again.clear()  # the next round tells of them all

    # 4. One transaction.

    def commit(self) -> None:
        """Raises OwnershipLost where nobody can say whether it was committed."""
        self.committed_s = self.clock.monotonic_s()
        if self.done:
            self.publisher.transaction([message for _, message in self.dead], self.done, self.source.group_metadata())
            self.done, self.dead = {}, []

    # The loop.

    def step(self) -> None:
        """Raises what no waiting mends. While no broker answers, what fires is told all the same."""
        self.read()
        try:
            if self.doubt:
                self.restart(self.doubt)
            else:
                self.deliver()
                if self.done and (not self.queue or self.clock.monotonic_s() - self.committed_s >= COMMIT_S):
                    self.source.verify()
                    self.commit()
        except OwnershipLost as error:
            self.doubt = error
        except TracebraidError as error:
            if not error.transient:
                raise
            log.warning("nothing is committed, and tried again", channel=self.channel.name, why=str(error))
        self.tell_again()
        self.metrics.waiting.labels(self.channel.name).set(len(self.queue))

    def restart(self, error: OwnershipLost) -> None:
        """Nobody can say whether the transaction was committed: the committed offsets can. What was sent is remembered, and not sent again.

        Raises TracebraidError (transient) where no broker answers; `doubt` stays until it was done, and nothing is sent.
        """
        log.warning("starting again from the committed offsets", channel=self.channel.name, why=str(error))
        partitions = self.source.partitions()
        self.lost(partitions)
        self.done = {}  # what is left there are others' partitions, which they may have moved
        for partition, offset in self.assigned(partitions).items():
            self.source.seek(partition, offset)
        self.doubt = None

    def finish(self) -> None:
        try:
            if not self.doubt:
                self.commit()
        except TracebraidError as error:
            log.warning("what was sent last may be sent again", channel=self.channel.name, why=str(error))

    def close(self) -> None:
        self.source.close()
        self.state.close()
        self.publisher.close()


def run_notify(settings: Settings, *, stop: threading.Event, metrics: NotifyMetrics, clock: Clock, watch: Callable[[Delivery], None]) -> None:
    """Until `stop` is set, or one channel fails for a reason that no waiting mends. `watch` is called each turn of a channel's loop, in its thread."""
    if not settings.notify.channels:
        raise UsageError("no channel to notify", "List [[notify.channels]] in the settings file")
    client = settings.client_config()
    apply(client, own_topics(settings), settings.stream.replication_factor)
    failures: list[BaseException] = []
    deliveries: list[Delivery] = []
    try:
        for channel in settings.notify.channels:
            publisher = Publisher.transactional(client, f"notify-{channel.name}", clock)
            deliveries.append(Delivery(settings, channel, publisher, metrics, clock))
    except BaseException:
        for delivery in deliveries:
            delivery.close()
        raise

    def run(delivery: Delivery) -> None:
        try:
            try:
                while not stop.is_set():
                    delivery.step()
                    watch(delivery)
                delivery.finish()
            finally:
                delivery.close()
        except BaseException as error:
            failures.append(error)
            stop.set()

    threads = [threading.Thread(target=run, args=(each,), name=f"notify-{each.channel.name}", daemon=True) for each in deliveries]
    for thread in threads:
        thread.start()
    stop.wait()
    until_s = clock.monotonic_s() + STOP_WAIT_S
    for thread in threads:
        thread.join(max(0.0, until_s - clock.monotonic_s()))
    if failures:
        raise failures[0]
    if late := [thread.name for thread in threads if thread.is_alive()]:
        raise TracebraidError(f"{', '.join(late)} did not end within {STOP_WAIT_S:g} s", "What was not committed is sent again at the next start")
