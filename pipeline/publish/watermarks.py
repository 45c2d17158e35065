"""Watermarks on their way to detect: how far each source partition has come, told to every partition of the windows topic.

In: records and their event times, partition by partition. Out: messages, none where nothing has changed. Never: a clock: event time alone.

Who has met its end holds nobody up. But that end is of before: where time leaps (what was held up for minutes comes in one burst), the first partition that
is read is minutes ahead of others which have their share of the burst, too, and nobody has looked. So in the message of a leap an end that was met before
does not count, and in the next one it does: live alerts wait a flush longer at a leap, and never else.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import orjson

from tracebraid.pipeline.kernel.records import Partition, Records
from tracebraid.pipeline.publish.producer import Message
from tracebraid.schemas.windows import VERSION, Watermark

LEAP_US = 5_000_000  # of all partitions together; half the lateness of rules that say none


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
        leaps = self._leaps()
        self._open = {}
        for partition, state in self._states.items():
            idle = caught_up(partition) and not (leaps and state.told is not None and state.told.next_offset == state.next_offset)
            place = (partition.cluster, partition.topic, partition.topic_id, partition.number)
            self._open[partition] = Watermark(*place, state.next_offset, state.event_time_us, idle)
        if all(self._states[partition].told == watermark for partition, watermark in self._open.items()):
            return []
        value = orjson.dumps({"kind": "watermarks", "version": VERSION, "sources": [asdict(self._open[partition]) for partition in sorted(self._open)]})
        return [Message(topic, value, partition=number) for number in range(partitions)]

    def _leaps(self) -> bool:
        now_us = max((state.event_time_us for state in self._states.values() if state.event_time_us is not None), default=None)
        told = [state.told.event_time_us for state in self._states.values() if state.told is not None and state.told.event_time_us is not None]
        return now_us is not None and (not told or now_us - max(told) > LEAP_US)

    def settle(self) -> None:
        """What was open is told."""
        for partition, watermark in self._open.items():
            if partition in self._states:
                self._states[partition].told = watermark
