"""archive: what passed on our own topics, kept as tables, each message once.

    tracebraid.windows (partials) ─► table windows
    tracebraid.alerts             ─► table alerts

1. Start. An assigned partition is read on from its ledger in its table; from its beginning, where it has none. The group's offsets are not used:
   they could not move in the same commit as the rows.
2. Messages become rows and wait. A message that cannot be read is logged and counted, and passed over.
3. A table's rows are committed every `archive.flush_age_s`, or at `archive.flush_mib`, in one entry with the ledgers of the partitions that they came
   from. Split: rows twice (ledgers last) or lost (ledgers first). Messages that give no row move no ledger by themselves: they are read again, at most.
4. A partition that goes to another archive: what is open of its table is committed first, or, where that fails, dropped; the ledger tells its next
   owner which it was.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa
import structlog

from tracebraid.pipeline.archive.alerts import alert_rows
from tracebraid.pipeline.archive.windows import window_rows
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.backoff import Backoff
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import OwnershipLost, TracebraidError
from tracebraid.pipeline.kernel.metrics import ArchiveMetrics
from tracebraid.pipeline.kernel.records import Partition, Records
from tracebraid.pipeline.kernel.settings import Settings, TopicSettings
from tracebraid.pipeline.kernel.told import read_partials
from tracebraid.pipeline.publish.topics import apply, own_topics
from tracebraid.pipeline.rulebook import RuleBook
from tracebraid.pipeline.rules.measures import Measure
from tracebraid.pipeline.source.kafka import KafkaSource
from tracebraid.pipeline.source.partitions import Owner
from tracebraid.pipeline.store.archive import Archive, Portion
from tracebraid.schemas.alert import ALERTS
from tracebraid.schemas.windows import KIND_HEADER, WINDOWS

log = structlog.get_logger()


class Rows(Protocol):
    """How one topic's messages become rows of one table. `bytes`: of what is held."""

    bytes: int

    def add(self, records: Records) -> int: ...  # how many messages could not be read
    def take(self, now_us: int) -> list[pa.RecordBatch]: ...  # all that is held, which is then forgotten
    def forget(self) -> None: ...


class WindowRows:
    """Partial windows, added up when they are taken. `measures`: by id; those of rules that are gone stay known while the process lives."""

    def __init__(self, measures: dict[int, Measure]) -> None:
        self.measures, self.bytes = measures, 0
        self._held: list[tuple[int, pa.RecordBatch]] = []

    def add(self, records: Records) -> int:
        refused = 0
        columns = (records.batch.column(name).to_pylist() for name in ("kafka_offset", "value", "headers"))
        for offset, value, pairs in zip(*columns, strict=True):
            headers = {each["key"]: each["value"] for each in pairs or ()}
            if headers.get(KIND_HEADER) != b"partials":
                continue
            try:
                batch = read_partials(value, headers)
            except ValueError as error:  # nobody but ingest writes here; one bad message ends nothing
                refused += 1
                log.error("a message cannot be read", partition=str(records.partition), offset=offset, why=str(error))
            else:
                self._held.append((records.partition.number, batch))
                self.bytes += batch.nbytes
        return refused

    def take(self, now_us: int) -> list[pa.RecordBatch]:
        rows = [window_rows(self._held, self.measures, now_us)] if self._held else []
        self.forget()
        return rows

    def forget(self) -> None:
        self._held, self.bytes = [], 0


class AlertRows:
    """Every message of the alerts topic, as it came."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.bytes = clock, 0
        self._held: list[pa.RecordBatch] = []

    def add(self, records: Records) -> int:
        rows, refused = alert_rows(records, self.clock.unix_micro())
        if refused:
            log.error("messages cannot be read", partition=str(records.partition), offsets=refused[:10])
        if rows.num_rows:
            self._held.append(rows)
            self.bytes += rows.nbytes
        return len(refused)

    def take(self, now_us: int) -> list[pa.RecordBatch]:
        rows = self._held
        self.forget()
        return rows

    def forget(self) -> None:
        self._held, self.bytes = [], 0


@dataclass(slots=True)
class Kept:
    """One table and its topic. next_offsets: of what is held. pending: a portion whose commit failed; it is given again, and what came since waits."""

    name: str
    archive: Archive
    rows: Rows
    backoff: Backoff
    flushed_s: float
    next_offsets: dict[Partition, int] = field(default_factory=dict)
    pending: Portion | None = None


class Archiving:
    """One process. `step()` in a loop; `finish()` before it ends."""

    def __init__(self, settings: Settings, rules: RuleBook, metrics: ArchiveMetrics, clock: Clock) -> None:
        self.settings, self.rules, self.metrics, self.clock = settings, rules, metrics, clock
        self.measures: dict[int, Measure] = {}
        self._learn()
        stream, storage = settings.stream, settings.storage_config()
        self.kept: dict[str, Kept] = {}
        made: tuple[tuple[str, Archive, Rows], ...] = (
            (stream.windows_topic, Archive.open(settings.lake, WINDOWS, storage, clock), WindowRows(self.measures)),
            (stream.alerts_topic, Archive.open(settings.lake, ALERTS, storage, clock), AlertRows(clock)),
        )
        for (topic, archive, rows), table in zip(made, (WINDOWS, ALERTS), strict=True):
            self.kept[topic] = Kept(table.name, archive, rows, Backoff(clock), clock.monotonic_s())
        self.doubt: OwnershipLost | None = None
        group = settings.archive.group or f"tracebraid-archive-{stream.alerts_topic}"
        owner = Owner(assigned=self.assigned, revoked=self.revoked, lost=self.lost)
        self.source = KafkaSource(settings.client_config(), [TopicSettings(name=topic) for topic in self.kept], group, owner, clock)

    def _learn(self) -> None:
        """What the ids of measures mean."""
        self.measures.update((measure.id, measure) for measure in self.rules.measures())

    # 1, 4. Who has which partition.

    def assigned(self, partitions: Sequence[Partition]) -> dict[Partition, int | str]:
        found: dict[Partition, int | str] = {}
        for topic, kept in self.kept.items():
            mine = [each for each in partitions if each.topic == topic]
            ledgers = kept.archive.read_ledgers(mine) if mine else {}
            found.update((each, "earliest" if offset is None else offset) for each, offset in ledgers.items())
        return found

    def revoked(self, partitions: Sequence[Partition]) -> None:
        for kept in self._of(partitions):
            try:
                self._commit(kept)
            except TracebraidError as error:
                log.warning("what was open is dropped: the next owner reads it again", table=kept.name, why=str(error))
        self.lost(partitions)

    def lost(self, partitions: Sequence[Partition]) -> None:
        """Rows of several partitions are added up together: what is open of the table goes as a whole, and those that stay are read again."""
        for kept in self._of(partitions):
            if not self._open(kept).isdisjoint(partitions):
                self._drop(kept)
                self.doubt = OwnershipLost(f"what was open of table {kept.name} was dropped with partitions that went")  # no seek from within a rebalance

    def _of(self, partitions: Sequence[Partition]) -> list[Kept]:
        return [kept for topic, kept in self.kept.items() if any(each.topic == topic for each in partitions)]

    @staticmethod
    def _open(kept: Kept) -> set[Partition]:
        return set(kept.next_offsets) | set(kept.pending.next_offsets if kept.pending else ())

    def _seek(self, kept: Kept, partitions: Sequence[Partition]) -> None:
        ledgers = kept.archive.read_ledgers(partitions) if partitions else {}
        for each, offset in ledgers.items():
            self.source.seek(each, self.source.resolve(each, "earliest") if offset is None else offset)

    # 2. Read.

    def take(self, records: Records) -> None:
        kept = self.kept[records.partition.topic]
        before = kept.rows.bytes
        self.metrics.refused.labels(kept.name).inc(kept.rows.add(records))
        if kept.rows.bytes > before or records.partition in kept.next_offsets:
            kept.next_offsets[records.partition] = records.next_offset

    # 3. Commit.

    def _due(self, kept: Kept) -> bool:
        if kept.pending:
            return kept.backoff.due()
        archive = self.settings.archive
        old = self.clock.monotonic_s() - kept.flushed_s >= archive.flush_age_s
        return bool(kept.next_offsets) and (old or kept.rows.bytes >= archive.flush_mib * limits.MIB)

    def _commit(self, kept: Kept) -> None:
        """All that is open of one table. Raises OwnershipLost; TracebraidError where waiting mends nothing, or where it may."""
        while kept.pending or kept.next_offsets:
            if kept.pending is None:
                kept.pending = Portion(kept.rows.take(self.clock.unix_micro()), kept.next_offsets)
                kept.next_offsets = {}
            with self.metrics.commit_seconds.labels(kept.name).time():
                rows = kept.archive.commit(kept.pending)
            kept.pending, kept.flushed_s = None, self.clock.monotonic_s()
            kept.backoff.worked()
            self.metrics.rows.labels(kept.name).inc(rows)

    def step(self) -> None:
        """Read once, and commit what is due."""
        try:
            self._no_doubt()
            if self.rules.poll():
                self.rules.changes()
                self._learn()
            for records in self.source.poll(limits.poll_wait_s):
                self.take(records)
            events, self.source.events = self.source.events, []
            for event in events:
                log.warning("messages are gone", event=str(event))
            due = [kept for kept in self.kept.values() if self._due(kept)]
            if due:
                self.source.verify()
            for kept in due:
                self._try(kept)
            self._breathe()
        except OwnershipLost as error:
            self._restart(error)

    def _try(self, kept: Kept) -> None:
        try:
            self._commit(kept)
        except OwnershipLost:
            raise
        except TracebraidError as error:
            pause_s = kept.backoff.failed(error)
            log.warning("the lake did not take it", table=kept.name, why=str(error), again_in_s=round(pause_s, 1))

    def _breathe(self) -> None:
        """While the lake takes nothing, no more is read than may be held."""
        full = any(kept.pending and kept.rows.bytes >= self.settings.archive.flush_mib * limits.MIB for kept in self.kept.values())
        if full and not self.source.paused:
            self.source.pause()
        elif not full and self.source.paused:
            self.source.resume()

    def _no_doubt(self) -> None:
        if self.doubt:
            doubt, self.doubt = self.doubt, None
            raise doubt

    def _restart(self, error: OwnershipLost) -> None:
        log.warning("starting again from the ledgers", why=str(error))
        for topic, kept in self.kept.items():
            self._drop(kept)
            self._seek(kept, [each for each in self.source.partitions() if each.topic == topic])

    @staticmethod
    def _drop(kept: Kept) -> None:
        kept.rows.forget()
        kept.next_offsets, kept.pending = {}, None

    def finish(self) -> None:
        """Commit what is open."""
        for kept in self.kept.values():
            self._commit(kept)

    def close(self) -> None:
        self.source.close()
        self.rules.close()


def run_archive(settings: Settings, *, stop: threading.Event, metrics: ArchiveMetrics, clock: Clock, watch: Callable[[Archiving], None]) -> None:
    """Until `stop` is set. `watch` is called each turn of the loop."""
    apply(settings.client_config(), own_topics(settings), settings.stream.replication_factor)
    rules = RuleBook(settings, clock, "archive")
    archiving = Archiving(settings, rules, metrics, clock)
    try:
        while not stop.is_set():
            archiving.step()
            watch(archiving)
        try:
            archiving.finish()
        except TracebraidError as error:
            if not error.transient:
                raise
            log.warning("what was open was dropped: the next start reads it again", why=str(error))
    finally:
        archiving.close()
