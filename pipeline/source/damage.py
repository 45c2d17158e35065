"""Where a partition can be read again behind records that the broker holds but nobody can read: a failed checksum, a failed decompression.

In: client settings, a partition, the first damaged offset. Out: the first offset behind it that reads. Never: a record handed on.

A damaged batch does not say truly where it ends, and librdkafka 2.16 goes astray behind one (it asks for offsets beyond the log). So offsets are
probed with consumers of their own: in steps that double until one reads, then by halving back to the edge.
"""

from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.broker import ErrorLog, client_logger
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.closing import close
from tracebraid.pipeline.kernel.records import Partition

DAMAGE = frozenset({"_BAD_MSG", "_BAD_COMPRESSION", "INVALID_MSG"})
PROBE_S = 10.0  # what has given nothing for so long has no answer
CLOSE_S = 1.0  # a probe's consumer belongs to no group; one that locks itself up must not use up the time of the others
PROBES_S = 30.0  # all of them: a poll that takes longer costs the group's patience


def first_readable(client: Mapping[str, str], partition: Partition, damaged: int, end: int, clock: Clock) -> int:
    """The first offset above `damaged` that can be read; `end`, the end of the log, where nothing behind it can.

    Where a probe gets no answer, or all of them take too long: the one behind the last that is known to be damaged. Nothing that nobody has
    tried to read is given up so; what is damaged there is met by the next fetch. But what reads between two damaged batches may be passed
    over by a step that ends in the second.
    """
    config: dict[str, Any] = {
        **client,
        "group.id": "tracebraid-damage",
        "enable.auto.commit": "false",
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        "check.crcs": "true",
        "enable.partition.eof": "true",
        "error_cb": ErrorLog(clock),
    }
    deadline_s = clock.monotonic_s() + PROBES_S
    broken, whole, step = damaged, end, 1
    while whole - broken > 1:
        at = min(broken + step, whole - 1) if whole == end else (broken + whole) // 2
        reads = _reads(config, partition, at, deadline_s, clock)
        if reads is None:
            return broken + 1
        if reads:
            whole = at
        else:
            broken, step = at, step * 2
    return whole


def _reads(config: Mapping[str, Any], partition: Partition, offset: int, deadline_s: float, clock: Clock) -> bool | None:
    """Whether the offset reads. Damage counts when it is met each time: a fetch may be damaged on its way. None: no answer."""
    for _ in range(limits.damaged_fetches_max):
        found = _probe(config, partition, offset, min(deadline_s, clock.monotonic_s() + PROBE_S), clock)
        if found is not False:
            return found
    return False


def _probe(config: Mapping[str, Any], partition: Partition, offset: int, deadline_s: float, clock: Clock) -> bool | None:
    """Whether a fetch at `offset` gives a record, or the end of the partition, before it gives damage; None where it gives nothing.

    A consumer of its own each time: one that has met damage is astray.
    """
    consumer = Consumer(dict(config), logger=client_logger())
    try:
        consumer.assign([TopicPartition(partition.topic, partition.number, offset)])
        while not clock.past(deadline_s):
            for message in consumer.consume(1, 0.5):
                error = message.error()
                if error is None or error.name() == "_PARTITION_EOF":
                    return True
                if error.name() in DAMAGE:
                    return False
        return None
    finally:
        close(consumer, CLOSE_S)
