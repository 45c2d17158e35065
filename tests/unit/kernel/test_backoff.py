"""Pauses between attempts: how long, how often, and what is not tried again."""

import pytest

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.backoff import Backoff
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError


class Time:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.clock = Clock(monotonic_s=lambda: self.now_s)


def test_pauses_double_up_to_the_limit_however_long_it_fails() -> None:
    time, passing = Time(), TracebraidError("busy", transient=True)
    backoff = Backoff(time.clock)
    assert (backoff.due(), backoff.why) == (True, "")
    assert [backoff.failed(passing) for _ in range(9)] == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]
    for _ in range(3000):  # a day of pauses; 2**1024 is no float
        backoff.failed(passing)
    assert (backoff.due(), backoff.why, backoff.failures) == (False, "busy", 3009)
    time.now_s += limits.retry_s_max
    assert backoff.due()
    backoff.worked()
    assert (backoff.why, backoff.failures, backoff.failed(passing)) == ("", 0, 0.25)


def test_what_is_permanent_is_not_tried_again() -> None:
    with pytest.raises(TracebraidError, match="no such bucket"):
        Backoff(Clock()).failed(TracebraidError("no such bucket"))


def test_what_nobody_knows_is_tried_a_few_times() -> None:
    backoff, strange = Backoff(Time().clock), TracebraidError("it said 42", "Look at it", unknown=True)
    assert strange.transient
    for _ in range(limits.unknown_failures_max - 1):
        backoff.failed(strange)
        backoff.failed(TracebraidError("busy", transient=True))  # what is known to pass does not count
    with pytest.raises(TracebraidError) as given_up:
        backoff.failed(strange)
    assert (given_up.value.transient, str(given_up.value)) == (False, f"it said 42 ({limits.unknown_failures_max} times). Look at it")
    backoff.worked()
    assert backoff.failed(strange) == 0.25
