"""Step 1 of the flow: where an assigned partition is read from.

In: both ledgers of a partition, the ends of its log. Out: the offset to read next, with the start, or a loss, written down in `intervals`.
Never: a record. Called from within the source's callbacks: an exception that leaves them ends the process, so what may pass is waited for.
"""

from collections import Counter
from typing import TYPE_CHECKING

import structlog

from tracebraid.pipeline.decode.registry import DECODER_VERSION
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.errors import OwnershipLost, TracebraidError
from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.source.kafka import KafkaSource
from tracebraid.pipeline.store.ledger import Held, Interval

if TYPE_CHECKING:
    from tracebraid.pipeline.flow import Flow

log = structlog.get_logger()


def start(flow: "Flow", source: KafkaSource, partition: Partition, committed: int | None) -> int | None:
    """The offset to read next: the lower of the lake's ledger and `committed`, the group's. None where the topic was truncated: not read.

    A storage that fails for a moment, and other consumers that start beside us, are waited for, up to limits.start_wait_s.
    Raises TracebraidError where the storage still fails then.
    """
    deadline, pause_s = flow.clock.monotonic_s() + limits.start_wait_s, limits.lake_retry_s_min
    while True:
        try:
            return _start(flow, source, partition, committed)
        except OwnershipLost as error:
            log.info("another consumer starts beside us", partition=str(partition), why=str(error))
        except TracebraidError as error:
            if not error.transient or flow.clock.monotonic_s() >= deadline:
                raise
            log.warning("the storage does not answer; the partition waits for it", partition=str(partition), why=error.what, seconds=pause_s)
            flow.clock.sleep(pause_s)
            pause_s *= 2


def _start(flow: "Flow", source: KafkaSource, partition: Partition, committed: int | None) -> int | None:
    held = flow.lake.read_ledger(partition)
    if held.next_offset is None and committed is not None:
        log.warning("the lake has no ledger of a partition that its group has read; the lake starts anew", partition=str(partition))
    while held.next_offset is None:  # more than once only beside other consumers that start
        held = _pin(flow, source, partition)
    ledger = held.next_offset
    low, high = source.watermarks(partition)
    if max(ledger, committed or 0) > high:
        log.error("the topic ends below a ledger: it was truncated, and is not read", partition=str(partition), end=high, lake=ledger, stream=committed)
        return None
    if ledger < low:
        lose(flow, partition, low, "retention")
        held = flow.lake.read_ledger(partition)
        assert held.next_offset is not None
    offset = flow.begin(partition, held, committed if committed is None else max(committed, low))
    log.info("partition assigned", partition=str(partition), offset=offset, lake=held.next_offset, stream=committed)
    return offset


def _pin(flow: "Flow", source: KafkaSource, partition: Partition) -> Held:
    """Resolve the first start, and write it down before anything is read, for all partitions of the topic at once.

    So a partition that has no ledger while another of its topic has one was added later: nobody was ever offered its records, it
    is read from its beginning. Pinned one by one, a second consumer's share of a new topic would look like that.
    """
    wanted, partitions = flow.settings.ingest.start, source.siblings(partition)
    if flow.lake.knows_any(partitions):
        wanted, partitions = "earliest", [partition]
    for each in partitions:  # a pin that was torn left ledgers in some tables; unread, they would be another writer's for ever
        flow.lake.read_ledger(each)
    offsets = {each: source.resolve(each, wanted) for each in partitions}
    intervals = [Interval(each, "start", f"start: {wanted}", offset, offset - 1, decoder_version=DECODER_VERSION) for each, offset in offsets.items()]
    try:
        flow.account(intervals, None)
    except OwnershipLost:
        log.info("another consumer has pinned the start", topic=partition.topic)
    return flow.lake.read_ledger(partition)


def lose(flow: "Flow", partition: Partition, until: int, reason: str) -> None:
    """Declare the records from the lake's ledger up to and without `until` lost: nobody can read them. Raises OwnershipLost, TracebraidError."""
    held = flow.lake.read_ledger(partition)
    if held.next_offset is None or held.next_offset >= until:
        return
    log.error("records are lost before they were read", partition=str(partition), why=reason, first=held.next_offset, last=until - 1)
    kept = Counter(table for (offset, _), table in held.ahead.items() if offset < until)  # rows that a torn cycle left: the records are gone, they stay
    lost = Interval(
        partition,
        "lost",
        reason,
        held.next_offset,
        until - 1,
        rows_in=kept.total(),
        rows_spans=kept["spans"],
        rows_logs=kept["logs"],
        rows_rejected=kept["rejects"],
        decoder_version=DECODER_VERSION,
    )
    flow.account([lost], held.next_offset)
    flow.metrics.lost.labels(partition.topic, partition.number).inc(until - held.next_offset)
