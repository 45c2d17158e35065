"""Each way in which a lake can be damaged is named exactly, and a whole one has nothing wrong."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.unit.store.build import GROUP, P, Q, cycle, mixed, opened
from tests.unit.verify.damage import Damage, filled, setting
from tracebraid.pipeline.kernel.errors import TracebraidError, UsageError
from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.store.ledger import Cycle, Interval
from tracebraid.pipeline.verify.reader import examine, verify
from tracebraid.pipeline.verify.report import Finding, in_order


def told(place: Path, *topics: str) -> list[Finding]:
    """Without the words for a person."""
    return [replace(each, detail="") for each in verify(str(place), None, topics)]


def of(kind: str, first: int, last: int | None = None, *, owner: Partition = P, **rest: Any) -> Finding:
    return Finding(kind, owner.topic, owner.topic_id, owner.number, first, first if last is None else last, **rest)


KEPT = (("spans", 0, 3), ("logs", 4, 6), ("rejects", 7, 8))  # of each ten offsets, which lie in which table
# Files of a table: number 0 is of partition 0, 1 of partition 1, 2 of partition 0 again (offsets 10 to 19), and so on.


def test_a_whole_lake_has_nothing_wrong(tmp_path: Path) -> None:
    filled(tmp_path)
    report = examine(str(tmp_path), None)
    assert (report.findings, report.notes) == ([], [])
    assert report.summary == {"partitions": 2, "intervals": 8, "files": 25, "rows": 54, "records": 0, "rejects": 0, "findings": 0}


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    path = filled(tmp_path).delete_file("logs", 2)
    assert told(tmp_path) == in_order(
        [
            Finding("file_missing", table="logs", file=path),
            of("interval_sum", 10, 19, table="logs"),
            of("missing", 10, 19, count=3),
        ]
    )


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    lake = filled(tmp_path)
    path = lake.path("spans", 0)
    data = (tmp_path / "spans" / path).read_bytes()
    (tmp_path / "spans" / path).write_bytes(data[:-100])
    assert [(each.kind, each.file) for each in told(tmp_path)] == [("file_unreadable", path), ("interval_sum", ""), ("missing", "")]


def test_a_page_that_was_altered_is_not_read(tmp_path: Path) -> None:
    lake = filled(tmp_path)
    path = lake.path("spans", 0)
    data = bytearray((tmp_path / "spans" / path).read_bytes())
    data[40] ^= 0xFF
    (tmp_path / "spans" / path).write_bytes(data)
    assert Finding("file_unreadable", table="spans", file=path) in told(tmp_path)


def test_a_file_committed_twice(tmp_path: Path) -> None:
    path = filled(tmp_path).copy_file("spans", 2)
    assert told(tmp_path) == in_order([of("doubled", 10, 13, index=0, count=4, table="spans", file=path)])


def test_a_row_twice_in_one_file(tmp_path: Path) -> None:
    path = filled(tmp_path).rewrite("logs", 0, lambda rows: pa.concat_tables([rows, rows.slice(1, 1)]))
    assert told(tmp_path) == in_order([of("doubled", 5, index=0, table="logs", file=path)])


def test_a_row_in_two_tables(tmp_path: Path) -> None:
    lake = filled(tmp_path)
    lake.rewrite("rejects", 0, setting("kafka_offset", lambda _: [6, 8]))
    assert told(tmp_path) == in_order([of("doubled", 6, index=0, table="rejects,logs", file=lake.path("logs", 0)), of("missing", 0, 9)])


def test_a_row_that_was_taken_out(tmp_path: Path) -> None:
    filled(tmp_path).rewrite("logs", 0, lambda rows: rows.slice(1))
    assert told(tmp_path) == in_order([of("interval_sum", 0, 9, table="logs"), of("missing", 0, 9)])


def test_a_row_of_a_record_that_was_taken_out(tmp_path: Path) -> None:
    lake = opened(tmp_path)
    three = cycle(P, 0, 1, -1, logs=[0, 0, 0])
    three.logs = [setting("record_index", lambda _: [0, 1, 2])(pa.Table.from_batches(three.logs)).to_batches()[0]]
    three.expected = {P: 0}
    lake.commit(Cycle([], [], [], [Interval(P, "start", "start: earliest", 0, -1)], {P: None}, GROUP))
    lake.commit(three)
    assert told(tmp_path) == []
    Damage(tmp_path).rewrite("logs", 0, lambda rows: rows.filter(pa.array([True, False, True])))
    assert told(tmp_path) == in_order([of("index_gap", 0, index=1), of("interval_sum", 0, 0, table="logs")])
    Damage(tmp_path).rewrite("logs", 0, setting("record_index", lambda _: [0, 2]))
    assert told(tmp_path) == in_order([of("index_gap", 0, index=1), of("interval_sum", 0, 0, table="logs")])


def test_rows_whose_positions_were_exchanged(tmp_path: Path) -> None:
    """Offsets 4 and 5 of the logs go to 15 and 16, which the next file holds."""
    lake = filled(tmp_path)
    lake.rewrite("logs", 0, setting("kafka_offset", lambda _: [15, 16, 6]))
    assert told(tmp_path) == in_order(
        [
            of("interval_sum", 0, 9, table="logs"),
            of("missing", 0, 9, count=2),
            of("doubled", 15, 16, index=0, count=2, table="logs", file=lake.path("logs", 2)),
        ]
    )


def test_index_and_partition_that_are_wrong(tmp_path: Path) -> None:
    lake = filled(tmp_path)
    lake.rewrite("spans", 0, setting("record_index", lambda _: [0, -1, 0, 7]))
    lake.rewrite("logs", 0, setting("kafka_partition", lambda _: [0, 0, 9]))
    stranger = Partition(P.cluster, "", P.topic_id, 9)
    assert told(tmp_path) == in_order(
        [
            of("beyond_ledger", 6, owner=stranger, index=0, table="logs", file=lake.path("logs", 0)),
            of("interval_sum", 0, 9, table="logs"),
            of("missing", 0, 9),
            of("index_gap", 1, index=-1),
            of("index_gap", 3, index=0, count=7),
        ]
    )


def test_an_interval_that_was_shifted(tmp_path: Path) -> None:
    lake = filled(tmp_path)
    lake.rewrite("intervals", 3, setting("first_offset", lambda _: [12]))
    lake.rewrite("intervals", 3, setting("last_offset", lambda _: [21]))
    assert told(tmp_path) == in_order(
        [
            of("interval_gap", 10, 11, count=2),
            of("outside", 10, 11, index=0, count=2, table="spans", file=lake.path("spans", 2)),
            of("interval_overlap", 20, 21, count=2),
        ]
    )


def test_an_interval_committed_twice(tmp_path: Path) -> None:
    filled(tmp_path).copy_file("intervals", 3)
    assert told(tmp_path) == in_order([of("interval_overlap", 10, 19, count=10)])


def test_an_interval_whose_counts_are_wrong(tmp_path: Path) -> None:
    lake = filled(tmp_path)
    lake.rewrite("intervals", 3, setting("rows_logs", lambda _: [4]))
    lake.rewrite("intervals", 5, setting("records_in", lambda _: [11]))
    assert told(tmp_path) == in_order([of("interval_sum", 10, 19), of("interval_sum", 10, 19, table="logs"), of("missing", 20, 29)])


def test_rows_in_an_interval_that_says_lost(tmp_path: Path) -> None:
    lake = filled(tmp_path)
    lake.rewrite("intervals", 3, setting("kind", lambda _: ["lost"]))
    for column in ("records_in", "rows_dropped"):
        lake.rewrite("intervals", 3, setting(column, lambda _: [0]))
    lake.rewrite("intervals", 3, setting("rows_in", lambda _: [9]))
    assert told(tmp_path) == []  # what a torn cycle left before its records were gone
    for column in ("rows_spans", "rows_logs", "rows_rejected", "rows_in"):
        lake.rewrite("intervals", 3, setting(column, lambda _: [0]))
    assert told(tmp_path) == in_order(
        [
            of("in_lost", 10, 13, index=0, count=4, table="spans", file=lake.path("spans", 2)),
            of("in_lost", 14, 16, index=0, count=3, table="logs", file=lake.path("logs", 2)),
            of("in_lost", 17, 18, index=0, count=2, table="rejects", file=lake.path("rejects", 2)),
        ]
    )


def test_a_file_of_intervals_that_is_gone(tmp_path: Path) -> None:
    """In the middle, and at the end, where only the ledger tells; and the start."""
    lake = filled(tmp_path)
    paths = [lake.delete_file("intervals", number) for number in (0, 3, 6)]
    assert told(tmp_path) == in_order(
        [
            *(Finding("file_missing", table="intervals", file=path) for path in paths),
            of("interval_gap", 0, count=0),
            of("interval_gap", 10, 19, count=10),
            *(of("outside", 10 + first, 10 + last, index=0, count=last - first + 1, table=table, file=lake.path(table, 2)) for table, first, last in KEPT),
            of("interval_gap", 0, count=0, owner=Q),
            of("interval_ledger", 20, owner=Q),
            *(
                of("outside", 20 + first, 20 + last, owner=Q, index=0, count=last - first + 1, table=table, file=lake.path(table, 5))
                for table, first, last in KEPT
            ),
        ]
    )


@pytest.mark.parametrize("table", ["spans", "logs", "rejects"])
def test_the_last_commit_of_a_table_is_gone(tmp_path: Path, table: str) -> None:
    filled(tmp_path).drop_last_commit(table)
    rows = {"spans": 4, "logs": 3, "rejects": 2}[table]
    assert told(tmp_path) == in_order([of("interval_sum", 20, 29, owner=Q, table=table), of("missing", 20, 29, owner=Q, count=rows)])


def test_the_last_commit_of_intervals_is_gone(tmp_path: Path) -> None:
    """As after a crash between two tables: the next ingest finishes the cycle, and then nothing is wrong."""
    filled(tmp_path).drop_last_commit("intervals")
    assert told(tmp_path) == in_order([of("ahead", 20, 29, owner=Q, count=rows, table=table) for table, rows in (("logs", 3), ("rejects", 2), ("spans", 4))])


def test_a_commit_in_the_midst_is_gone(tmp_path: Path) -> None:
    lake = filled(tmp_path)
    gone = lake.log("logs")[2]
    gone.unlink()
    assert told(tmp_path)[0] == Finding("log", table="logs", file=f"_delta_log/{gone.name}")


@pytest.mark.parametrize(
    ("column", "part", "value"),
    [
        ("kafka_offset", "minValues", 11),
        ("kafka_offset", "maxValues", 12),
        ("trace_id", "minValues", "trace-0010x"),
        ("trace_id", "maxValues", "trace-0012"),
        ("kafka_time", "minValues", "2026-01-02T12:00:00.001Z"),
        ("kafka_time", "maxValues", "2026-01-02T11:59:59.999Z"),
        ("kafka_topic_id", "maxValues", "id"),
        ("trace_id", "nullCount", 1),
        ("kafka_time", "maxValues", "noon"),
        ("kafka_offset", "maxValues", "much"),
    ],
)
def test_a_statistic_that_was_forged(tmp_path: Path, column: str, part: str, value: Any) -> None:
    path = filled(tmp_path).claim("spans", 2, lambda said: {**said, part: {**said[part], column: value}})
    assert told(tmp_path) == in_order([Finding("statistic", table="spans", file=path)])


def test_bounds_that_are_wider_than_need_be_are_true(tmp_path: Path) -> None:
    bounds = {"minValues": {"trace_id": "a", "kafka_offset": 0}, "maxValues": {"trace_id": "u", "kafka_offset": 99}}
    filled(tmp_path).claim("spans", 2, lambda said: {**said, **bounds})
    assert told(tmp_path) == []


def test_a_number_of_rows_that_was_forged(tmp_path: Path) -> None:
    path = filled(tmp_path).claim("spans", 2, lambda said: {**said, "numRecords": 5})
    assert told(tmp_path) == in_order([Finding("row_count", table="spans", file=path)])


def test_statistics_that_are_no_json(tmp_path: Path) -> None:
    lake = filled(tmp_path)
    entry = lake.log("spans")[-1]
    text = entry.read_text()
    entry.write_text(text.replace('\\"numRecords\\"', "numRecords"))
    assert text != entry.read_text()
    assert told(tmp_path) == [Finding("statistic", table="spans", file=lake.path("spans", -1))]


def test_rows_without_a_position(tmp_path: Path) -> None:
    path = filled(tmp_path).rewrite(
        "logs", 2, lambda rows: rows.drop_columns(["kafka_offset"]).append_column("kafka_offset", pa.array([14, None, 16], pa.int64()))
    )
    assert told(tmp_path) == in_order(
        [
            Finding("file_unreadable", table="logs", file=path),
            of("interval_sum", 10, 19, table="logs"),
            of("missing", 10, 19),
        ]
    )


def test_other_rows_of_a_record_have_another_time(tmp_path: Path) -> None:
    lake = filled(tmp_path)
    path = lake.rewrite("logs", 0, lambda rows: setting("record_index", lambda _: [0, 1, 0])(setting("kafka_offset", lambda _: [4, 4, 6])(rows)))
    lake.rewrite("logs", 0, setting("kafka_time", lambda times: [times[0], times[0].replace(year=2027), times[2]]))
    assert told(tmp_path) == in_order([of("missing", 0, 9), of("misplaced", 4, index=1, table="logs", file=path)])


def test_a_ledger_that_was_moved(tmp_path: Path) -> None:
    """Back: rows lie beyond it. Forward: offsets would be skipped."""
    lake = filled(tmp_path)
    lake.append("spans", {"txn": {"appId": P.ledger_key, "version": 12}})
    lake.append("intervals", {"txn": {"appId": Q.ledger_key, "version": 40}})
    assert told(tmp_path) == in_order(
        [
            of("beyond_ledger", 12, 13, index=0, count=2, table="spans", file=lake.path("spans", 2)),
            of("beyond_ledger", 20, 23, index=0, count=4, table="spans", file=lake.path("spans", 4)),
            of("interval_ledger", 30, owner=Q),
        ]
    )


def test_a_partition_that_only_a_ledger_knows(tmp_path: Path) -> None:
    filled(tmp_path).append("intervals", {"txn": {"appId": "cluster/other/7", "version": 40}})
    assert told(tmp_path) == in_order([Finding("interval_ledger", "", "other", 7, 40, 40)])


def test_a_torn_cycle_is_finished_by_the_next_ingest(tmp_path: Path) -> None:
    filled(tmp_path, owners=(P,)).drop_last_commit("intervals")
    assert {each.kind for each in told(tmp_path)} == {"ahead"}
    heir = opened(tmp_path)
    again = mixed(20, 20)
    again.spans, again.logs, again.rejects = [], [], []
    heir.commit(again)
    assert told(tmp_path) == []


def test_topics_by_name(tmp_path: Path) -> None:
    other = Partition("cluster", "otlp_logs", "id-of-otlp_logs", 0)
    lake = filled(tmp_path, owners=(P, other))
    lake.rewrite("logs", 0, lambda rows: rows.slice(1))
    lake.rewrite("logs", 1, lambda rows: rows.slice(1))
    assert told(tmp_path, "otlp_logs") == in_order([of("interval_sum", 0, 9, owner=other, table="logs"), of("missing", 0, 9, owner=other)])
    with pytest.raises(UsageError, match=r"no interval of the lake .* is of topic nowhere"):
        verify(str(tmp_path), None, ["nowhere"])


def test_a_place_without_a_lake(tmp_path: Path) -> None:
    with pytest.raises(TracebraidError, match="there is no lake at"):
        verify(str(tmp_path / "nowhere"), None)
    with pytest.raises(UsageError, match="cannot be read"):
        verify("ftp://host/lake", None)
