"""Which partitions have stalled: records wait at the broker, and neither a record nor an end of the partition comes.

In: looks at partitions, the time of each look. Out: the partitions that have stalled. Never: a call to Kafka, a clock.

The high watermark that a fetch tells stands still when fetching does, so the end compared here is one that was asked for apart from
fetching. A partition read to its end is told so once (`eof_offset`) and then stays silent: that alone is no stall.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tracebraid.pipeline.kernel.records import Partition


@dataclass(frozen=True, slots=True)
class Seen:
    """One look. `next_offset`, `eof_offset`: how far records and ends have come. `end`: what may be read, -1 where nobody has said.

    `wanted`: False while we have paused reading ourselves. `stopped`: its log is not what the ledgers say, so nobody reads it.
    """

    next_offset: int
    eof_offset: int
    end: int
    wanted: bool = True
    stopped: bool = False

    @property
    def beyond(self) -> int:
        """Offsets that the broker has and we have not met; markers of transactions count until the end behind them was told."""
        return max(0, self.end - max(self.next_offset, self.eof_offset))

    @property
    def waits(self) -> bool:
        return self.stopped or self.beyond > 0


class StallDetector:
    """Counts, by partition, the seconds in which something waited and nothing came."""

    def __init__(self, after_s: float, step_s_max: float) -> None:
        """`after_s`: so long a silence is a stall. `step_s_max`: no more is counted between two looks: while we did not turn, nothing could come."""
        self.after_s, self.step_s_max = after_s, step_s_max
        self._looked_s: float | None = None
        self._silent_s: dict[Partition, float] = {}
        self._before: dict[Partition, tuple[int, int]] = {}  # progress of those that something waited for

    def look(self, now_s: float, seen: Mapping[Partition, Seen]) -> set[Partition]:
        """`seen`: all partitions that are ours; one that is missing is forgotten."""
        passed_s = 0.0 if self._looked_s is None else min(max(0.0, now_s - self._looked_s), self.step_s_max)
        self._looked_s = now_s
        waiting = {partition: (each.next_offset, each.eof_offset) for partition, each in seen.items() if each.wanted and each.waits}
        silent = {partition for partition, progress in waiting.items() if self._before.get(partition) == progress}  # at both ends of what passed
        self._silent_s = {partition: self._silent_s.get(partition, 0.0) + passed_s for partition in silent}
        self._before = waiting
        return {partition for partition, seconds in self._silent_s.items() if seconds >= self.after_s}
