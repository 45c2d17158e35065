"""How far event time has come in each shard, and who holds it back.

In: what ingest says of its source partitions, message by message, and releases. Out: the watermark, how complete windows are that it closes, and what a
release would have to say. Never: a clock: `holding` is told the time, and is the only one that asks for it.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from tracebraid.pipeline.detect.axis import NEVER
from tracebraid.schemas.windows import Watermark

SourceKey = tuple[str, str, str, int]  # cluster, topic, topic id, partition
GONE_US = 3_600_000_000
FOREVER = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Release:
    """Sources that are waited for no longer, up to an event time: what a message of kind `release` says."""

    sources: tuple[SourceKey, ...]
    until_us: int


@dataclass(slots=True)
class Source:
    """event_us: its own watermark, NEVER before its first event. idle: its owner said that it met the end. released_us: up to there nobody waits for it.

    heard_us: the latest event time of all sources when its owner last spoke of it. Once it was released beyond an hour after that, nobody reads it any more (a
    topic that was taken out of the settings, say): it counts as idle, until somebody speaks of it. Else no window would ever be complete again.
    """

    event_us: int = NEVER
    idle: bool = False
    released_us: int = NEVER
    first_offset: int = -1  # of the flush merged last
    next_offset: int = -1  # all below is merged
    part: int = -1
    heard_us: int = NEVER


@dataclass(slots=True)
class Shard:
    """One partition of the windows topic. incomplete: (up to, own event times of all sources) of each stretch that a release let pass."""

    sources: dict[SourceKey, Source] = field(default_factory=dict)
    watermark_us: int = NEVER
    incomplete: list[tuple[int, list[int]]] = field(default_factory=list)
    fronts: deque[tuple[float, int]] = field(default_factory=deque)  # (wall clock, latest event time), the basis of holding()

    def merges(self, source: SourceKey, first_offset: int, next_offset: int, part: int = 0) -> bool:
        """Whether these offsets are new. A flush may come in several parts, in order; what begins below what is merged is a repeat."""
        held = self.sources.setdefault(source, Source())
        again = (first_offset, next_offset) == (held.first_offset, held.next_offset)
        new = part > held.part if again else first_offset >= held.next_offset
        if new:
            held.first_offset, held.next_offset, held.part = first_offset, next_offset, part
        return new

    def note(self, told: Sequence[Watermark]) -> None:
        """A topic made again replaces what bore its name: nobody reads the old one to its end."""
        for each in told:
            key = (each.cluster, each.topic, each.topic_id, each.partition)
            for other in [k for k in self.sources if (k[0], k[1], k[3]) == (key[0], key[1], key[3]) and k[2] != key[2]]:
                del self.sources[other]
            held = self.sources.setdefault(key, Source())
            held.idle = each.caught_up
            if each.event_time_us is not None:
                held.event_us = max(held.event_us, each.event_time_us)
        front_us = max((each.event_us for each in self.sources.values()), default=NEVER)
        for each in told:
            self.sources[each.cluster, each.topic, each.topic_id, each.partition].heard_us = front_us
        self._advance()

    def release(self, sources: Sequence[SourceKey], until_us: int) -> None:
        for key in sources:
            if (held := self.sources.get(key)) is not None:
                held.released_us = max(held.released_us, until_us)
                held.idle |= held.heard_us != NEVER and held.released_us - held.heard_us > GONE_US
        self._advance()

    def _advance(self) -> None:
        """The minimum over the sources that are not idle; where all are, the latest event time among them. Never back."""
        waited = [max(each.event_us, each.released_us) for each in self.sources.values() if not each.idle]
        latest = max((each.event_us for each in self.sources.values()), default=NEVER)
        reached = min(waited) if waited else latest
        if reached > self.watermark_us:
            owns = sorted(FOREVER if each.idle else each.event_us for each in self.sources.values())
            if waited and owns[0] < reached:
                self.incomplete += [*([] if self.incomplete else [(self.watermark_us, [])]), (reached, owns)]
            elif self.incomplete:
                self.incomplete.append((reached, []))
            self.watermark_us = reached

    def completeness(self, needed_us: int) -> float:
        """The share of sources that had reached `needed_us`, a window's end plus lateness, when the watermark passed it."""
        at = bisect_left(self.incomplete, needed_us, key=lambda stretch: stretch[0])
        if at == len(self.incomplete) or not (owns := self.incomplete[at][1]):
            return 1.0
        return 1 - bisect_left(owns, needed_us) / len(owns)

    def settle(self) -> None:
        """All windows up to the watermark are evaluated."""
        self.incomplete.clear()

    def holding(self, now_s: float, hold_max_s: float) -> Release | None:
        """The sources behind an event time that another source had reached `hold_max_s` ago, and that event time; None where there is none.

        now_s: monotonic seconds, of any origin. So a window closes at most `hold_max_s` after the foremost source has passed it.
        """
        front = max((each.event_us for each in self.sources.values()), default=NEVER)
        if front != NEVER and (not self.fronts or self.fronts[-1][1] < front):
            self.fronts.append((now_s, front))
        while len(self.fronts) > 1 and self.fronts[1][0] <= now_s - hold_max_s:
            self.fronts.popleft()
        if not self.fronts or self.fronts[0][0] > now_s - hold_max_s or self.fronts[0][1] <= self.watermark_us:
            return None
        until_us = self.fronts[0][1]
        behind = [key for key, each in self.sources.items() if not each.idle and max(each.event_us, each.released_us) < until_us]
        return Release(tuple(sorted(behind)), until_us) if behind else None
