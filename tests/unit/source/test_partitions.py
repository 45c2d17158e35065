"""When a partition is drained: by handing out the last offset below the target, or by an end-of-partition event at or past the next one."""

import pytest

from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.source.partitions import Held


@pytest.mark.parametrize(
    ("offsets", "stopped", "drained", "at_end"),
    [
        ((0, 10, -1), False, False, False),  # nothing read
        ((0, 0, -1), False, True, False),  # empty at the start: nothing to wait for
        ((10, 10, -1), False, True, False),  # a busy topic: no end was ever met
        ((9, 10, 10), False, True, True),  # the last offset is a commit marker
        ((9, 10, 9), False, True, True),  # truncated since the target was read
        ((12, 20, 10), False, False, False),  # an end was met, and more came
        ((5, 10, -1), True, True, False),  # held, not read
    ],
)
def test_drained(offsets: tuple[int, int, int], stopped: bool, drained: bool, at_end: bool) -> None:
    """`offsets`: next, target, end-of-partition event."""
    held = Held(Partition("c", "t", "id", 0), "auto", "", *offsets, stopped)
    assert (held.drained, held.at_end) == (drained, at_end)
