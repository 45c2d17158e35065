"""A client that never ends does not hold its owner."""

import threading
import time

import pytest

from tracebraid.pipeline.kernel.closing import close


class Client:
    """Ends once it may; raises what it is given."""

    def __init__(self, error: Exception | None = None) -> None:
        self.may, self.error = threading.Event(), error

    def close(self) -> None:
        self.may.wait(30)
        if self.error:
            raise self.error


def test_one_that_locks_itself_up_is_left_behind() -> None:
    client, began_s = Client(), time.monotonic()
    try:
        close(client, 0.05)
        assert time.monotonic() - began_s < 5
    finally:
        client.may.set()


def test_what_closing_raises_is_raised() -> None:
    client = Client(RuntimeError("revoked: the lake is gone"))
    client.may.set()
    with pytest.raises(RuntimeError, match="the lake is gone"):
        close(client)
