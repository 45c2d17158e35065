"""A call that does not come back holds nobody."""

import threading
import time

import pytest

from tracebraid.pipeline.kernel.apart import apart


def test_a_call_is_waited_for_until_waiting_is_over() -> None:
    may, began_s = threading.Event(), time.monotonic()
    try:
        assert not apart(lambda: may.wait(30), lambda: time.monotonic() - began_s > 0.3)
        assert time.monotonic() - began_s < 5
    finally:
        may.set()


def test_what_comes_back_is_back_however_little_is_waited_for() -> None:
    done: list[int] = []
    assert apart(lambda: done.append(1), lambda: True)
    assert done == [1]


def test_what_it_raises_is_raised() -> None:
    def fails() -> None:
        raise ValueError("no coordinator")

    with pytest.raises(ValueError, match="no coordinator"):
        apart(fails, lambda: False)
