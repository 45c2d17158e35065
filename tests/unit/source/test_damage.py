"""Where reading goes on behind damage: the edge, and what is said when nobody answers. Real damage is in tests/integration."""

from collections.abc import Callable

import pytest
from confluent_kafka import KafkaError, TopicPartition

from tests.batches import PARTITION
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.source import damage
from tracebraid.pipeline.source.damage import PROBES_S, first_readable

END = 100_000


class Message:
    def __init__(self, error: KafkaError | None) -> None:
        self._error = error

    def error(self) -> KafkaError | None:
        return self._error


class Log:
    """A partition as a broker gives it. `says(offset, nth)`: 'damaged', 'reads' or 'nothing' to the nth probe of an offset."""

    def __init__(self, says: Callable[[int, int], str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.says, self.now_s = says, 0.0
        self.probed: list[int] = []
        self.clock = Clock(monotonic_s=lambda: self.now_s)
        monkeypatch.setattr(damage, "Consumer", lambda *_, **__: Probe(self))

    def first_readable(self, damaged: int) -> int:
        return first_readable({}, PARTITION, damaged, END, self.clock)


class Probe:
    """A consumer with one partition."""

    def __init__(self, log: Log) -> None:
        self.log = log

    def assign(self, places: list[TopicPartition]) -> None:
        self.log.probed.append(places[0].offset)

    def consume(self, _: int, timeout_s: float) -> list[Message]:
        offset = self.log.probed[-1]
        said = self.log.says(offset, self.log.probed.count(offset))
        self.log.now_s += timeout_s if said == "nothing" else 0.01
        return {"nothing": [], "reads": [Message(None)], "damaged": [Message(KafkaError(KafkaError._BAD_MSG))]}[said]

    def close(self) -> None: ...


@pytest.mark.parametrize("edge", [11, 12, 13, 500, 4097, END - 1, END])
def test_the_edge_is_found(edge: int, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(lambda offset, _: "damaged" if offset < edge else "reads", monkeypatch)
    assert log.first_readable(10) == edge
    assert len(set(log.probed)) <= 36


def test_silence_gives_up_nothing_that_was_not_met_as_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(lambda *_: "nothing", monkeypatch)
    assert (log.first_readable(10), log.probed) == (11, [11])
    answers = iter(["damaged"] * 9)
    log = Log(lambda *_: next(answers, "nothing"), monkeypatch)
    assert log.first_readable(10) == 18  # 11, 13 and 17 were damaged, three times each
    assert log.now_s <= PROBES_S


def test_what_a_fetch_damaged_once_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(lambda offset, nth: "damaged" if offset < 20 or nth < 3 else "reads", monkeypatch)
    assert log.first_readable(10) == 20


def test_probing_ends_when_the_process_is_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(lambda offset, _: "damaged" if offset < 5000 else "reads", monkeypatch)
    log.clock = log.clock.ending(lambda: True, 0.2)
    assert 11 < log.first_readable(10) <= 5000
    assert log.now_s < 0.3
