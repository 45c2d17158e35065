"""The stages in order, and the commit protocol. The first file to read.

    source → decode → normalize ─┬─► store    Delta tables: spans, logs, rejects, intervals
                                 └─► publish  topic tracebraid.rejects

Two sinks, each with a ledger that moves atomically with what it accounts for. The lake's: every commit carries, for each partition,
the offset at which the next cycle begins; `intervals` commits last, and its ledger decides. The stream's: the group's offsets, moved
only inside the transaction that carries the rejects. Neither is ahead by rule.

1. Start. When a partition is assigned, read both ledgers and go on from the lower one. Without any ledger, resolve the configured
   start to an offset and write it to the lake's ledger before the first read. Skipped: a crash before the first commit would start
   elsewhere ('latest' has moved), and the records between are lost.
2. Read. A batch is cut at both ledgers, so that each piece is wholly new to a sink or wholly held by it. Skipped: rows twice.
3. decode, normalize: pure. rows in = kept + rejected + dropped, or nothing goes on.
4. Lake: logs, spans, rejects, then intervals, each with the next offsets inside its commit; when a cycle is large or old enough.
   Swapped (intervals first): a crash in between would leave rows that no table has, behind a ledger that says they are held.
5. Stream: one transaction with the rejects and the group's offsets. Split: rejects twice (offsets last) or never (offsets first).

A crash anywhere replays from the lower ledger and each sink drops what it holds; so the order of 4 and 5 loses nothing.
When a partition is revoked, its open cycle is committed before the call returns; when it is lost, the cycle is dropped.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from tracebraid.pipeline.decode.registry import DECODER_VERSION, decode
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import OwnershipLost, TracebraidError
from tracebraid.pipeline.kernel.metrics import Metrics
from tracebraid.pipeline.kernel.records import Decoded, Normalized, Partition, Records
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.pipeline.normalize.batch import normalize
from tracebraid.pipeline.publish.producer import Publisher
from tracebraid.pipeline.publish.rejects import OpenRejects
from tracebraid.pipeline.publish.topics import apply, own_topics
from tracebraid.pipeline.source.files import FileSource
from tracebraid.pipeline.source.kafka import KafkaSource
from tracebraid.pipeline.source.partitions import Expired, Owner
from tracebraid.pipeline.store.cycle import OpenCycle
from tracebraid.pipeline.store.lake import Lake
from tracebraid.pipeline.store.ledger import Cycle, Held, Interval

log = structlog.get_logger()


def transform(records: Records, now_us: int, tenant_header: str) -> tuple[Decoded, Normalized]:
    """Step 3, the pure stages in order."""
    decoded = decode(records)
    normalized = normalize(records, decoded, now_us=now_us, tenant_header=tenant_header)
    kept = normalized.spans.num_rows + normalized.logs.num_rows + normalized.rejects.num_rows
    if kept + decoded.dropped.total() != decoded.rows_in:
        raise TracebraidError(f"{records.partition}: {decoded.rows_in} rows in, {kept} out: a fault of tracebraid's", "Please report it")
    return decoded, normalized


@dataclass(slots=True)
class Totals:
    """What a run did."""

    records: int = 0
    spans: int = 0
    logs: int = 0
    rejects: int = 0
    dropped: int = 0
    cycles: int = 0
    bytes_written: int = 0
    rejects_by_reason: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Progress:
    """Where one partition stands: what each sink's ledger holds, and where the open interval begins."""

    held: Held
    lake_next: int
    stream_next: int


class Flow:
    """Steps 2 to 4: one process's open cycle and its hold on the lake. Not shared between threads."""

    def __init__(self, settings: Settings, lake: Lake, group: str, *, metrics: Metrics, clock: Clock, stream: bool) -> None:
        self.settings = settings
        self.lake = lake
        self.group = group
        self.metrics = metrics
        self.clock = clock
        self.totals = Totals()
        self.progress: dict[Partition, Progress] = {}
        self.cycle = OpenCycle()
        self.rejects = OpenRejects() if stream else None
        self.last_lake_s = clock.monotonic_s()

    def begin(self, partition: Partition, held: Held, committed: int | None) -> int:
        """Go on from the lower of two ledgers; where that is. `committed`: the stream's ledger; None: it begins where the lake does."""
        assert held.next_offset is not None
        stream_next = held.next_offset if committed is None else committed
        self.progress[partition] = Progress(held, held.next_offset, stream_next)
        return min(held.next_offset, stream_next)

    def account(self, intervals: Sequence[Interval], expected: Mapping[Partition, int | None]) -> None:
        """Write intervals without rows. `expected`: the ledger of each of their partitions."""
        self.lake.commit(Cycle(spans=[], logs=[], rejects=[], intervals=list(intervals), expected=dict(expected), group=self.group))

    def forget(self, partition: Partition) -> None:
        """Drop what is open of a partition: its next owner replays it."""
        self.cycle.forget(partition)
        if self.rejects is not None:
            self.rejects.forget(partition)
        self.progress.pop(partition, None)

    # 2. Read.

    def take(self, records: Records) -> None:
        """Send one batch through the stages to the sinks that do not hold it yet."""
        progress = self.progress.get(records.partition)
        if progress is None:
            return  # revoked since it was read: its next owner replays it
        for piece in records.cut(progress.lake_next, progress.stream_next):
            decoded, normalized = transform(piece, self.clock.unix_micro(), self.settings.ingest.tenant_header)
            first = piece.first_offset
            if first >= progress.lake_next:
                self.cycle.add(piece, decoded, normalized, progress.held, progress.lake_next)
                self._count(piece, decoded, normalized)
            if self.rejects is not None and first >= progress.stream_next:
                self.rejects.add(piece, normalized.rejects)

    def _count(self, records: Records, decoded: Decoded, normalized: Normalized) -> None:
        topic, totals, metrics = records.partition.topic, self.totals, self.metrics
        metrics.records_in.labels(topic, records.partition.number).inc(records.batch.num_rows)
        totals.records += records.batch.num_rows
        totals.spans += normalized.spans.num_rows
        totals.logs += normalized.logs.num_rows
        totals.rejects += normalized.rejects.num_rows
        totals.dropped += decoded.dropped.total()
        counts = (("spans", normalized.spans), ("logs", normalized.logs), ("rejected", normalized.rejects))
        for verdict, batch in counts:
            metrics.rows.labels(topic, verdict).inc(batch.num_rows)
        metrics.rows.labels(topic, "dropped").inc(decoded.dropped.total())
        for reason, count in decoded.dropped.items():
            metrics.dropped.labels(topic, reason).inc(count)
        for counted in normalized.rejects.column("reason").value_counts().to_pylist():
            metrics.rejected.labels(topic, counted["values"]).inc(counted["counts"])
            totals.rejects_by_reason[counted["values"]] = totals.rejects_by_reason.get(counted["values"], 0) + counted["counts"]
        for (what, service), count in normalized.counted.items():
            metrics.noticed.labels(what, service).inc(count)

    # 4. Lake.

    def flush_lake(self) -> None:
        """Commit the open cycle. On OwnershipLost nothing of it is visible that its owner does not hold: start again from the ledgers."""
        self.last_lake_s = self.clock.monotonic_s()
        if not self.cycle.records:
            return
        next_offsets = self.cycle.next_offsets()
        with self.metrics.commit_seconds.time():
            committed = self.lake.commit(self.cycle.close(self.group, DECODER_VERSION))
        for partition, next_offset in next_offsets.items():
            progress = self.progress[partition]
            progress.lake_next = next_offset
            if next_offset >= progress.held.ahead_until:
                progress.held = Held(next_offset)  # the torn cycle is whole; until then its positions stay known
        self.cycle = OpenCycle()
        self.totals.cycles += 1
        self.totals.bytes_written += sum(committed.bytes.values())
        for table, files in committed.files.items():
            self.metrics.files.labels(table).inc(files)
            self.metrics.bytes_written.labels(table).inc(committed.bytes[table])
        self.metrics.committed_at.set(self.clock.unix_nano() / 1e9)
        self.last_lake_s = self.clock.monotonic_s()

    def lake_due(self) -> bool:
        ingest = self.settings.ingest
        return (
            self.cycle.bytes >= ingest.flush_mib * limits.MIB
            or self.clock.monotonic_s() - self.last_lake_s >= ingest.flush_age_s
            or 0 < ingest.flush_records <= self.cycle.records
        )


class Ingest:
    """Steps 1 and 5, and the loop: a consumer of Kafka in front of a Flow."""

    def __init__(self, flow: Flow, publisher: Publisher | None) -> None:
        self.flow = flow
        self.publisher = publisher
        self.settings = flow.settings
        self.clock = flow.clock
        self.last_stream_s = flow.clock.monotonic_s()
        owner = Owner(assigned=self.assigned, revoked=self.revoked, lost=self.lost)
        written = [topic.name for topic in own_topics(self.settings)]
        self.source = KafkaSource(self.settings.client_config(), self.settings.topics, flow.group, owner, flow.clock, own_topics=written)

    # 1. Start.

    def assigned(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """Where each newly assigned partition is read from; one whose topic was truncated is left out, and so not read."""
        committed = self.source.committed(partitions) if self.publisher else {}
        starts = {partition: self._start(partition, committed.get(partition)) for partition in partitions}
        return {partition: start for partition, start in starts.items() if start is not None}

    def _start(self, partition: Partition, committed: int | None) -> int | None:
        held = self.flow.lake.read_ledger(partition)
        low, high = self.source.watermarks(partition)
        if held.next_offset is None:
            if committed is not None:
                log.warning("the lake has no ledger of a partition that its group has read; the lake starts anew", partition=str(partition))
            held = self._pin(partition)
        ledger = held.next_offset or 0
        if ledger > high:
            log.error("the topic ends below what the lake holds: it was truncated, and is not read", partition=str(partition), end=high, lake=ledger)
            return None
        if ledger < low:
            held = self._lost(partition, ledger, low)
        offset = self.flow.begin(partition, held, committed if committed is None else max(committed, low))
        log.info("partition assigned", partition=str(partition), offset=offset, lake=held.next_offset, stream=committed)
        return offset

    def _pin(self, partition: Partition) -> Held:
        """Resolve the first start, and write it down before anything is read, for all partitions of the topic at once.

        So a partition that has no ledger while another of its topic has one was added later: nobody was ever offered its records, it
        is read from its beginning. Pinned one by one, a second consumer's share of a new topic would look like that.
        """
        wanted, partitions = self.settings.ingest.start, self.source.siblings(partition)
        if self.flow.lake.knows_any(partitions):
            wanted, partitions = "earliest", [partition]
        offsets = {each: self.source.resolve(each, wanted) for each in partitions}
        intervals = [Interval(each, "start", f"start: {wanted}", offset, offset - 1, decoder_version=DECODER_VERSION) for each, offset in offsets.items()]
        try:
            self.flow.account(intervals, dict.fromkeys(partitions))
        except OwnershipLost:
            log.info("another consumer has pinned the start", topic=partition.topic)
        return self.flow.lake.read_ledger(partition)

    def _lost(self, partition: Partition, ledger: int, low: int) -> Held:
        log.error("retention took records before they were read", partition=str(partition), first_offset=ledger, last_offset=low - 1)
        self.flow.metrics.lost.labels(partition.topic, partition.number).inc(low - ledger)
        interval = Interval(partition, "lost", "retention", ledger, low - 1, decoder_version=DECODER_VERSION)
        self.flow.account([interval], {partition: ledger})
        return self.flow.lake.read_ledger(partition)

    def revoked(self, partitions: Sequence[Partition]) -> None:
        """Finish the open cycle before another consumer reads on."""
        try:
            self.finish()
        except OwnershipLost as error:
            log.warning("the open cycle was dropped: its partitions have a new owner already", why=str(error))
        self.lost(partitions)

    def lost(self, partitions: Sequence[Partition]) -> None:
        """Drop what is open: another consumer owns these partitions and replays it."""
        for partition in partitions:
            self.flow.forget(partition)

    # 5. Stream.

    def flush_stream(self) -> None:
        """One transaction: the rejects, and the group's offsets."""
        self.last_stream_s = self.clock.monotonic_s()
        flow, rejects = self.flow, self.flow.rejects
        if self.publisher is None or rejects is None or not rejects.next_offsets:
            return
        self.publisher.transaction(rejects.messages(self.settings.stream.rejects_topic), rejects.next_offsets, self.source.group_metadata())
        flow.metrics.stream_transactions.labels("committed").inc()
        for partition, next_offset in rejects.next_offsets.items():
            flow.progress[partition].stream_next = next_offset
        flow.rejects = OpenRejects()

    # The loop.

    def step(self) -> None:
        """Read once, and commit what is due."""
        try:
            for records in self.source.poll(limits.poll_wait_s):
                self.flow.take(records)
                if self.flow.lake_due():
                    self.flush_lake()
            self._notice_events()
            if self.flow.lake_due():
                self.flush_lake()
            if self.clock.monotonic_s() - self.last_stream_s >= self.settings.stream.flush_ms / 1000:
                self.flush_stream()
        except OwnershipLost as error:
            self._restart(error)
        self.flow.metrics.buffered.set(self.flow.cycle.bytes)

    def flush_lake(self) -> None:
        """Step 4, after a look whether every topic is still the one that was read: one made again has the same name and offsets."""
        self.source.verify()
        self.flow.flush_lake()

    def _notice_events(self) -> None:
        events, self.source.events = self.source.events, []
        for event in events:
            if isinstance(event, Expired) and (progress := self.flow.progress.get(event.partition)):
                self.flush_lake()  # the interval before the gap, so that the next one may begin behind it
                held = self._lost(event.partition, progress.lake_next, event.low)
                self.flow.begin(event.partition, held, max(progress.stream_next, event.low))

    def _restart(self, error: OwnershipLost) -> None:
        """Another writer moved a ledger: what is open here is theirs or a replay. Begin again where the ledgers say."""
        log.warning("starting again from the ledgers", why=str(error))
        partitions = list(self.flow.progress)
        self.lost(partitions)
        for partition, offset in self.assigned(partitions).items():
            self.source.seek(partition, offset)

    def finish(self) -> None:
        """Commit what is open, to both sinks."""
        self.flow.flush_lake()
        self.flush_stream()

    def close(self) -> None:
        self.source.close()
        if self.publisher:
            self.publisher.close()


def run_ingest(
    settings: Settings,
    *,
    drain: bool = False,
    stop: threading.Event | None = None,
    metrics: Metrics | None = None,
    clock: Clock | None = None,
    watch: Callable[[Ingest], None] | None = None,
) -> Totals:
    """Read the topics of `settings` into the lake until `stop` is set, or, with `drain`, until every partition has reached the end it had at the start.

    `watch` is called about ten times a second: for progress bars and health checks.
    """
    clock, metrics, stop = clock or Clock(), metrics or Metrics(), stop or threading.Event()
    lake = Lake.open(settings.lake, settings.storage_config(), clock, create=True)
    group = settings.ingest.group or f"tracebraid-{lake.lake_id}"
    lake.claim(group)
    publisher = None
    if settings.stream.enabled:
        apply(settings.client_config(), own_topics(settings), settings.stream.replication_factor)  # now, not when the first reject needs its topic
        publisher = Publisher.transactional(settings.client_config(), group, clock)
    ingest = Ingest(Flow(settings, lake, group, metrics=metrics, clock=clock, stream=publisher is not None), publisher)
    try:
        while not stop.is_set() and not (drain and ingest.source.drained()):
            ingest.step()
            if watch:
                watch(ingest)
        ingest.finish()
    finally:
        ingest.close()
    return ingest.flow.totals


def load_into_lake(settings: Settings, paths: Sequence[Path], encoding: str, progress: Callable[[int, int], None]) -> dict[str, int]:
    """Read files into the lake without a broker. A file's ledger is keyed by its content: loading it twice adds nothing.

    `progress(done, size)`: bytes of the present file. Returns rows by verdict, and the records that the lake held already.
    """
    clock = Clock()
    lake = Lake.open(settings.lake, settings.storage_config(), clock, create=True)
    flow = Flow(settings, lake, "files", metrics=Metrics(), clock=clock, stream=False)
    already_held = 0
    for path in paths:
        source = FileSource(path, encoding, settings.tenant)
        held = lake.read_ledger(source.partition)
        if held.next_offset is None:
            flow.account([Interval(source.partition, "start", "start: file", 0, -1, decoder_version=DECODER_VERSION)], {source.partition: None})
            held = lake.read_ledger(source.partition)
        next_offset = flow.begin(source.partition, held, None)
        for records in source:
            already_held += max(0, min(next_offset, records.next_offset) - records.first_offset)
            flow.take(records)
            progress(source.bytes_read, source.bytes_total)
            if flow.lake_due():
                flow.flush_lake()
        flow.flush_lake()
    totals = flow.totals
    found = {name: getattr(totals, name) for name in ("records", "spans", "logs", "rejects", "dropped")}
    return {**found, "already_held": already_held}
