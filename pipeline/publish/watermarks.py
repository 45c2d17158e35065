"""Watermarks on their way to detect: how far each source partition has come, told to every partition of the windows topic.

In: records and their event times, partition by partition. Out: messages, none where nothing has changed. Never: a clock: event time alone.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import orjson

from tracebraid.pipeline.kernel.records import Partition, Records
from tracebraid.pipeline.publish.producer import Message
from tracebraid.schemas.windows import VERSION, Watermark


@dataclass(slots=True)
class _State:
    next_offset: int
    event_time_us: int | None = None
    told: Watermark | None = None


class OpenWatermarks:
    """The partitions of one consumer. `settle()` once a transaction has taken what `messages()` gave."""

    def __init__(self) -> None:
        self._states: dict[Partition, _State] = {}
        self._open: dict[Partition, Watermark] = {}

    def begin(self, partition: Partition, next_offset: int) -> None:
        """The partition is ours from now on. It is told of before its first record: a silent partition must be known to be idle."""
        self._states[partition] = _State(next_offset)

    def note(self, records: Records, event_time_us: tuple[int, int] | None) -> None:
        """`event_time_us`: earliest and latest plausible event time of the records; a watermark never goes back."""
        state = self._states[records.partition]
        state.next_offset = records.next_offset
        if event_time_us is not None:
            state.event_time_us = max(event_time_us[1], state.event_time_us or event_time_us[1])

    def forget(self, partition: Partition) -> None:
        self._states.pop(partition, None)

    def messages(self, topic: str, partitions: int, caught_up: Callable[[Partition], bool]) -> list[Message]:
        """One message for each of the topic's partitions, all alike; none where every partition stands where it was told to stand."""
        self._open = {
            partition: Watermark(
                partition.cluster, partition.topic, partition.topic_id, partition.number, state.next_offset, state.event_time_us, caught_up(partition)
            )
            for partition, state in self._states.items()
        }
        if all(self._states[partition].told == watermark for partition, watermark in self._open.items()):
            return []
        value = orjson.dumps({"kind": "watermarks", "version": VERSION, "sources": [asdict(self._open[partition]) for partition in sorted(self._open)]})
        return [Message(topic, value, partition=number) for number in range(partitions)]

    def settle(self) -> None:
        """What was open is told."""
        for partition, watermark in self._open.items():
            if partition in self._states:
                self._states[partition].told = watermark
