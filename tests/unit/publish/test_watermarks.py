"""Watermarks: what is told, when, and that it never goes back."""

import json
from collections.abc import Mapping

import pyarrow as pa

from tracebraid.pipeline.kernel.records import Partition, Records
from tracebraid.pipeline.publish.watermarks import OpenWatermarks
from tracebraid.schemas.records import RECORDS

P, Q = Partition("c", "t", "id", 0), Partition("c", "t", "id", 1)


def told(watermarks: OpenWatermarks, caught_up: Mapping[Partition, bool]) -> list[tuple[int, int, int | None, bool]]:
    """(partition, next offset, event time, caught up) of each source; every partition of the topic is told the same."""
    messages = watermarks.messages("windows", 3, lambda partition: caught_up.get(partition, False))
    assert [message.partition for message in messages] in ([], [0, 1, 2])
    assert len({message.value for message in messages}) <= 1
    if not messages:
        return []
    body = json.loads(messages[0].value or b"")
    assert (body["kind"], body["version"]) == ("watermarks", 1)
    return [(each["partition"], each["next_offset"], each["event_time_us"], each["caught_up"]) for each in body["sources"]]


def batch(partition: Partition, first: int, last: int) -> Records:
    columns = [pa.array(range(first, last + 1), pa.int64()), *(pa.nulls(last - first + 1, field.type) for field in list(RECORDS)[1:])]
    return Records(partition, pa.record_batch(columns, names=RECORDS.names))


def test_a_partition_is_told_of_before_its_first_record() -> None:
    watermarks = OpenWatermarks()
    watermarks.begin(P, 7)
    assert told(watermarks, {}) == [(0, 7, None, False)]


def test_nothing_is_told_where_nothing_changed() -> None:
    watermarks = OpenWatermarks()
    watermarks.begin(P, 7)
    assert told(watermarks, {P: False}) == [(0, 7, None, False)]
    assert told(watermarks, {P: False}) == [(0, 7, None, False)]  # the transaction did not take it
    watermarks.settle()
    assert told(watermarks, {P: False}) == []
    assert told(watermarks, {P: True}) == [(0, 7, None, True)]


def test_event_time_never_goes_back_and_a_partition_that_left_is_not_told_of() -> None:
    watermarks = OpenWatermarks()
    watermarks.begin(P, 0)
    watermarks.begin(Q, 5)
    watermarks.note(batch(P, 0, 9), (100, 200))
    watermarks.note(batch(P, 10, 10), (50, 60))
    watermarks.note(batch(P, 11, 11), None)
    assert told(watermarks, {}) == [(0, 12, 200, False), (1, 5, None, False)]
    watermarks.settle()
    watermarks.forget(P)
    assert told(watermarks, {}) == []
    watermarks.note(batch(Q, 5, 5), (1, 2))
    assert told(watermarks, {}) == [(1, 6, 2, False)]


SECOND = 1_000_000


def flush(watermarks: OpenWatermarks, caught_up: Mapping[Partition, bool]) -> dict[int, tuple[int | None, bool]]:
    """Partition → (event time, caught up), taken by a transaction."""
    found = {number: (event_us, idle) for number, _, event_us, idle in told(watermarks, caught_up)}
    watermarks.settle()
    return found


def test_an_end_met_before_time_leapt_counts_a_flush_later() -> None:
    """P and Q stood at their ends; each has a share of a burst, and P's is read first."""
    watermarks, ends = OpenWatermarks(), {P: True, Q: True}
    watermarks.begin(P, 0)
    watermarks.begin(Q, 0)
    watermarks.note(batch(P, 0, 0), (0, 0))
    watermarks.note(batch(Q, 0, 0), (0, 0))
    assert flush(watermarks, ends) == {0: (0, True), 1: (0, True)}
    watermarks.note(batch(P, 1, 1), (60 * SECOND, 60 * SECOND))
    assert flush(watermarks, ends) == {0: (60 * SECOND, True), 1: (0, False)}
    watermarks.note(batch(Q, 1, 1), (58 * SECOND, 58 * SECOND))
    assert flush(watermarks, ends) == {0: (60 * SECOND, True), 1: (58 * SECOND, True)}
    watermarks.note(batch(P, 2, 2), (120 * SECOND, 120 * SECOND))
    assert flush(watermarks, ends)[1] == (58 * SECOND, False)
    assert flush(watermarks, ends)[1] == (58 * SECOND, True)  # it was silent: told without a record
    assert flush(watermarks, ends) == {}


def test_time_that_goes_on_step_by_step_waits_for_nobody_at_its_end() -> None:
    watermarks, ends = OpenWatermarks(), {P: True, Q: True}
    watermarks.begin(P, 0)
    watermarks.begin(Q, 0)
    watermarks.note(batch(P, 0, 0), (0, 0))
    flush(watermarks, ends)
    flush(watermarks, ends)
    for second in range(1, 20):
        watermarks.note(batch(P, second, second), (second * SECOND, second * SECOND))
        assert flush(watermarks, ends) == {0: (second * SECOND, True), 1: (None, True)}


def test_a_leap_of_one_that_lags_is_none() -> None:
    """Its own time leaps, that of all does not."""
    watermarks, ends = OpenWatermarks(), {P: True, Q: False}
    watermarks.begin(P, 0)
    watermarks.begin(Q, 0)
    watermarks.note(batch(P, 0, 0), (90 * SECOND, 90 * SECOND))
    watermarks.note(batch(Q, 0, 0), (0, 0))
    flush(watermarks, ends)
    watermarks.note(batch(Q, 1, 1), (60 * SECOND, 60 * SECOND))
    assert flush(watermarks, ends) == {0: (90 * SECOND, True), 1: (60 * SECOND, False)}
