"""Where a partition can be read again behind records that the broker holds but nobody can read: a failed checksum, a failed decompression.

In: client settings, a partition, the first damaged offset. Out: the first offset behind it that reads. Never: a record handed on.

A damaged batch does not say truly where it ends, and librdkafka 2.16 goes astray behind one (it asks for offsets beyond the log). So offsets are
probed with consumers of their own: in steps that double until one reads, then by halving back to the edge.
"""

from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from tracebraid.pipeline.kernel.broker import ErrorLog, client_logger
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.records import Partition

DAMAGE = frozenset({"_BAD_MSG", "_BAD_COMPRESSION", "INVALID_MSG"})
PROBE_S = 30.0


def first_readable(client: Mapping[str, str], partition: Partition, damaged: int, end: int, clock: Clock) -> int:
    """The first offset above `damaged` that can be read; `end`, the end of the log, where nothing behind it can."""
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
    broken, step = damaged, 1
    while broken + step < end and not _reads(config, partition, broken + step, clock):
        broken, step = broken + step, step * 2
    whole = min(broken + step, end)
    while whole - broken > 1:
        middle = (broken + whole) // 2
        if _reads(config, partition, middle, clock):
            whole = middle
        else:
            broken = middle
    return whole


def _reads(config: Mapping[str, Any], partition: Partition, offset: int, clock: Clock) -> bool:
    """Whether a fetch at `offset` gives a record, or the end of the partition, before it gives damage. What gives nothing at all is no damage.

    A consumer of its own each time: one that has met damage is astray.
    """
    consumer = Consumer(dict(config), logger=client_logger())
    try:
        consumer.assign([TopicPartition(partition.topic, partition.number, offset)])
        deadline = clock.monotonic_s() + PROBE_S
        while clock.monotonic_s() < deadline:
            for message in consumer.consume(1, 0.5):
                error = message.error()
                if error is None or error.name() == "_PARTITION_EOF":
                    return True
                if error.name() in DAMAGE:
                    return False
        return True
    finally:
        consumer.close()
