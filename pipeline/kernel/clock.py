"""The one home of time: everything else is given a Clock."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """`unix_nano()`: nanoseconds since 1970, for timestamps. `monotonic_s()`: seconds, for intervals. `sleep(seconds)`."""

    unix_nano: Callable[[], int] = time.time_ns
    monotonic_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def unix_micro(self) -> int:
        return self.unix_nano() // 1000
