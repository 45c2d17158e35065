"""How long a poll waits, and for how much: what little comes is gathered, as a batch costs the same however small it is."""

from typing import Any

import pytest
from confluent_kafka import KafkaError

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.source import batches
from tracebraid.pipeline.source.kafka import KafkaSource


class Message:
    def __init__(self, size: int, error: int | None = None) -> None:
        self.size, self.code = size, error

    def error(self) -> KafkaError | None:
        return None if self.code is None else KafkaError(self.code)

    def topic(self) -> str:
        return "telemetry"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return 0

    def timestamp(self) -> tuple[int, int]:
        return 1, 1

    def key(self) -> None: ...

    def value(self) -> bytes:
        return b"x" * self.size

    def headers(self) -> None: ...


class Broker:
    """Gives messages at their seconds, in the order of time; time goes on while it is waited for."""

    def __init__(self, *coming: tuple[float, Message]) -> None:
        self.coming, self.now_s = list(coming), 0.0

    def monotonic_s(self) -> float:
        return self.now_s

    def unix_nano(self) -> int:
        return 0

    def consume(self, wanted: int, timeout_s: float) -> list[Message]:
        assert timeout_s > 0
        until_s = self.now_s + timeout_s
        found = [message for at_s, message in self.coming if at_s <= until_s][:wanted]
        self.now_s = self.coming[wanted - 1][0] if len(found) == wanted else until_s
        del self.coming[: len(found)]
        return found


def polled(broker: Broker, gather_s: float) -> tuple[int, float]:
    """Messages, and when."""
    source: Any = KafkaSource.__new__(KafkaSource)
    source.consumer, source.clock, source._largest = broker, broker, {}
    parts = source._consume(limits.poll_wait_s, gather_s)
    return sum(len(part.offsets) if isinstance(part, batches.Columns) else 1 for part in parts), round(broker.now_s, 6)


END, DAMAGE = KafkaError._PARTITION_EOF, KafkaError._BAD_MSG
FEW = [(at / 50, Message(10)) for at in range(1, 100)]  # each 0.02 s


@pytest.mark.parametrize(
    ("coming", "gather_s", "found"),
    [
        ([], 0.5, (0, 0.1)),  # where nothing comes, whoever asked looks after other things
        (FEW, 0.0, (5, 0.1)),
        (FEW, -3.0, (5, 0.1)),  # what was due is
        (FEW, 0.5, (25, 0.5)),
        (FEW, 0.05, (5, 0.1)),
        ([(0.01, Message(10)), (0.02, Message(0, END))], 0.5, (2, 0.5)),  # an end is met again and again
        ([(0.01, Message(10)), (0.02, Message(0, DAMAGE)), (0.3, Message(10))], 0.5, (2, 0.1)),  # an error is looked after
        ([(0.01, Message(limits.gather_bytes)), (0.3, Message(10))], 0.5, (1, 0.1)),  # much is not kept waiting
        ([(0.01, Message(10)), (0.25, Message(limits.gather_bytes)), (0.4, Message(10))], 0.5, (2, 0.3)),
    ],
)
def test_a_poll(coming: list[tuple[float, Message]], gather_s: float, found: tuple[int, float]) -> None:
    assert polled(Broker(*coming), gather_s) == found
