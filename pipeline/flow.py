"""The stages in order, and the commit protocol. The first file to read.

    source → decode → normalize → redact ─┬─► store    Delta tables: spans, logs, rejects, intervals
                                          └─► measure ─► publish  topics tracebraid.rejects, tracebraid.windows

Two sinks, each with a ledger that moves atomically with what it accounts for. The lake's: every commit carries, for each partition,
the offset at which the next cycle begins; `intervals` commits last, and its ledger decides. The stream's: the group's offsets, moved
only inside the transaction that carries rejects, partial windows and watermarks. Neither is ahead by rule.

1. Start. When a partition is assigned, read both ledgers and go on from the lower one. Without any ledger, resolve the configured
   start to an offset and write it to both ledgers, the lake's first, before the first read. Skipped: a crash before the first commit
   would start elsewhere ('latest' has moved), and the records between are lost.
2. Read, what little comes until 5 is due. A batch is cut at both ledgers, so that each piece is wholly new to a sink or wholly held by it. Skipped: rows twice.
3. decode, normalize, redact (transform.py): pure. rows in = kept + rejected + dropped; a record over which ours fails, up to the open cycle's taking it, is a
   reject, alone. No sink sees a row that is not redacted.
4. Lake: logs, spans, rejects, then intervals, each with the next offsets inside its commit; when a cycle is large or old enough. It is encoded aside first,
   while reading and 5 go on, on another core: alerts do not wait for Parquet. No ledger is looked at there, nothing is written. Swapped (intervals first): a
   crash in between would leave rows that no table has, behind a ledger that says they are held.
5. Stream: one transaction with rejects, partial windows, rows if wanted, watermarks (how far each partition has come, for detect) and the group's offsets.
   Split: rejects twice (offsets last) or never (offsets first).

A crash anywhere replays from the lower ledger and each sink drops what it holds; so the order of 4 and 5 loses nothing.
When a partition is revoked, its open cycle is committed before the call returns; when it is lost, the cycle is dropped. After any doubt (an owner that came
between, a transaction without an answer) nothing more is committed: go to 1. While the storage fails in a way that may pass, the closed cycle is kept and given
to the lake again, and partitions are paused: nothing is read, but the group stays alive. While transactions fail again and again, the lake goes on alone; the
stream is tried ever more seldom, from its own ledger on.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog

from tracebraid.pipeline.decode.registry import DECODER_VERSION, pieces
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.backoff import Backoff
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import OwnershipLost, TracebraidError
from tracebraid.pipeline.kernel.metrics import Metrics
from tracebraid.pipeline.kernel.records import Partition, Records
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.pipeline.publish.producer import Publisher
from tracebraid.pipeline.publish.topics import apply, own_names, own_topics
from tracebraid.pipeline.source.kafka import KafkaSource
from tracebraid.pipeline.source.partitions import Damaged, Expired, Owner, Truncated
from tracebraid.pipeline.source.schemas import Schemas
from tracebraid.pipeline.start import Starter, lose
from tracebraid.pipeline.store.ahead import encode_ahead
from tracebraid.pipeline.store.cycle import OpenCycle, Progress
from tracebraid.pipeline.store.lake import Lake
from tracebraid.pipeline.store.ledger import Cycle, Held
from tracebraid.pipeline.store.totals import Totals
from tracebraid.pipeline.stream import OpenStream, Rules
from tracebraid.pipeline.transform import Transform, Transformed

log = structlog.get_logger()


class Flow:
    """Steps 2 to 4: one process's open cycle and its hold on the lake. Not shared between threads."""

    def __init__(self, settings: Settings, lake: Lake, group: str, *, metrics: Metrics, clock: Clock, stream: bool) -> None:
        self.settings, self.lake, self.group, self.metrics, self.clock = settings, lake, group, metrics, clock
        self.totals, self.schemas, self.progress = Totals(), Schemas(settings.schema_registry, clock), dict[Partition, Progress]()
        self.cycle, self.closed_bytes = OpenCycle(), 0
        self.closed: Cycle | None = None  # what the lake is to take next, given again until it does
        self.stream = OpenStream(settings.stream, group, settings.normalized) if stream else None
        self.streaming = True  # false while transactions fail again and again: the lake goes on alone, and the stream is read later
        self.last_lake_s, self._aside, self.transform = clock.monotonic_s(), ThreadPoolExecutor(1, "encode"), Transform(settings)

    @property
    def records_read(self) -> int:
        """Records that were committed, or are held for a commit."""
        return self.totals.records + self.cycle.records + (sum(each.records_in for each in self.closed.intervals) if self.closed else 0)

    def begin(self, partition: Partition, held: Held, committed: int | None) -> int:
        """Go on from the lower of two ledgers; where that is. `committed`: the stream's ledger; None: it begins where the lake does."""
        assert held.next_offset is not None
        stream_next = held.next_offset if committed is None else committed
        self.progress[partition] = Progress(held, held.next_offset, stream_next)
        if self.stream is not None:
            self.stream.begin(partition, stream_next)
        return min(held.next_offset, stream_next) if self.streaming else held.next_offset

    def drop(self) -> None:
        """Drop all that is open, and forget the ledgers."""
        for partition in list(self.progress):
            self.forget(partition)
        if self.closed:
            self.closed.abandon()
        self.closed, self.closed_bytes = None, 0

    def forget(self, partition: Partition) -> None:
        """Drop what is open of a partition: its next owner replays it."""
        self.cycle.forget(partition)
        if self.stream is not None:
            self.stream.forget(partition)
        self.progress.pop(partition, None)

    # 2. Read.

    def take(self, records: Records) -> Iterator[None]:
        """Send one batch through the stages to the sinks that do not hold it yet; piece by piece, for the sinks may be full in between."""
        progress = self.progress.get(records.partition)
        if progress is None:
            return  # revoked since it was read: its next owner replays it

        def hold(made: Transformed) -> None:
            if made.records.first_offset >= progress.lake_next:
                self.cycle.add(made.records, made.dropped, made.rows, progress.held, progress.lake_next)

        for piece in records.cut(progress.lake_next, progress.stream_next):
            for made in self.transform.pieces(self.schemas.given(piece), self.clock.unix_micro(), hold):
                if made.records.first_offset >= progress.lake_next:
                    self.metrics.count_read(made.records, made.dropped, made.rows, made.fault)
                if self.stream is not None and self.streaming and made.records.first_offset >= progress.stream_next:
                    self.stream.add(made.records, made.rows)
                yield
                if self.progress.get(records.partition) is not progress:
                    return  # its topic was found made again while a sink was emptied: the rest is not ours any more

    # 4. Lake.

    def encode_ahead(self) -> None:
        """Close a cycle that is large enough or has come of age, and begin to encode it."""
        if self.closed is None and self.cycle.records and (self.cycle.is_full(self.settings.ingest) or self._of_age()):
            encode_ahead(self._close_cycle(), self._aside)

    def flush_lake(self) -> None:
        """Close the open cycle if none is, and commit it. On a transient TracebraidError it is kept, and the next call gives the lake the same one again.
        On OwnershipLost nothing of it is visible that its owner does not hold: start again from the ledgers."""
        self.last_lake_s = self.clock.monotonic_s()
        if self.closed is None and not self.cycle.records:
            return
        cycle = self.closed or self._close_cycle()
        with self.metrics.commit_seconds.time():
            committed = self.lake.commit(cycle)
        self.totals.count(cycle, committed, self.metrics)
        self.metrics.committed_at.set(self.clock.unix_nano() / 1e9)
        self.closed, self.closed_bytes, self.last_lake_s = None, 0, self.clock.monotonic_s()

    def _close_cycle(self) -> Cycle:
        for partition, next_offset in self.cycle.next_offsets().items():
            progress = self.progress[partition]
            progress.lake_next = next_offset
            if next_offset >= progress.held.ahead_until:
                progress.held = Held(next_offset)  # the torn cycle is whole; until then its positions stay known
        self.closed, self.closed_bytes, self.cycle = self.cycle.close(self.group, DECODER_VERSION), self.cycle.bytes, OpenCycle()
        return self.closed

    def lake_due(self) -> bool:
        """Whether what is closed is encoded, or must be waited for: the next one is full, too. With nothing open, that it is time to say so."""
        return self.closed.is_encoded() or self.cycle.is_full(self.settings.ingest) if self.closed else self._of_age()

    def _of_age(self) -> bool:
        return self.clock.monotonic_s() - self.last_lake_s >= self.settings.ingest.flush_age_s


class Ingest:
    """Steps 1 and 5, and the loop: a consumer of Kafka in front of a Flow."""

    def __init__(self, flow: Flow, publisher: Publisher | None) -> None:
        self.flow, self.publisher, self.settings, self.clock = flow, publisher, flow.settings, flow.clock
        self.last_stream_s = flow.clock.monotonic_s()
        self._windows_partitions = publisher.partitions(self.settings.stream.windows_topic) if publisher else 0
        self.doubt: TracebraidError | None = None  # why nothing may be committed before the ledgers are read again
        self._lake, self._stream = Backoff(flow.clock), Backoff(flow.clock)
        owner, client = Owner(assigned=self.assigned, revoked=self.revoked, lost=self.lost), self.settings.client_config()
        self.source = KafkaSource(client, self.settings.topics, flow.group, owner, flow.clock, own_topics=own_names(self.settings))
        self.starter = Starter(flow, self.source, publisher)

    # 1. Start.

    def assigned(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """Where each newly assigned partition is read from; one that is left out is held, and not read."""
        return self.starter.assigned(partitions)

    def revoked(self, partitions: Sequence[Partition]) -> None:
        """Finish the open cycle before another consumer reads on; what cannot be finished is dropped, and replayed by its owners."""
        try:
            self.finish()
        except TracebraidError as error:
            if not error.transient:
                raise
            self.doubt = error  # partitions that stay were in the same cycle and the same transaction
        self.lost(partitions)

    def lost(self, partitions: Sequence[Partition]) -> None:
        """Drop what is open: another consumer owns these partitions and replays it."""
        for partition in partitions:
            self.flow.forget(partition)
        self.starter.forget(partitions)
        if self.flow.closed and not self.flow.closed.expected.keys().isdisjoint(partitions):
            self.doubt = self.doubt or OwnershipLost("partitions of the closed cycle went to another owner")

    # 5. Stream.

    def flush_stream(self) -> None:
        """One transaction: rejects, partial windows, how far each partition has come, and the group's offsets."""
        self.last_stream_s, flow, stream = self.clock.monotonic_s(), self.flow, self.flow.stream
        if self.publisher is None or stream is None or not flow.streaming:
            return
        stream.refresh()
        messages = stream.messages(self._windows_partitions, self.source.at_end)
        if not (messages or stream.next_offsets):
            return
        # All partitions' offsets, also those that stand still: so a member that has left the group is refused whatever it says.
        offsets = {partition: progress.stream_next for partition, progress in flow.progress.items()} | stream.next_offsets
        try:
            self.publisher.transaction(messages, offsets, self.source.group_metadata(), stream.rows.messages())
        except OwnershipLost as error:
            flow.metrics.stream_transactions.labels("aborted").inc()
            pause_s = self._stream.failed(error)
            log.warning("the stream's transaction failed", why=error.what, attempt=self._stream.failures, seconds=pause_s)
            raise
        self._stream.worked()
        flow.metrics.stream_transactions.labels("committed").inc()
        for partition, next_offset in stream.next_offsets.items():
            flow.progress[partition].stream_next = next_offset
        stream.settle()

    def _stream_again(self) -> None:
        """After a pause, once the lake has what it read meanwhile: read again from the stream's ledger on, and publish."""
        if not self.flow.streaming and self._stream.due():
            self.flush_lake()
            if self.flow.closed is None and not self.flow.cycle.records:
                raise OwnershipLost("the stream is tried again")

    # The loop.

    def step(self, *, drain: bool = False) -> None:
        """Read once, and commit what is due. `drain`: once all is read, everything is."""
        try:
            flush_at_s = self.last_stream_s + self.settings.stream.flush_ms / 1000
            found = self.source.poll(gather_s=0.0 if drain else flush_at_s - self.clock.monotonic_s())
            self._no_doubt()
            self.starter.again()
            for records in self.flow.transform.together(self._before_gaps(found), self.flow.progress):
                for _ in (taken for piece in pieces(records, kernels=self.settings.ingest.kernels) for taken in self.flow.take(piece)):
                    self.flow.encode_ahead()
                    if self.flow.lake_due():
                        self.flush_lake()
            self._notice_events()
            self._stream_again()
            drained = drain and self.source.drained()
            self.flow.encode_ahead()
            if drained or self.flow.lake_due():
                self.flush_lake()
            if (drained or self.clock.monotonic_s() >= flush_at_s) and self._topics_stand():
                self.flush_stream()
        except OwnershipLost as error:
            self._restart(error)
        self.flow.metrics.buffered.set(self.flow.cycle.bytes + self.flow.closed_bytes)

    def flush_lake(self) -> None:
        """Step 4, unless the lake could not take the cycle a moment ago."""
        if not self._lake.due() or not self._topics_stand():
            return
        try:
            self.flow.flush_lake()
            self._lake.worked()
            self._read_on()
        except TracebraidError as error:
            if isinstance(error, OwnershipLost):
                raise
            self._hold_back(error)

    def _topics_stand(self) -> bool:
        """Is every topic still the one that was read? One made again has the same name and offsets. False, too, while no broker can say."""
        try:
            self.source.verify()
        except TracebraidError as error:
            if isinstance(error, OwnershipLost) or not error.transient:
                raise
            log.warning("nothing is committed while Kafka does not answer", why=error.what)
            return False
        self._no_doubt()
        return True

    @property
    def blocked(self) -> str:
        """Why the lake does not take a cycle just now, or a partition is not read, or the stream publishes nothing; '' where all go on."""
        return self._lake.why or self.starter.why or self._stream.why

    def _no_doubt(self) -> None:
        if self.doubt:
            raise OwnershipLost(str(self.doubt))

    def _hold_back(self, error: TracebraidError) -> None:
        """Keep the closed cycle, read nothing, and try again later."""
        pause_s = self._lake.failed(error)
        self.flow.metrics.storage_retries.inc()
        log.warning("the lake does not take a cycle; reading pauses until it does", why=error.what, attempt=self._lake.failures, seconds=pause_s)
        if not self.source.paused:
            self.source.pause()

    def _read_on(self) -> None:
        if self.source.paused:
            self.source.resume()
            log.info("reading goes on")

    def _before_gaps(self, found: Sequence[Records]) -> list[Records]:
        """Without what lies behind a gap that was met in the same poll: an interval over it would call lost records stored. It is read again."""
        gaps = {event.partition: event.low for event in self.source.events if isinstance(event, Expired)}
        return [records for records in found if records.partition not in gaps or records.first_offset < gaps[records.partition]]

    def _notice_events(self) -> None:
        events, self.source.events = self.source.events, []
        for event in events:
            if isinstance(event, Truncated) or event.partition not in self.flow.progress:
                continue
            for _ in range(1 + bool(self.flow.closed)):  # the interval before the gap, so that the next one may begin behind it
                self.flush_lake()
            progress = self.flow.progress.get(event.partition)  # none, if its topic turned out to be another now
            if isinstance(event, Damaged) and progress and progress.lake_next >= event.wanted and not (self.flow.closed or self.flow.cycle.records):
                try:
                    lose(self.flow, {event.partition: event.readable}, f"damaged: {event.reason}"[: limits.reject_message_chars_max])
                except TracebraidError as error:
                    self._lake.failed(error)  # what may pass is met again
                    raise OwnershipLost(error.what) from error
                if self.flow.stream and event.wanted <= self.flow.stream.next_offsets.get(event.partition, progress.stream_next) < event.readable:
                    self.flow.stream.next_offsets[event.partition] = event.readable
                    self.flush_stream()
            raise OwnershipLost(f"records of {event.partition} cannot be read any more")

    def _restart(self, error: OwnershipLost) -> None:
        """Another writer moved a ledger, or nobody can say: what is open here is theirs or a replay. Begin again where the ledgers say."""
        log.warning("starting again from the ledgers", why=str(error))
        self.flow.metrics.restarts.inc()
        partitions, self.doubt, self.source.events = list(self.flow.progress), None, []  # what was told of gaps is met again, from where we begin
        self.flow.drop()
        self._read_on()
        # One abort is soon made good. From the second on the lake goes on alone for a while: else it would be thrown back each time.
        self.flow.streaming = self._stream.failures < 2 or self._stream.due()
        self.flow.metrics.stream_waits.set(not self.flow.streaming)
        self.starter.restart(partitions)

    def finish(self) -> None:
        """Commit what is open, to both sinks. Raises OwnershipLost and, where the storage fails, TracebraidError."""
        if not (self.flow.progress or self.flow.closed):
            return
        self.lost(self.source.stale())  # not verify(), which takes such partitions anew: they may be going
        self._no_doubt()
        while self.flow.closed or self.flow.cycle.records:
            self.flow.flush_lake()
        self.flush_stream()

    def done(self) -> bool:
        """Whether all that is to be drained is in both sinks."""
        unpublished = self.flow.stream and self.flow.stream.next_offsets
        return self.source.drained() and self.flow.streaming and not (self.starter.waiting or self.flow.closed or self.flow.cycle.records or unpublished)

    def close(self) -> None:
        """Leave the group, and commit nothing: what is open now, an error has left there, perhaps in pieces."""
        self.flow.drop()
        for each in (self.source, self.publisher, self.flow.stream):
            if each:
                each.close()


def run_ingest(
    settings: Settings,
    *,
    drain: bool = False,
    stop: threading.Event | None = None,
    metrics: Metrics | None = None,
    clock: Clock | None = None,
    watch: Callable[[Ingest], None] | None = None,
    rules: Rules | None = None,
) -> Totals:
    """Read the topics of `settings` into the lake until `stop` is set, or, with `drain`, until every partition has reached the end it had at the start.

    `watch` is called about ten times a second: for progress bars and health checks. `rules`: makes the book whose measures are published.
    """
    metrics, stop = metrics or Metrics(), stop or threading.Event()
    clock = (clock or Clock()).ending(stop.is_set, limits.stop_wait_s)
    lake = Lake.open(settings.lake, settings.storage_config(), clock, create=True)
    group = settings.ingest.group or f"tracebraid-{lake.lake_id}"
    lake.claim(group)
    publisher = None
    if settings.stream.enabled:
        apply(settings.client_config(), own_topics(settings), settings.stream.replication_factor)  # now, not when the first reject needs its topic
        publisher = Publisher.transactional(settings.client_config(), group, clock)
    flow = Flow(settings, lake, group, metrics=metrics, clock=clock, stream=publisher is not None)
    if flow.stream and rules:
        flow.stream.follow(rules())
    ingest = Ingest(flow, publisher)
    try:
        while not stop.is_set() and not (drain and ingest.done()):
            ingest.step(drain=drain)
            if watch:
                watch(ingest)
        try:
            ingest.finish()
        except OwnershipLost as error:
            log.warning("the open cycle was dropped: its owner replays it", why=str(error))
    finally:
        ingest.close()
    return ingest.flow.totals
