"""The end of a consumer, which librdkafka does not always reach.

In: a consumer. Out: nothing; it is closed, or left to a thread that waits for it. Never: a caller that waits for ever.

librdkafka 2.16 locks itself up where it is destroyed while a partition's offset is being reset (its issue 4514): as behind a damaged batch, where
it goes astray, or where retention has overtaken us. The group has been left by then, and what stays behind is one idle client.
"""

from typing import Protocol

import structlog

from tracebraid.pipeline.kernel.apart import apart
from tracebraid.pipeline.kernel.clock import Clock

log = structlog.get_logger()
CLOSE_S = 15.0  # more than leaving a group takes


class Closes(Protocol):
    """What confluent_kafka.Consumer has that is used here."""

    def close(self) -> None: ...


def close(consumer: Closes, wait_s: float = CLOSE_S) -> None:
    """consumer.close(), for `wait_s` at the most. The calls to the owner that it brings come from a thread of their own; what they raise is raised here."""
    clock = Clock()
    until_s = clock.monotonic_s() + wait_s
    if not apart(consumer.close, lambda: clock.past(until_s)):
        log.warning("a consumer does not end, and is left behind", seconds=wait_s)
