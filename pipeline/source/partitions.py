"""The nouns of reading: who owns a partition, where it starts, how far it was read, and what happened to it.

In: nothing. Out: values. Never: a call to Kafka.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tracebraid.pipeline.kernel.records import Partition

# An offset, or 'earliest', 'latest' or an ISO 8601 time (UTC where it names no zone).
Start = int | str


@dataclass(frozen=True, slots=True)
class Owner:
    """Who accounts for the records. Called from within poll(), verify() and close(), never beside them.

    assigned: partitions that are ours from now on → where each starts; one left out of the answer is held but not read.
    revoked: finish or drop what is open of them before returning; they are still ours until then.
    lost: they are somebody else's already (or their topic is another now): drop what is open, commit nothing.
    """

    assigned: Callable[[Sequence[Partition]], Mapping[Partition, Start]]
    revoked: Callable[[Sequence[Partition]], None]
    lost: Callable[[Sequence[Partition]], None]


@dataclass(frozen=True, slots=True)
class Expired:
    """Retention took the records from offset `wanted` up to and without `low` before they were read; reading goes on at `low`."""

    partition: Partition
    wanted: int
    low: int


@dataclass(frozen=True, slots=True)
class Truncated:
    """The log ends at `high`, below the offset `wanted` that was to be read next: the partition is held and not read."""

    partition: Partition
    wanted: int
    high: int


@dataclass(frozen=True, slots=True)
class Damaged:
    """What lies from offset `wanted` up to and without `readable` cannot be read, however often it is fetched; `reason` as it was said."""

    partition: Partition
    wanted: int
    readable: int
    reason: str


Event = Expired | Truncated | Damaged


@dataclass(slots=True)
class Held:
    """A partition that is ours. `next_offset`: to be handed out next. `target`: the end it had when we took it or were told to aim.

    `eof_offset`: where the last end-of-partition event lay. It counts control records (commit and abort markers) that no
    consumer sees, so it may lie beyond the last record handed out plus one.
    """

    partition: Partition
    encoding: str
    tenant: str
    next_offset: int
    target: int
    eof_offset: int = -1
    stopped: bool = False
    damaged: int = 0  # fetches at next_offset that found damage, one after the other

    @property
    def at_end(self) -> bool:
        return self.eof_offset >= self.next_offset

    @property
    def drained(self) -> bool:
        """Whether all that lay below `target` was handed out.

        Either of two signs will do. A next offset at or past the target: on a busy topic no end is ever met. Or an end-of-partition
        event, for it comes of a fetch made after the target was read and the log only grows: on a topic written with transactions
        the last offset is a marker, so the next offset never reaches the target by itself. Arithmetic alone would wait for ever.
        """
        return self.stopped or self.next_offset >= self.target or self.eof_offset >= self.next_offset
