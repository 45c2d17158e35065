"""What the stream's next transaction carries, of all that is published: rejects, partial windows, how far each partition has come, and rows if wanted.

In: each piece of records that the stream does not hold yet, and its rows. Out: messages, and the offsets they account for. Never: a message
sent (flow.py does, with the group's offsets), anything kept of what a transaction has taken.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tracebraid.pipeline.kernel.records import Normalized, Partition, Records
from tracebraid.pipeline.kernel.settings import NormalizedSettings, StreamSettings
from tracebraid.pipeline.measure.windows import OpenWindows
from tracebraid.pipeline.publish.normalized import OpenNormalized
from tracebraid.pipeline.publish.producer import Message
from tracebraid.pipeline.publish.rejects import OpenRejects
from tracebraid.pipeline.publish.watermarks import OpenWatermarks

if TYPE_CHECKING:  # rules bring two parsers, 0.04 s of a start, and a lake alone has none
    from tracebraid.pipeline.rulebook import RuleBook

Rules = Callable[[], "RuleBook"]


class OpenStream:
    """The open transaction of one process. `settle()` once it is committed; after one that was not, forget() each partition, and read again."""

    def __init__(self, settings: StreamSettings, group: str, normalized: NormalizedSettings) -> None:
        self.settings, self.group = settings, group
        self.rows = OpenNormalized(normalized.topic if normalized.enabled else "")
        self.windows = OpenWindows([])
        self.watermarks = OpenWatermarks()
        self._rejects = OpenRejects(self.group)
        self._rules: RuleBook | None = None

    def follow(self, rules: "RuleBook") -> None:
        """Measure what these rules need, from now on, and as they change."""
        self._rules = rules
        self.windows.set_measures(rules.measures())

    def refresh(self) -> None:
        """Look whether rules changed."""
        if self._rules is not None and self._rules.poll():
            self._rules.changes()
            self.windows.set_measures(self._rules.measures())

    @property
    def next_offsets(self) -> dict[Partition, int]:
        """How far the open transaction accounts for each partition that it moves."""
        return self._rejects.next_offsets

    def begin(self, partition: Partition, next_offset: int) -> None:
        self.watermarks.begin(partition, next_offset)

    def add(self, records: Records, normalized: Normalized) -> None:
        self._rejects.add(records, normalized.rejects)
        self.windows.add(records, normalized)
        self.rows.add(records.partition, normalized)
        self.watermarks.note(records, normalized.event_time_us)

    def forget(self, partition: Partition) -> None:
        """Drop what is open of a partition: its next owner reads it again."""
        self._rejects.forget(partition)
        self.windows.forget(partition)
        self.rows.forget(partition)
        self.watermarks.forget(partition)

    def messages(self, shards: int, caught_up: Callable[[Partition], bool]) -> list[Message]:
        """All that is open but the rows. `shards`: partitions of the windows topic. Watermarks come last: what they let be evaluated is before them."""
        topic = self.settings.windows_topic
        partials = [Message(topic, piece.value, headers=piece.headers, partition=piece.shard) for piece in self.windows.pieces(shards)]
        return self._rejects.messages(self.settings.rejects_topic) + partials + self.watermarks.messages(topic, shards, caught_up)

    def settle(self) -> None:
        """What was open is published."""
        self._rejects = OpenRejects(self.group)
        self.windows.settle()
        self.rows.settle()
        self.watermarks.settle()

    def close(self) -> None:
        if self._rules is not None:
            self._rules.close()
