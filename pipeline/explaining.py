"""explain: to each alert that fires, what stands behind it, published once beside it.

    tracebraid.alerts (firing) ─► the lake (pipeline/query) ─► pipeline/explain ─► tracebraid.alerts (evidence)

1. Read. Every transition to `firing` is taken up; everything else, evidence among it, is passed over.
2. Wait, at most `explain.wait_s` from when the alert was read, until the lake holds what the alert was made from: ingest's group has committed, with
   the partial windows, how far it had read; the lake holds the window once its intervals have come as far. All alerts wait side by side.
   Where that takes too long the evidence is made of what there is, and says so.
3. Look up: the exemplar traces, samples of the window's traces and of the hour before, log lines.
4. One transaction: evidence, and the group's offsets up to the first alert that is not explained yet. Within a partition evidence is published in the
   order of the alerts: an offset says that all before it is done. Split: evidence twice (offsets last) or never (offsets first).

What is lost with a partition is explained by its next owner.
"""

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import structlog
from pydantic import ValidationError

from tracebraid.pipeline.explain.evidence import Found, Line, evidence
from tracebraid.pipeline.explain.fewer import Rows, is_about_fewer, upstream
from tracebraid.pipeline.explain.own import Span
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import OwnershipLost, TracebraidError
from tracebraid.pipeline.kernel.metrics import ExplainMetrics
from tracebraid.pipeline.kernel.records import Partition, Records
from tracebraid.pipeline.kernel.settings import Settings, TopicSettings
from tracebraid.pipeline.publish.alerts import HEADERS
from tracebraid.pipeline.publish.producer import Message, Publisher
from tracebraid.pipeline.publish.topics import apply, own_topics
from tracebraid.pipeline.query import evidence as lookup
from tracebraid.pipeline.query.render import to_text
from tracebraid.pipeline.query.snapshot import Snapshot, take
from tracebraid.pipeline.source.kafka import KafkaSource
from tracebraid.pipeline.source.partitions import Owner
from tracebraid.pipeline.source.positions import GroupPositions
from tracebraid.schemas.alert import Transition

log = structlog.get_logger()
LOOK_S = 1.0  # how often the lake is looked at while alerts wait
BATCH = 20  # alerts explained in one turn of the loop; then they are published, and signals and the group are attended to
WAITING_MAX = 1_000  # alerts; what a poll brings beyond it is taken too, and then no more is read until half of them are explained
COMMIT_S = 5.0  # how often the group's offsets move where nothing is published
HOUR_US = 3_600_000_000


@dataclass(slots=True)
class Waiting:
    """One alert that fires. read_s: when it was read. wanted: offsets that the lake must reach. done: its evidence."""

    offset: int
    alert: Transition
    key: bytes
    read_s: float
    wanted: dict[Partition, int] = field(default_factory=dict)
    done: Message | None = None


@dataclass(slots=True)
class Lane:
    """One partition of the alerts topic. next_offset: to be read next. waiting: in the order of their offsets."""

    next_offset: int
    waiting: deque[Waiting] = field(default_factory=deque)

    def publishable(self) -> tuple[list[Waiting], int]:
        """The alerts at the front whose evidence is made, and the offset once it is published."""
        front: list[Waiting] = []
        for each in self.waiting:
            if each.done is None:
                return front, each.offset
            front.append(each)
        return front, self.next_offset


@dataclass(slots=True)
class Looking:
    """Step 3. samples: alerts of one window share them, as long as the tables have the versions `sampled`."""

    samples: dict[tuple[tuple[tuple[str, str], ...], int, int], list[Span]] = field(default_factory=dict)
    sampled: dict[str, int | None] = field(default_factory=dict)

    def look_up(self, snapshot: Snapshot, alerts: Sequence[Transition]) -> list[Found]:
        """What the lake has of each alert; traces and lines of all of them at once: a question costs the same for one alert and for twenty."""
        if snapshot.versions() != self.sampled:
            self.samples, self.sampled = {}, snapshot.versions()
        spans, lines = _by_trace(snapshot, alerts) if alerts else ({}, {})
        looked = []
        for alert in alerts:
            ids = list(dict.fromkeys(exemplar.trace_id for exemplar in alert.exemplars))
            found = Found(
                exemplars=[span for trace_id in ids for span in spans.get(trace_id, ())],
                lines=[line for trace_id in ids for line in lines.get(trace_id, ())],
                sql=_sql(alert),
            )
            try:
                found = self._with_samples(snapshot, alert, found)
            except TracebraidError as error:
                log.warning("the lake could not be asked", alert=alert.id, why=str(error))
            looked.append(found)
        return looked

    def _with_samples(self, snapshot: Snapshot, alert: Transition, found: Found) -> Found:
        start_us, end_us = alert.window.start_us, alert.window.end_us
        before = self._sample(snapshot, alert.series, start_us - HOUR_US, start_us)
        return replace(
            found,
            window=self._sample(snapshot, alert.series, start_us, end_us),
            before=before,
            rows=_rows(snapshot, alert, before) if is_about_fewer(alert) else {},
            tables={name: version for name, version in snapshot.versions().items() if name in ("spans", "logs") and version is not None},
        )

    def _sample(self, snapshot: Snapshot, series: dict[str, str], start_us: int, end_us: int) -> list[Span]:
        key = (tuple(sorted(series.items())), start_us, end_us)
        if key not in self.samples:
            self.samples[key] = _spans(lookup.spans_of(snapshot, lookup.sample(snapshot, series, start_us, end_us), start_us, end_us))
        return self.samples[key]


class Explaining:
    """One process. `step()` in a loop; `finish()` before it ends."""

    def __init__(self, settings: Settings, publisher: Publisher, metrics: ExplainMetrics, clock: Clock) -> None:
        self.settings, self.publisher, self.metrics, self.clock = settings, publisher, metrics, clock
        self.lanes: dict[Partition, Lane] = {}
        self.positions: tuple[str, GroupPositions] | None = None
        self.doubt: OwnershipLost | None = None
        self.moved_s, self.looked_s = clock.monotonic_s(), float("-inf")
        self.committed: dict[Partition, int] = {}
        self.looking = Looking()
        topic = settings.stream.alerts_topic
        group = settings.explain.group or f"tracebraid-explain-{topic}"
        owner = Owner(assigned=self.assigned, revoked=self.revoked, lost=self.lost)
        self.source = KafkaSource(settings.client_config(), [TopicSettings(name=topic)], group, owner, clock)

    # 1. Read.

    def assigned(self, partitions: Sequence[Partition]) -> dict[Partition, int | str]:
        committed = self.source.committed(partitions)
        starts = {}
        for each in partitions:
            low, high = self.source.watermarks(each)
            starts[each] = min(max(committed.get(each, low), low), high)
            self.lanes[each] = Lane(starts[each])
        return dict(starts)

    def revoked(self, partitions: Sequence[Partition]) -> None:
        try:
            self.publish()
        except OwnershipLost as error:
            self.doubt = error
        self.lost(partitions)

    def lost(self, partitions: Sequence[Partition]) -> None:
        for each in partitions:
            self.lanes.pop(each, None)
            self.committed.pop(each, None)

    def take(self, records: Records) -> None:
        lane = self.lanes.get(records.partition)
        if lane is None:
            return
        for offset, key, value in zip(*(records.batch.column(name).to_pylist() for name in ("kafka_offset", "key", "value")), strict=True):
            alert = self._alert(records.partition, offset, value)
            if alert is not None:
                lane.waiting.append(Waiting(offset, alert, key or alert.id.encode(), self.clock.monotonic_s()))
        lane.next_offset = records.next_offset

    def _alert(self, partition: Partition, offset: int, value: bytes | None) -> Transition | None:
        """None for what is not to be explained."""
        if value is None or b'"evidence"' in value[:64] or b'"firing"' not in value:
            return None
        try:
            alert = Transition.model_validate_json(value, extra="ignore")  # what a later version has added is passed over
        except ValidationError as error:
            self.metrics.refused.inc()
            log.error("a message of the alerts topic cannot be read", partition=str(partition), offset=offset, why=str(error).splitlines()[0])
            return None
        return alert if alert.transition == "firing" else None

    # 2. Wait.

    def explain_due(self) -> None:
        """Explain alerts whose window the lake holds, or that have waited long enough, the longest first: one snapshot for all of them."""
        waiting = [each for lane in self.lanes.values() for each in lane.waiting if each.done is None]
        now_s = self.clock.monotonic_s()
        self.metrics.waiting.set(len(waiting))
        if not waiting or now_s - self.looked_s < LOOK_S:
            return
        self.looked_s = now_s
        snapshot = self._snapshot()
        holds = self._held_windows(snapshot, waiting) if snapshot is not None else set()
        late = {id(each) for each in waiting if now_s - each.read_s >= self.settings.explain.wait_s}
        due = sorted((each for each in waiting if id(each) in holds | late), key=lambda each: each.read_s)
        if len(due) > BATCH:
            self.looked_s = float("-inf")  # the rest follows at once, when these are published
        with self.metrics.seconds.time():
            self._explain(snapshot, due[:BATCH], holds)

    def _snapshot(self) -> Snapshot | None:
        try:
            return take(self.settings.lake, self.settings.storage_config())
        except TracebraidError as error:
            log.warning("the lake cannot be read", why=str(error))
            return None

    def _held_windows(self, snapshot: Snapshot, waiting: Sequence[Waiting]) -> set[int]:
        """Those, by id(), for which the lake has come as far as ingest had when the alert was read, and beyond the window's end."""
        held = lookup.next_offsets(snapshot, min(each.alert.window.start_us for each in waiting))
        newest = lookup.newest_event_us(snapshot)  # an alert may fire before its window ends; and a lake need not be filled by a group
        fresh = [each for each in waiting if not held.keys() <= each.wanted.keys()]
        wanted = self._wanted(snapshot, list(held)) if fresh else {}
        for each in fresh:
            each.wanted = wanted | each.wanted
        return {
            id(each)
            for each in waiting
            if newest is not None and newest >= each.alert.window.end_us and all(held.get(place, 0) >= offset for place, offset in each.wanted.items())
        }

    def _wanted(self, snapshot: Snapshot, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """How far the group that fills the lake has read."""
        group = lookup.filling_group(snapshot)
        if not group or not partitions:
            return {}
        if self.positions is None or self.positions[0] != group:
            if self.positions:
                self.positions[1].close()
            self.positions = (group, GroupPositions(self.settings.client_config(), group, self.clock))
        return self.positions[1].of(partitions)

    # 3. Look up.

    def _explain(self, snapshot: Snapshot | None, due: Sequence[Waiting], holds: set[int]) -> None:
        alerts = [each.alert for each in due]
        looked = self.looking.look_up(snapshot, alerts) if snapshot is not None else [Found(sql=_sql(alert)) for alert in alerts]
        for each, found in zip(due, looked, strict=True):
            made = evidence(each.alert, replace(found, waited_s=self.clock.monotonic_s() - each.read_s, complete=id(each) in holds))
            self.metrics.evidence.labels(str(made.complete).lower()).inc()
            each.done = Message(self.settings.stream.alerts_topic, made.model_dump_json().encode(), each.key, HEADERS)

    # 4. One transaction.

    def publish(self) -> None:
        """What is explained, with the offsets. Raises OwnershipLost where nobody can say whether it was."""
        ready = {partition: lane.publishable() for partition, lane in self.lanes.items()}
        messages = [each.done for front, _ in ready.values() for each in front if each.done is not None]
        offsets = {partition: offset for partition, (_, offset) in ready.items() if self.committed.get(partition) != offset}
        if not messages and (not offsets or self.clock.monotonic_s() - self.moved_s < COMMIT_S):
            return
        self.publisher.transaction(messages, offsets, self.source.group_metadata())
        self.moved_s = self.clock.monotonic_s()
        self.committed.update(offsets)
        for partition, (front, _) in ready.items():
            for _ in front:
                self.lanes[partition].waiting.popleft()

    # The loop.

    def step(self) -> None:
        """Read once, explain and publish what is due."""
        try:
            self._no_doubt()
            self._breathe()
            for records in self.source.poll(limits.poll_wait_s):
                self.take(records)
            self._no_doubt()
            events, self.source.events = self.source.events, []
            for event in events:
                log.warning("alerts are gone", event=str(event))
            self.explain_due()
            if self.source.verify():
                self._no_doubt()
            self.publish()
        except OwnershipLost as error:
            self._restart(error)

    def _breathe(self) -> None:
        """A storm of alerts waits on the topic, not in memory."""
        waiting = sum(len(lane.waiting) for lane in self.lanes.values())
        if waiting >= WAITING_MAX and not self.source.paused:
            self.source.pause()
        elif waiting <= WAITING_MAX // 2 and self.source.paused:
            self.source.resume()

    def _no_doubt(self) -> None:
        if self.doubt:
            doubt, self.doubt = self.doubt, None
            raise doubt

    def _restart(self, error: OwnershipLost) -> None:
        """Nobody can say whether the transaction was committed: the committed offsets can."""
        log.warning("starting again from the group's offsets", why=str(error))
        partitions = list(self.lanes)
        self.lost(partitions)
        for partition, offset in self.assigned(partitions).items():
            self.source.seek(partition, int(offset))

    def finish(self) -> None:
        """Publish what is explained; what waits is explained after the next start."""
        self._no_doubt()
        self.moved_s = float("-inf")
        self.publish()

    def close(self) -> None:
        self.source.close()
        self.publisher.close()
        if self.positions:
            self.positions[1].close()


def _spans(rows: Sequence[lookup.Row]) -> list[Span]:
    return [Span(row[0], row[1], row[2], row[3] or "", row[4] or "", row[5], row[6], bool(row[7])) for row in rows]


def _lines(rows: Sequence[lookup.Row]) -> list[Line]:
    return [Line(row[0], to_text(row[1]), row[2] or "", row[3] or 0, row[4] or "", row[5] or "") for row in rows]


def _rows(snapshot: Snapshot, alert: Transition, before: Sequence[Span]) -> dict[str, Rows]:
    """Of the alert's service and all that come before it."""
    start_us, end_us = alert.window.start_us, alert.window.end_us
    services = upstream(before, alert.series["service_name"])
    found = lookup.requests_of(snapshot, services, start_us - HOUR_US, start_us, end_us)
    return {service: Rows(now, then * (end_us - start_us) / HOUR_US) for service, (now, then) in found.items()}


def _sql(alert: Transition) -> str:
    return lookup.reproduction(alert.signal, alert.series, alert.window.start_us, alert.window.end_us)


def _by_trace(snapshot: Snapshot, alerts: Sequence[Transition]) -> tuple[dict[str, list[Span]], dict[str, list[Line]]]:
    """Spans and log lines of the alerts' exemplar traces, by trace; none where the lake cannot be asked."""
    ids = {exemplar.trace_id for alert in alerts for exemplar in alert.exemplars}
    windows = [alert.window for alert in alerts]
    spans, lines = defaultdict[str, list[Span]](list), defaultdict[str, list[Line]](list)
    try:
        for span in _spans(lookup.spans_of(snapshot, ids, min(each.start_us for each in windows), max(each.end_us for each in windows))):
            spans[span.trace_id].append(span)
        for line in _lines(lookup.lines_of(snapshot, ids)):
            lines[line.trace_id].append(line)
    except TracebraidError as error:
        log.warning("the lake could not be asked", why=str(error))
    return spans, lines


def run_explain(settings: Settings, *, stop: threading.Event, metrics: ExplainMetrics, clock: Clock, watch: Callable[[Explaining], None]) -> None:
    """Until `stop` is set. `watch` is called each turn of the loop."""
    apply(settings.client_config(), own_topics(settings), settings.stream.replication_factor)
    publisher = Publisher.transactional(settings.client_config(), settings.explain.group or "explain", clock)
    explaining = Explaining(settings, publisher, metrics, clock)
    try:
        while not stop.is_set():
            explaining.step()
            watch(explaining)
        try:
            explaining.finish()
        except OwnershipLost as error:
            log.warning("what was open was dropped: the next owner explains it", why=str(error))
    finally:
        explaining.close()
