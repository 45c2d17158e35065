"""Which partitions have stalled: records wait at the broker, and neither a record nor an end of the partition comes. And which are held: a
transaction of whoever writes there stays open, so that what lies behind its beginning may not be read yet, by anybody who reads what is committed.

In: looks at partitions, the time of each look. Out: the partitions that have stalled. Never: a call to Kafka, a clock.

The high watermark that a fetch tells stands still when fetching does, so the end compared here is one that was asked for apart from
fetching. A partition read to its end is told so once (`eof_offset`) and then stays silent: that alone is no stall. Behind an open transaction the end
that may be read stands still, an end of the partition is told there, and only the high watermark moves on (seen with librdkafka 2.16): so nothing
that waits is seen by looking at what may be read.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

from tracebraid.pipeline.kernel.records import Partition


@dataclass(frozen=True, slots=True)
class Seen:
    """One look. `next_offset`, `eof_offset`: how far records and ends have come. `end`: what may be read, -1 where nobody has said.

    `wanted`: False while we have paused reading ourselves. `stopped`: its log is not what the ledgers say, so nobody reads it. `high`: the high
    watermark, open transactions included, -1 where it is not known now.
    """

    next_offset: int
    eof_offset: int
    end: int
    wanted: bool = True
    stopped: bool = False
    high: int = -1

    @property
    def held_back(self) -> int:
        """Offsets that may not be read before a transaction ends."""
        return max(0, self.high - self.end) if self.end >= 0 else 0

    @property
    def beyond(self) -> int:
        """Offsets that the broker has and we have not met; markers of transactions count until the end behind them was told."""
        return max(0, self.end - max(self.next_offset, self.eof_offset))

    @property
    def waits(self) -> bool:
        return self.stopped or self.beyond > 0


def unread(seen: Seen) -> tuple[int, int] | None:
    """What moves while a partition is read; None where nothing waits to be."""
    return (seen.next_offset, seen.eof_offset) if seen.wanted and seen.waits else None


def held(seen: Seen) -> int | None:
    """What moves when the oldest open transaction ends; None where none holds anything back."""
    return seen.end if seen.held_back else None


class StallDetector:
    """Counts, by partition, the seconds in which something waited and nothing moved."""

    def __init__(self, after_s: float, step_s_max: float, waiting: Callable[[Seen], Hashable] = unread) -> None:
        """`after_s`: so long a silence is a stall. `step_s_max`: no more is counted between two looks: while we did not turn, nothing could come.

        `waiting`: what should move, as it is now; None where nothing waits.
        """
        self.after_s, self.step_s_max, self.waiting = after_s, step_s_max, waiting
        self._looked_s: float | None = None
        self._silent_s: dict[Partition, float] = {}
        self._before: dict[Partition, Hashable] = {}  # progress of those that something waited for

    def look(self, now_s: float, seen: Mapping[Partition, Seen]) -> set[Partition]:
        """`seen`: all partitions that are ours; one that is missing is forgotten."""
        passed_s = 0.0 if self._looked_s is None else min(max(0.0, now_s - self._looked_s), self.step_s_max)
        self._looked_s = now_s
        waiting = {partition: progress for partition, each in seen.items() if (progress := self.waiting(each)) is not None}
        silent = {partition for partition, progress in waiting.items() if self._before.get(partition) == progress}  # at both ends of what passed
        self._silent_s = {partition: self._silent_s.get(partition, 0.0) + passed_s for partition in silent}
        self._before = waiting
        return {partition for partition, seconds in self._silent_s.items() if seconds >= self.after_s}
