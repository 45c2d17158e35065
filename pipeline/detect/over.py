"""Alerts that are over, until nobody needs to be told of them any more.

In: each transition that is told of a shard, and what its state topic held when it was read. Out: keys whose alert has been over for a day of event time. Never:
one that has begun again meanwhile.
"""

import heapq
from dataclasses import dataclass, field

from tracebraid.pipeline.detect.told import Key, key_of
from tracebraid.schemas.alert import Transition

KEPT_US = 24 * 3_600_000_000
AT_ONCE = 1_000  # in one transaction: after a storm there are many


@dataclass(slots=True)
class Over:
    """Of one shard. ends: when each alert's last window ended; due: the same in order, with what does not hold any more."""

    ends: dict[Key, int] = field(default_factory=dict)
    due: list[tuple[int, Key]] = field(default_factory=list)

    def note(self, told: Transition) -> None:
        key = key_of(told)
        if told.transition in ("pending", "firing"):
            self.ends.pop(key, None)
        else:
            self.ends[key] = told.window.end_us
            heapq.heappush(self.due, (told.window.end_us, key))

    def take(self, watermark_us: int) -> list[Key]:
        """What is to be forgotten, which it is now."""
        found: list[Key] = []
        while self.due and self.due[0][0] + KEPT_US <= watermark_us and len(found) < AT_ONCE:
            end_us, key = heapq.heappop(self.due)
            if self.ends.get(key) == end_us:
                del self.ends[key]
                found.append(key)
        return found
