"""The one home of time: everything else is given a Clock."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace


def _never() -> float:
    return float("inf")


@dataclass(frozen=True, slots=True)
class Clock:
    """`unix_nano()`: nanoseconds since 1970, for timestamps. `monotonic_s()`: seconds, for intervals. `sleep(seconds)`.

    `ends_s()`: the monotonic time at which whoever waits gives up, whatever it waits for; infinite until the process is told to stop.
    """

    unix_nano: Callable[[], int] = time.time_ns
    monotonic_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    ends_s: Callable[[], float] = _never

    def unix_micro(self) -> int:
        return self.unix_nano() // 1000

    def past(self, deadline_s: float) -> bool:
        """Whether a wait until the monotonic time `deadline_s` is over."""
        return self.monotonic_s() >= min(deadline_s, self.ends_s())

    def left_s(self, call_s: float) -> float:
        """How long a call may take that usually may take `call_s`: a tenth of a second at least."""
        return max(0.1, min(call_s, self.ends_s() - self.monotonic_s()))

    def ending(self, stopped: Callable[[], bool], within_s: float) -> "Clock":
        """The same clock, on which all waiting ends `within_s` after `stopped()` was first seen to be true."""
        seen_s: list[float] = []

        def ends_s() -> float:
            if not seen_s and stopped():
                seen_s.append(self.monotonic_s())
            return seen_s[0] + within_s if seen_s else float("inf")

        return replace(self, ends_s=ends_s)
