"""One partition beside its topic, without a broker: chunks of records are made by hand."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracebraid.pipeline.verify import accounts, positions
from tracebraid.pipeline.verify.accounts import Account, Intervals, check_account
from tracebraid.pipeline.verify.partition import Files, PartitionCheck
from tracebraid.pipeline.verify.positions import Block, pack_batches
from tracebraid.pipeline.verify.report import Finding, Key, in_order
from tracebraid.pipeline.verify.topics import Chunk

KEY = Key("cluster", "id", 0)
TABLES = ("spans", "logs", "rejects")
Row = tuple[int, int]  # offset, index


@dataclass(frozen=True)
class Interval:
    """By default 100 offsets with a log each."""

    first: int = 0
    last: int = 99
    kind: str = "stored"
    records: int = 100
    logs: int = 100
    spans: int = 0
    dropped: int = 0


def account(*intervals: Interval) -> Account:
    found = Intervals()
    start = Interval(intervals[0].first, intervals[0].first - 1, "start", 0, 0)
    rows = [
        {
            "kind": each.kind,
            "reason": "",
            "kafka_cluster": "cluster",
            "kafka_topic": "topic",
            "kafka_topic_id": "id",
            "kafka_partition": 0,
            "first_offset": each.first,
            "last_offset": each.last,
            "records_in": each.records,
            "rows_in": each.logs + each.spans + each.dropped,
            "rows_dropped": each.dropped,
            "rows_spans": each.spans,
            "rows_logs": each.logs,
            "rows_rejected": 0,
        }
        for each in (start, *intervals)
    ]
    found.add(pa.RecordBatch.from_pylist(rows).select(accounts.COLUMNS))
    made = found.account(KEY, intervals[-1].last + 1)
    assert list(check_account(made)) == []
    return made


def file(rows: Sequence[Row], number: int, blocks: defaultdict[Key, list[Block]], late: Sequence[int] = ()) -> None:
    """Offset n has the time n ms; those of `late` one of a second later."""
    columns = {
        "kafka_cluster": ["cluster"] * len(rows),
        "kafka_topic_id": ["id"] * len(rows),
        "kafka_partition": [0] * len(rows),
        "kafka_offset": [offset for offset, _ in rows],
        "record_index": [index for _, index in rows],
        "kafka_time": pa.array([(offset + 1000 * (offset in late)) * 1000 for offset, _ in rows], pa.timestamp("us", "UTC")),
    }
    pack_batches([pa.RecordBatch.from_pydict(columns)] if rows else [], number, blocks)


def chunk(first: int, until: int, offsets: Sequence[int], empty: Sequence[int] = (), expected: int = -1) -> Chunk:
    there = np.array([offset for offset in offsets if first <= offset < until], dtype=np.int64)
    return Chunk(first, until, there, there.copy(), np.isin(there, empty).astype(np.int64), np.full(len(there), expected, dtype=np.int64))


@dataclass(frozen=True)
class World:
    """What lies in the tables and on the topic. late: offsets of logs whose rows have another time than their records."""

    logs: Sequence[Row]
    topic: list[Chunk] | None
    spans: Sequence[Row] = ()
    late: Sequence[int] = ()
    compacted: bool = False

    def check(self, of: Account) -> tuple[list[Finding], PartitionCheck]:
        blocks: defaultdict[Key, list[Block]] = defaultdict(list)
        file(self.spans, 0, blocks)
        file(self.logs, 1, blocks, self.late)
        files = Files([("spans", "s"), ("logs", "l")], np.array([0, 1]))
        made = PartitionCheck(of, blocks[KEY], files, dict.fromkeys(TABLES, of.end), compacted=self.compacted)
        return in_order([replace(each, detail="") for each in made.run(self.topic)]), made


def told(of: Account, logs: Sequence[Row], topic: list[Chunk] | None, **rest: Any) -> list[Finding]:
    return World(logs, topic, **rest).check(of)[0]


def at(kind: str, first: int, last: int | None = None, **rest: Any) -> Finding:
    return Finding(kind, "topic", "id", 0, first, first if last is None else last, **rest)


ALL = [(offset, 0) for offset in range(100)]
WITHOUT_SEVEN = [row for row in ALL if row[0] not in (7, 8, 50)]
WHOLE = [chunk(0, 100, range(100))]


def test_all_is_there() -> None:
    assert told(account(Interval()), ALL, WHOLE) == []
    assert told(account(Interval()), ALL, None) == []


def test_missing_records_are_named_by_the_topic() -> None:
    assert told(account(Interval(logs=97)), WITHOUT_SEVEN, WHOLE) == [at("missing", 7, 8, count=2), at("missing", 50)]
    assert told(account(Interval(logs=97)), WITHOUT_SEVEN, None) == [at("missing", 0, 99, count=3)]


def test_dropped_records_are_counted() -> None:
    """Empty values and values that hold nothing are the same to the interval."""
    assert told(account(Interval(logs=97, dropped=3)), WITHOUT_SEVEN, [chunk(0, 100, range(100), empty=[7])]) == []
    assert told(account(Interval(logs=97, dropped=1)), WITHOUT_SEVEN, [chunk(0, 100, range(100), empty=[7])]) == [at("missing", 8), at("missing", 50)]
    # Two of three records without a row are accounted for, and the topic cannot tell which is not.
    assert told(account(Interval(logs=97, dropped=2)), WITHOUT_SEVEN, WHOLE) == [at("missing", 7, 50)]
    assert told(account(Interval(logs=97, records=101, dropped=4)), WITHOUT_SEVEN, WHOLE) == [at("interval_dropped", 0, 99), at("interval_records", 0, 99)]
    assert told(account(Interval(logs=97, dropped=2)), WITHOUT_SEVEN, [chunk(0, 100, range(100), empty=[7, 8, 50])]) == [at("interval_dropped", 0, 99)]


def test_offsets_without_records_are_no_records() -> None:
    """Markers and aborted transactions take offsets."""
    even = [row for row in ALL if row[0] % 2 == 0]
    assert told(account(Interval(records=50, logs=50)), even, [chunk(0, 100, range(0, 100, 2))]) == []


def test_rows_that_the_topic_does_not_have() -> None:
    assert told(account(Interval()), ALL, [chunk(0, 100, [*range(40), *range(42, 100)])]) == [
        at("interval_records", 0, 99),
        at("not_on_topic", 40, 41, index=0, count=2, table="logs", file="l"),
    ]
    assert told(account(Interval()), ALL, [chunk(0, 100, [*range(40), *range(42, 100)])], compacted=True) == []


def test_what_retention_took_is_checked_in_the_lake() -> None:
    """The topic begins in the midst of an interval, and loses more while it is read."""
    found, checked = World(ALL, [chunk(30, 60, range(100)), chunk(80, 100, range(100))]).check(account(Interval()))
    assert found == []
    assert checked.unread == [(0, 29), (60, 79)]
    assert told(account(Interval(logs=97)), WITHOUT_SEVEN, [chunk(30, 100, range(100))]) == [at("missing", 50)]
    assert told(account(Interval(logs=97)), WITHOUT_SEVEN, [chunk(60, 100, range(100))]) == [at("missing", 0, 99, count=3)]


def test_rows_that_changed_places() -> None:
    assert told(account(Interval()), ALL, WHOLE, late=[3, 4, 9]) == [
        at("misplaced", 3, 4, index=0, count=2, table="logs", file="l"),
        at("misplaced", 9, index=0, table="logs", file="l"),
    ]


def test_a_loss_that_is_none() -> None:
    lost = Interval(100, 199, "lost", 0, 0)
    assert told(account(Interval(), lost), ALL, [chunk(0, 100, range(100)), chunk(150, 200, range(100, 160))]) == [at("missing", 150, 159, count=10)]


def test_rows_by_the_callers_count() -> None:
    rows = [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1), (2, 2)]
    assert told(account(Interval(last=2, records=3, logs=6)), rows, [chunk(0, 3, range(3), expected=2)]) == [
        at("missing", 1, index=1),
        at("not_on_topic", 2, index=2),
    ]


def test_a_record_over_two_tables() -> None:
    """Spans and logs of one record count together."""
    of = account(Interval(last=0, records=1, spans=2, logs=1))
    assert told(of, [(0, 1)], [chunk(0, 1, [0])], spans=[(0, 0), (0, 2)]) == []
    assert told(of, [(0, 1)], [chunk(0, 1, [0])], spans=[(0, 0), (0, 3)]) == [at("index_gap", 0, index=2)]
    assert told(of, [(0, 0)], [chunk(0, 1, [0])], spans=[(0, 0), (0, 1)]) == [
        at("doubled", 0, index=0, table="spans,logs", file="l"),
    ]


some_rows = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3)), max_size=60)


@settings(max_examples=150, deadline=None)
@given(some_rows, some_rows, st.sets(st.integers(0, 30)), st.lists(st.integers(1, 29), max_size=4), st.integers(1, 12))
def test_findings_are_those_of_plain_sets(logs: list[Row], spans: list[Row], topic: set[int], cuts: list[int], rows_max: int) -> None:
    edges = sorted({0, *cuts, 31})
    chunks = [chunk(first, until, sorted(topic)) for first, until in pairwise(edges)]
    of = account(Interval(0, 30, records=len(topic), logs=len(logs), spans=len(spans)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(positions, "BLOCK_ROWS", 3)
        patch.setattr(positions, "WINDOW_ROWS", rows_max)
        found = told(of, logs, chunks, spans=spans)
    held = sorted([*logs, *spans])
    by_offset = {offset: sorted({index for each, index in held if each == offset}) for offset, _ in held}
    assert positions_of(found, "missing") == sorted(topic - by_offset.keys())
    assert positions_of(found, "not_on_topic", "count") == len({row for row in held if row[0] not in topic})
    assert positions_of(found, "doubled", "count") == len(held) - len(set(held))
    gaps = {offset: len(set(range(has[-1])) - set(has)) for offset, has in by_offset.items() if has != list(range(len(has)))}
    assert {each.offset: each.count for each in found if each.kind == "index_gap"} == gaps
    kinds = {"missing", "not_on_topic", "doubled", "index_gap"}
    assert {each.kind for each in found} <= kinds


def positions_of(found: Sequence[Finding], kind: str, what: str = "offsets") -> object:
    chosen = [each for each in found if each.kind == kind]
    if what == "count":
        return sum(each.count for each in chosen)
    return sorted(offset for each in chosen for offset in range(each.offset or 0, (each.last_offset or 0) + 1))
