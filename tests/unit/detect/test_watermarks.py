"""Watermarks over source partitions: who is waited for."""

import pytest

from tests.detecting import MINUTE, SECOND, T0, source, told
from tracebraid.pipeline.detect.axis import NEVER
from tracebraid.pipeline.detect.watermarks import Release, Shard
from tracebraid.schemas.windows import Watermark


def reached(*sources: Watermark) -> int:
    shard = Shard()
    shard.note(sources)
    return shard.watermark_us


def test_the_slowest_that_is_not_idle_decides() -> None:
    assert reached(told(0, T0 + 5), told(1, T0 + 3), told(2, T0, caught_up=True)) == T0 + 3


def test_all_idle_the_latest_decides() -> None:
    assert reached(told(0, T0 + 5, caught_up=True), told(1, T0 + 3, caught_up=True)) == T0 + 5


def test_a_source_without_an_event_holds_unless_it_is_idle() -> None:
    assert reached(told(0, T0), told(1, None)) == NEVER
    assert reached(told(0, T0), told(1, None, caught_up=True)) == T0


def test_it_never_goes_back() -> None:
    shard = Shard()
    shard.note([told(0, T0 + 9), told(1, T0, caught_up=True)])
    shard.note([told(1, T0 + 1), told(0, None)])
    assert shard.watermark_us == T0 + 9


def test_a_topic_made_again_is_not_waited_for_under_its_old_id() -> None:
    shard = Shard()
    shard.note([told(0, T0)])
    shard.note([Watermark("kafka", "spans", "t2", 0, 0, T0 + 50, False)])
    assert (shard.watermark_us, list(shard.sources)) == (T0 + 50, [("kafka", "spans", "t2", 0)])


def test_completeness_is_that_of_the_moment_the_watermark_passed() -> None:
    shard = Shard()
    shard.note([told(0, T0 + 10), told(1, T0 + 10), told(2, T0 + 20), told(3, T0 + 20, caught_up=True)])
    shard.release([source(0)], T0 + 20)
    assert shard.watermark_us == T0 + 10
    shard.release([source(1)], T0 + 20)
    shard.note([told(0, T0 + 40), told(1, T0 + 40), told(2, T0 + 40)])
    assert [shard.completeness(T0 + at) for at in (10, 15, 20, 30)] == [1.0, 0.5, 0.5, 1.0]


def test_what_was_passed_hold_max_ago_is_not_waited_for() -> None:
    shard = Shard()
    shard.note([told(0, T0), told(1, T0), told(2, T0, caught_up=True)])
    assert shard.holding(100.0, 300.0) is None
    shard.note([told(0, T0 + 60 * SECOND)])
    assert shard.holding(200.0, 300.0) is None
    shard.note([told(0, T0 + 90 * SECOND)])
    assert shard.holding(499.0, 300.0) is None
    assert shard.holding(500.0, 300.0) == Release((source(1),), T0 + 60 * SECOND)
    shard.release([source(1)], T0 + 60 * SECOND)
    assert (shard.watermark_us, shard.holding(501.0, 300.0)) == (T0 + 60 * SECOND, None)
    assert shard.holding(799.0, 300.0) == Release((source(1),), T0 + 90 * SECOND)


def test_a_source_that_nobody_speaks_of_for_an_hour_is_not_waited_for_until_somebody_does() -> None:
    shard = Shard()
    shard.note([told(0, T0), told(1, T0), told(2, T0)])
    found = []
    for minute in (59, 60, 61, 62, 63):
        shard.note([told(0, T0 + minute * MINUTE), told(2, T0)])  # the owner of 2 lives, and lags
        shard.release([source(1), source(2)], T0 + minute * MINUTE)
        found.append((shard.watermark_us - T0) // MINUTE)
        assert shard.completeness(T0 + minute * MINUTE) == pytest.approx(1 / 3 if minute <= 60 else 2 / 3)
        shard.settle()
    assert found == [59, 60, 61, 62, 63]
    assert [shard.sources[source(number)].idle for number in range(3)] == [False, True, False]
    shard.note([told(1, T0 + 10 * MINUTE)])
    shard.note([told(0, T0 + 70 * MINUTE), told(2, T0 + 70 * MINUTE)])
    assert shard.watermark_us == T0 + 63 * MINUTE
