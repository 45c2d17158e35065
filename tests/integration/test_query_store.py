"""What store writes, query reads: its rows, its schema, and its statistics, which choose the files."""

from pathlib import Path

import pytest

from tests.unit.store.build import GROUP, NOON_US, partition, rows
from tracebraid import connect
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.query.connection import bare
from tracebraid.pipeline.query.prune import files_needed
from tracebraid.pipeline.query.snapshot import Snapshot, take
from tracebraid.pipeline.query.status import status
from tracebraid.pipeline.store.lake import Lake
from tracebraid.pipeline.store.ledger import Cycle, Interval
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.rejects import REJECTS
from tracebraid.schemas.spans import SPANS

P = partition()
LONG = "service " * 8


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three cycles, an hour apart: a trace and a service each, the last with a long name and a time between two milliseconds."""
    place = tmp_path_factory.mktemp("lake")
    lake = Lake.open(str(place), {}, Clock())
    lake.claim(GROUP)
    expected = lake.read_ledger(P).next_offset
    for number in range(3):
        at = NOON_US + number * 3_600_000_000 + 999
        same = {"trace_id": f"{number:032x}", "service_name": LONG + "b" if number == 2 else f"s{number}", "start_time": at, "start_unix_nano": at * 1000}
        spans = rows(SPANS, P, range(number * 10, number * 10 + 5), span_id="1".zfill(16), end_unix_nano=at * 1000 + 5, **same)
        logs = rows(LOGS, P, range(number * 10 + 5, number * 10 + 9), trace_id=f"{number:032x}", span_id="1".zfill(16), time=at, body="x")
        rejects = rows(REJECTS, P, [number * 10 + 9])
        interval = Interval(P, "stored", "", number * 10, number * 10 + 9, 10, 10, 5, 4, 1, event_time_us=(at, at), kafka_time_us=(at, at))
        lake.commit(Cycle([spans], [logs], [rejects], [interval], {P: expected}, GROUP))
        expected = number * 10 + 10
    return place


@pytest.fixture(scope="module")
def snapshot(lake: Path) -> Snapshot:
    return take(str(lake))


@pytest.mark.parametrize(
    ("sql", "files"),
    [
        (f"SELECT * FROM spans WHERE trace_id = '{1:032x}'", 1),
        (f"SELECT * FROM traces WHERE trace_id = '{1:032x}'", 1),
        ("SELECT * FROM spans WHERE trace_id IS NULL", 0),
        ("SELECT * FROM spans WHERE start_time < '2026-01-02 13:00:00+00'", 1),
        ("SELECT * FROM spans WHERE start_time = '2026-01-02 14:00:00.000999+00'", 1),
        (f"SELECT * FROM spans WHERE service_name = '{LONG}b'", 1),
        ("SELECT * FROM spans WHERE service_name = 'service x'", 0),
        ("SELECT * FROM spans WHERE kafka_offset BETWEEN 8 AND 12", 1),
        ("SELECT * FROM spans WHERE day = '2026-01-02' AND service_name = 's0'", 1),
        ("SELECT * FROM spans WHERE day = '2026-01-03'", 0),
        ("SELECT * FROM spans", 3),
    ],
)
def test_stores_statistics_choose_the_files(snapshot: Snapshot, sql: str, files: int) -> None:
    assert len(files_needed(bare(), snapshot, sql)["spans"]) == files


def test_stores_rows_are_all_there(lake: Path) -> None:
    connection = connect(str(lake))
    counts = "SELECT (SELECT count(*) FROM spans), (SELECT count(*) FROM logs), (SELECT count(*) FROM rejects), (SELECT sum(rows_in) FROM intervals)"
    assert connection.execute(counts).fetchall() == [(15, 12, 3, 30)]
    assert connection.execute("SELECT spans, logs, complete FROM traces ORDER BY trace_id").fetchall() == [(1, 4, True)] * 3
    assert connection.execute("SELECT count(*) FROM trace_logs").fetchall() == [(12,)]


def test_stores_intervals_add_up(snapshot: Snapshot) -> None:
    found = status(snapshot, Clock(), lambda asked: dict.fromkeys(asked, 31))
    (only,) = found.partitions
    assert (only.next_offset, only.lag, only.complete, found.rows) == (30, 1, True, {"spans": 15, "logs": 12, "rejects": 3})
    assert found.rows == found.accounted
    assert found.newest_event == "2026-01-02T14:00:00.000999Z"
