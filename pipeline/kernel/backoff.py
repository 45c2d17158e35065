"""Pauses between attempts at one thing that fails.

In: failures, as TracebraidErrors. Out: whether it may be tried again now; the error itself, where waiting mends nothing. Never: a wait.
"""

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError

_DOUBLINGS_MAX = 32  # beyond it the pause is at its limit anyway, and a power of two no float


class Backoff:
    """`failures`: in a row. `why`: what the last one said; '' while nothing fails."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.worked()

    def worked(self) -> None:
        """It went well: the next failure is a first one."""
        self.failures, self.why = 0, ""
        self._unknown, self._due_at_s = 0, float("-inf")

    def failed(self, error: TracebraidError) -> float:
        """Seconds until the next attempt: each time twice as long, limits.retry_s_max at most.

        Raises `error` where it is permanent, and as a permanent one where nobody knows and limits.unknown_failures_max attempts said the same.
        """
        if not error.transient:
            raise error
        self._unknown += error.unknown
        if self._unknown >= limits.unknown_failures_max:
            raise TracebraidError(f"{error.what} ({self._unknown} times)", error.hint) from error
        pause_s = min(limits.retry_s_max, limits.retry_s_min * 2.0 ** min(self.failures, _DOUBLINGS_MAX))
        self.failures, self.why = self.failures + 1, str(error)
        self._due_at_s = self._clock.monotonic_s() + pause_s
        return pause_s

    def due(self) -> bool:
        """Whether the pause is over."""
        return self._clock.monotonic_s() >= self._due_at_s
