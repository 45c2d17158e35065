"""Step 1 of the flow: where assigned partitions are read from.

In: both ledgers of each partition, the ends of its log. Out: the offset to read next, with the start, or a loss, written down in `intervals`.
Never: a record; a wait: it is called from within the source's callbacks, and whoever calls it tries again later.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import structlog

from tracebraid.pipeline.decode.registry import DECODER_VERSION
from tracebraid.pipeline.kernel.backoff import Backoff
from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.publish.producer import Publisher
from tracebraid.pipeline.source.cluster import Absent
from tracebraid.pipeline.source.kafka import KafkaSource
from tracebraid.pipeline.store.ledger import Cycle, Held, Interval

if TYPE_CHECKING:
    from tracebraid.pipeline.flow import Flow

log = structlog.get_logger()


def account(flow: "Flow", intervals: Sequence[Interval], ledgers: Mapping[Partition, int | None]) -> None:
    """Write intervals without rows. `ledgers`: of their partitions."""
    flow.lake.commit(Cycle([], [], [], list(intervals), dict(ledgers), flow.group))


class Starter:
    """Starts partitions. `waiting`: ours, held and not read, since their ledgers could not be read or written yet. `why`: what hindered it, else ''."""

    def __init__(self, flow: "Flow", source: KafkaSource, publisher: Publisher | None) -> None:
        self.flow, self.source, self.publisher = flow, source, publisher
        self.waiting: dict[Partition, None] = {}
        self._backoff = Backoff(flow.clock)

    @property
    def why(self) -> str:
        return self._backoff.why if self.waiting else ""

    def assigned(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """Where each newly assigned partition is read from; one that is left out is held and not read: its topic was truncated, or it waits."""
        self.waiting.update(dict.fromkeys(partitions))
        return self._begin(partitions)

    def restart(self, partitions: Sequence[Partition]) -> None:
        """Read nothing of `partitions` until they are started again."""
        self.waiting.update(dict.fromkeys(partitions))
        for partition in self.waiting:
            self.source.stop(partition)
        self.again()

    def again(self) -> None:
        """Start what waits, unless that failed a moment ago."""
        if self.waiting and self._backoff.due():
            for partition, offset in self._begin(list(self.waiting)).items():
                self.source.seek(partition, offset)

    def forget(self, partitions: Sequence[Partition]) -> None:
        """They are somebody else's."""
        for partition in partitions:
            self.waiting.pop(partition, None)

    def _begin(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """No failure that may pass leaves here: out of a callback it would end the process, or leave partitions ours and unread without a word."""
        try:
            committed = self.source.committed(partitions) if self.publisher else {}
            found = start(self.flow, self.source, partitions, committed)
            self._pin_stream([partition for partition, offset in found.items() if offset is not None and partition not in committed])
        except TracebraidError as error:
            pause_s = self._backoff.failed(error)
            log.warning("partitions wait to be started", partitions=len(partitions), why=error.what, attempt=self._backoff.failures, seconds=pause_s)
            return {}
        self.forget(list(found))
        if lacking := len(partitions) - len(found):
            self._backoff.failed(TracebraidError(f"{lacking} partitions are not there", transient=True))
        else:
            self._backoff.worked()
        return {partition: offset for partition, offset in found.items() if offset is not None}

    def _pin_stream(self, partitions: Sequence[Partition]) -> None:
        """Write the start to the stream's ledger too where it has none, before anything is read. Raises OwnershipLost.

        Skipped: a crash after the lake's first commit and before the stream's leaves the lake's ledger alone, the stream begins there, and
        the rejects between are never published.
        """
        if self.publisher and partitions:
            self.publisher.transaction([], {each: self.flow.progress[each].stream_next for each in partitions}, self.source.group_metadata())


def start(flow: "Flow", source: KafkaSource, partitions: Sequence[Partition], committed: Mapping[Partition, int]) -> dict[Partition, int | None]:
    """The offset to read next of each partition: the lower of the lake's ledger and `committed`, the group's; None where the topic was truncated.

    A truncated one is not read; one that is left out is not there now: ask again later. The tables are looked at once for all, and the flow
    begins with all of them or, where this raises, with none. Raises OwnershipLost (others start beside us), TracebraidError.
    """
    held = _ledgers(flow, source, partitions, committed)
    ends = _ends(source, [partition for partition in partitions if held[partition].next_offset is not None])  # later than the ledgers, which may move
    found: dict[Partition, int | None] = {}
    gone: dict[Partition, int] = {}
    for partition, (low, high) in ends.items():
        ledger = held[partition].next_offset
        assert ledger is not None
        if max(ledger, committed.get(partition, 0)) > high:
            told = {"partition": str(partition), "end": high, "lake": ledger, "stream": committed.get(partition)}
            log.error("the topic ends below a ledger: it was truncated, and is not read", **told)
            found[partition] = None
        elif ledger < low:
            gone[partition] = low
    if gone:
        lose(flow, gone, "retention")
        held |= flow.lake.read_ledgers(list(gone))
    for partition in [each for each in ends if each not in found]:
        stream = committed.get(partition)
        if stream is not None and stream < ends[partition][0]:
            log.warning("retention took records whose rejects were not published; the lake's ledger says what became of them", partition=str(partition))
            stream = ends[partition][0]
        found[partition] = flow.begin(partition, held[partition], stream)
        log.info("partition assigned", partition=str(partition), offset=found[partition], lake=held[partition].next_offset, stream=committed.get(partition))
    return found


def _ends(source: KafkaSource, partitions: Sequence[Partition]) -> dict[Partition, tuple[int, int]]:
    ends = {}
    for partition in partitions:
        try:
            ends[partition] = source.watermarks(partition)
        except Absent as error:
            _absent(partition, error)
    return ends


def _absent(partition: Partition, error: Absent) -> None:
    log.warning("partition is not there", partition=str(partition), error=str(error))


def _ledgers(flow: "Flow", source: KafkaSource, partitions: Sequence[Partition], committed: Mapping[Partition, int]) -> dict[Partition, Held]:
    """The lake's ledgers, pinned first where there are none; a partition that is not there stays without."""
    held = flow.lake.read_ledgers(partitions)
    new = [partition for partition in partitions if held[partition].next_offset is None]
    if not new:
        return held
    if lacking := [str(partition) for partition in new if partition in committed]:
        log.warning("the lake has no ledger of partitions that its group has read; the lake starts anew", partitions=lacking)
    _pin(flow, source, new)
    return held | flow.lake.read_ledgers(new)


def _pin(flow: "Flow", source: KafkaSource, new: Sequence[Partition]) -> None:
    """Resolve the first start, and write it down before anything is read, for all partitions of each topic at once.

    So a partition that has no ledger while another of its topic has one was added later: nobody was ever offered its records, it
    is read from its beginning. Pinned one by one, a second consumer's share of a new topic would look like that.
    """
    topics: dict[tuple[str, str], list[Partition]] = defaultdict(list)
    for partition in new:
        topics[partition.topic, partition.topic_id].append(partition)
    siblings = {key: source.siblings(those[0]) for key, those in topics.items()}
    started = flow.lake.started(partition for those in siblings.values() for partition in those)
    starts = {}
    for key, those in topics.items():
        added = not started.isdisjoint(siblings[key])
        starts.update(dict.fromkeys(those if added else siblings[key], "earliest" if added else flow.settings.ingest.start))
    flow.lake.read_ledgers(list(starts))  # a pin that was torn left ledgers in some tables; unread, they would be another writer's for ever
    offsets = {}
    for each, wanted in starts.items():
        try:
            offsets[each] = source.resolve(each, wanted)
        except Absent as error:
            _absent(each, error)
    reasons = {each: f"start: {wanted}" for each, wanted in starts.items()}
    intervals = [Interval(each, "start", reasons[each], offset, offset - 1, decoder_version=DECODER_VERSION) for each, offset in offsets.items()]
    if intervals:
        account(flow, intervals, dict.fromkeys(offsets))


def lose(flow: "Flow", until: Mapping[Partition, int], reason: str) -> None:
    """Declare the records from the lake's ledger up to and without `until` lost: nobody can read them. Raises OwnershipLost, TracebraidError."""
    lost: dict[Partition, Interval] = {}
    for partition, held in flow.lake.read_ledgers(list(until)).items():
        end = until[partition]
        if held.next_offset is None or held.next_offset >= end:
            continue
        log.error("records are lost before they were read", partition=str(partition), why=reason, first=held.next_offset, last=end - 1)
        kept = Counter(table for (offset, _), table in held.ahead.items() if offset < end)  # rows that a torn cycle left: the records are gone, they stay
        lost[partition] = Interval(
            partition,
            "lost",
            reason,
            held.next_offset,
            end - 1,
            rows_in=kept.total(),
            rows_spans=kept["spans"],
            rows_logs=kept["logs"],
            rows_rejected=kept["rejects"],
            decoder_version=DECODER_VERSION,
        )
    if lost:
        account(flow, list(lost.values()), {each: interval.first_offset for each, interval in lost.items()})
    for partition, interval in lost.items():
        flow.metrics.lost.labels(partition.topic, partition.number).inc(interval.last_offset + 1 - interval.first_offset)
