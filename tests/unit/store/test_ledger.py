"""Cycles, intervals and what their offsets must be."""

from dataclasses import replace
from datetime import date

import pytest

from tests.unit.store.build import DAY_US, GROUP, NOON_US, cycle, partition, utc
from tracebraid.pipeline.store.ledger import Interval, interval_rows, next_offsets

P = partition()


def test_the_row_of_an_interval() -> None:
    interval = Interval(P, "stored", "", 10, 19, 10, 12, 6, 3, 1, 2, 4, (NOON_US - DAY_US, NOON_US), (NOON_US, NOON_US + 1), 5)
    assert interval_rows([interval], GROUP, NOON_US + DAY_US).to_pylist() == [
        {
            "day": date(2026, 1, 2),
            "kind": "stored",
            "reason": None,
            "kafka_cluster": "cluster",
            "kafka_topic": "otlp_spans",
            "kafka_topic_id": "id-of-otlp_spans",
            "kafka_partition": 0,
            "first_offset": 10,
            "last_offset": 19,
            "records_in": 10,
            "rows_in": 12,
            "rows_spans": 6,
            "rows_logs": 3,
            "rows_rejected": 1,
            "rows_dropped": 2,
            "clock_skewed": 4,
            "event_time_min": utc(NOON_US - DAY_US),
            "event_time_max": utc(NOON_US),
            "kafka_time_min": utc(NOON_US),
            "kafka_time_max": utc(NOON_US + 1),
            "decoder_version": 5,
            "group_name": GROUP,
            "ingested_at": utc(NOON_US + DAY_US),
        }
    ]


def test_without_a_kafka_timestamp_the_day_is_today() -> None:
    assert interval_rows([Interval(P, "start", "latest", 7, 6)], GROUP, NOON_US + DAY_US).column("day").to_pylist() == [date(2026, 1, 3)]


def test_intervals_follow_one_another() -> None:
    whole = cycle(P, 10, 20, 10)
    whole.intervals = [replace(whole.intervals[0], last_offset=13), Interval(P, "lost", "retention", 14, 29), Interval(partition(1), "start", "earliest", 4, 3)]
    whole.expected[partition(1)] = None
    assert next_offsets(whole) == {P: 30, partition(1): 4}


@pytest.mark.parametrize(
    ("interval", "why"),
    [
        (Interval(P, "stored", "", 11, 19), "starts at 11, the ledger says 10"),
        (Interval(P, "stored", "", 9, 19), "starts at 9, the ledger says 10"),
        (Interval(P, "stored", "", 10, 8), "ends at 8, before its start 10"),
        (Interval(P, "stored", "", 10, 12, rows_in=3, rows_spans=1, rows_dropped=1), "3 rows in, 1 kept, 1 dropped"),
    ],
)
def test_intervals_that_do_not_fit_are_a_fault(interval: Interval, why: str) -> None:
    whole = cycle(P, 10, 20, 10)
    whole.intervals = [interval]
    with pytest.raises(ValueError, match=why):
        next_offsets(whole)
