"""Exact nanoseconds, days and skew, at each edge."""

from datetime import date

import pyarrow as pa
import pytest

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.normalize.time import exact_nanos, micros, place

KAFKA_US = 1_700_000_000_000_000  # 2023-11-14T22:13:20Z
SECOND = 1_000_000
YEAR_S = 365 * 86_400


def test_exact_nanos() -> None:
    nanos, beyond = exact_nanos(pa.array([0, 1, 2**63 - 1, 2**63, 2**64 - 1, None], pa.uint64()))
    assert nanos.to_pylist() == [0, 1, 2**63 - 1, None, None, None]
    assert beyond.to_pylist() == [False, False, False, True, True, False]


def test_micros_round_down_and_zero_is_unset() -> None:
    assert micros(pa.array([0, 999, 1000, 1999, None, 2**63 - 1], pa.int64())).to_pylist() == [None, 0, 1, 1, None, 9_223_372_036_854_775]


@pytest.mark.parametrize(
    ("ahead_s", "skewed"),
    [
        (0, False),
        (limits.plausible_ahead_s, False),
        (limits.plausible_ahead_s + 1, True),
        (-limits.plausible_behind_s, False),
        (-limits.plausible_behind_s - 1, True),
    ],
)
def test_skew(ahead_s: int, skewed: bool) -> None:
    event = KAFKA_US + ahead_s * SECOND
    placed = place(pa.array([event]), pa.array([KAFKA_US]), KAFKA_US)
    assert placed.skewed.to_pylist() == [skewed]
    assert placed.range_us(0, len(placed.event_us)) == (None if skewed else (event, event))


@pytest.mark.parametrize(
    ("ahead_s", "day"),
    [
        (0, date(2023, 11, 14)),
        (6_400, date(2023, 11, 15)),
        (limits.partition_ahead_s, date(2023, 11, 15)),
        (limits.partition_ahead_s + 1, date(2023, 11, 14)),
        (-limits.partition_behind_s, date(2023, 11, 7)),
        (-limits.partition_behind_s - 1, date(2023, 11, 14)),
    ],
)
def test_day(ahead_s: int, day: date) -> None:
    assert place(pa.array([KAFKA_US + ahead_s * SECOND]), pa.array([KAFKA_US]), KAFKA_US).day.to_pylist() == [day]


def test_a_row_without_a_time_has_the_kafka_day_and_no_say_in_the_range() -> None:
    placed = place(pa.array([None, KAFKA_US - 5, KAFKA_US - 9, 2**60], pa.int64()), pa.array([KAFKA_US] * 4), KAFKA_US)
    assert placed.day.to_pylist() == [date(2023, 11, 14)] * 4
    assert placed.skewed.to_pylist() == [False, False, False, True]
    assert placed.range_us(0, len(placed.event_us)) == (KAFKA_US - 9, KAFKA_US - 5)


def test_no_rows() -> None:
    placed = place(pa.array([], pa.int64()), pa.array([], pa.int64()), KAFKA_US)
    assert (len(placed.day), placed.range_us(0, len(placed.event_us))) == (0, None)


@pytest.mark.parametrize(
    ("event_s", "kafka_s", "skewed"),
    [
        (YEAR_S, YEAR_S, True),  # both of a producer whose clock is wrong
        (limits.plausible_ahead_s, limits.plausible_ahead_s, False),
        (limits.plausible_ahead_s + 1, limits.plausible_ahead_s, True),
        (0, YEAR_S, False),  # the row's own time is right
        (-limits.plausible_behind_s - 1, YEAR_S, True),
        (-YEAR_S, -YEAR_S, False),  # a backlog
        (None, YEAR_S, True),
        (None, limits.plausible_ahead_s, False),
    ],
)
def test_what_lies_in_the_future_is_skewed_whatever_kafka_says_and_moves_no_watermark(event_s: int | None, kafka_s: int, skewed: bool) -> None:
    event = None if event_s is None else KAFKA_US + event_s * SECOND
    placed = place(pa.array([event], pa.int64()), pa.array([KAFKA_US + kafka_s * SECOND]), KAFKA_US)
    assert placed.skewed.to_pylist() == [skewed]
    assert placed.range_us(0, len(placed.event_us)) == (None if skewed or event is None else (event, event))
    unknown = place(pa.array([KAFKA_US + YEAR_S * SECOND]), pa.array([KAFKA_US + YEAR_S * SECOND]), 0)  # nobody knows the present
    assert unknown.skewed.to_pylist() == [False]
