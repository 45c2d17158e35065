"""Positions, lag and completeness from the intervals."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tests.unit.query.build import MS, NOON_NS, Row, moment, write
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.query.snapshot import take
from tracebraid.pipeline.query.status import LakeStatus, status
from tracebraid.schemas.intervals import INTERVALS


def interval(first: int, last: int, **columns: Any) -> Row:
    return {"first_offset": first, "last_offset": last, "records_in": last - first + 1, "rows_in": last - first + 1, "rows_spans": last - first + 1, **columns}


def look(lake: Path, ends: Mapping[Partition, int] | None = None) -> LakeStatus:
    def watermarks(asked: Collection[Partition]) -> Mapping[Partition, int]:
        assert all(partition.cluster != "files" for partition in asked)
        return {partition: end for partition, end in (ends or {}).items() if partition in asked}

    snapshot = take(str(lake))
    committed = snapshot.tables["intervals"].committed_ms or 0
    clock = Clock(unix_nano=lambda: (committed + 7_000) * 1_000_000)
    return status(snapshot, clock, watermarks if ends is not None else None)


def test_a_partition_whose_intervals_follow_one_another(tmp_path: Path) -> None:
    start = interval(100, 99, kind="start", reason="start: latest")
    write(tmp_path, INTERVALS, [start], [interval(100, 149, event_time_max=moment(NOON_NS)), interval(150, 159, event_time_max=moment(NOON_NS - MS))])
    found = look(tmp_path, {Partition("c", "t", "id", 0): 165})
    (partition,) = found.partitions
    assert (partition.first_offset, partition.next_offset, partition.lag, partition.records, partition.spans) == (100, 160, 5, 60, 60)
    assert (partition.lost, partition.gaps, partition.overlaps, partition.complete, found.complete) == (0, 0, 0, True, True)
    assert (partition.newest_event, found.newest_event, found.commit_age_s) == ("2026-01-02T12:00:00Z", "2026-01-02T12:00:00Z", 7.0)
    assert (found.rows, found.accounted) == ({"spans": 0, "logs": 0, "rejects": 0}, {"spans": 60, "logs": 0, "rejects": 0})


def test_what_is_lost_missing_or_there_twice(tmp_path: Path) -> None:
    lost = interval(10, 29, kind="lost", reason="retention", records_in=0, rows_in=0, rows_spans=0)
    write(tmp_path, INTERVALS, [interval(0, 9), lost, interval(30, 39)])
    write(
        tmp_path, INTERVALS, [{**interval(0, 9), "kafka_partition": 1}, {**interval(15, 19), "kafka_partition": 1}, {**interval(18, 20), "kafka_partition": 1}]
    )
    first, second = look(tmp_path).partitions
    assert (first.lost, first.gaps, first.overlaps, first.complete) == (20, 0, 0, False)
    assert (second.lost, second.gaps, second.overlaps, second.complete) == (0, 5, 2, False)


def test_lag_is_unknown_without_a_broker_and_nil_for_files(tmp_path: Path) -> None:
    write(tmp_path, INTERVALS, [interval(0, 9), {**interval(0, 4), "kafka_cluster": "files", "kafka_topic": "a.jsonl"}])
    assert [(partition.topic, partition.lag) for partition in look(tmp_path).partitions] == [("a.jsonl", 0), ("t", None)]
    assert [partition.lag for partition in look(tmp_path, {}).partitions] == [0, None]
    assert [partition.lag for partition in look(tmp_path, {Partition("c", "t", "id", 0): 4}).partitions] == [0, 0]


def test_a_lake_without_intervals(tmp_path: Path) -> None:
    write(tmp_path, INTERVALS)
    assert look(tmp_path) == LakeStatus(
        str(tmp_path), [], "", None, dict.fromkeys(("spans", "logs", "rejects"), 0), dict.fromkeys(("spans", "logs", "rejects"), 0)
    )
