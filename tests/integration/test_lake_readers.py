"""Polars, PyArrow and DuckDB read the tables without us and count the same, nested columns included."""

from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from tests.unit.store.build import GROUP, NOON_US, partition, rows
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.store.lake import Lake
from tracebraid.pipeline.store.ledger import Cycle, Interval
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.spans import SPANS

P = partition()
EVENTS = [{"time_unix_nano": 5, "name": "retry", "attributes": [("n", "1")], "dropped_attributes_count": 0}]
CYCLES, ROWS = 3, 500


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three cycles over two days: 1,500 spans, every third an error, and as many logs, every fifth without a trace."""
    place = tmp_path_factory.mktemp("lake")
    lake = Lake.open(str(place), {}, Clock())
    lake.claim(GROUP)
    expected = lake.read_ledger(P).next_offset
    for number in range(CYCLES):
        first = number * ROWS
        spans = [_span(offset) for offset in range(first, first + ROWS)]
        logs = [_log(offset) for offset in range(first, first + ROWS)]
        interval = Interval(P, "stored", "", first, first + ROWS - 1, ROWS, 2 * ROWS, ROWS, ROWS, kafka_time_us=(NOON_US, NOON_US))
        lake.commit(Cycle(spans, logs, [], [interval], {P: expected}, GROUP))
        expected = first + ROWS
    return place


def _span(offset: int) -> pa.RecordBatch:
    return rows(
        SPANS,
        P,
        [offset],
        day=date(2026, 1, 2 + offset % 2),
        trace_id=f"{offset // 10:032x}",
        service_name=f"service-{offset % 7}",
        status_code="ERROR" if offset % 3 == 0 else "OK",
        duration_ns=offset * 1000,
        start_time=NOON_US + offset,
        attributes=[("user.id", str(offset % 4)), ("größe", "\U0001f6d2")],
        events=EVENTS,
    )


def _log(offset: int) -> pa.RecordBatch:
    return rows(LOGS, P, [offset], day=date(2026, 1, 2 + offset % 2), trace_id=None if offset % 5 == 0 else f"{offset // 10:032x}", time=NOON_US, body="hello")


EXPECTED = {
    "rows": CYCLES * ROWS,
    "traces": CYCLES * ROWS // 10,
    "errors": Counter(f"service-{offset % 7}" for offset in range(CYCLES * ROWS) if offset % 3 == 0),
    "slow": CYCLES * ROWS - 1400,
    "user 3": CYCLES * ROWS // 4,
    "days": {date(2026, 1, 2): CYCLES * ROWS // 2, date(2026, 1, 3): CYCLES * ROWS // 2},
    "logs with a trace": CYCLES * ROWS * 4 // 5,
}


def test_polars(lake: Path) -> None:
    spans, logs = pl.scan_delta(str(lake / "spans")), pl.scan_delta(str(lake / "logs"))
    errors = spans.filter(pl.col("status_code") == "ERROR").select("service_name").collect()["service_name"]
    users = [attributes["user.id"] for attributes in spans.select("attributes").collect()["attributes"].to_list()]
    days = spans.group_by("day").len().collect()
    assert {
        "rows": spans.select(pl.len()).collect().item(),
        "traces": spans.select(pl.col("trace_id").n_unique()).collect().item(),
        "errors": Counter(errors.to_list()),
        "slow": spans.filter(pl.col("duration_ns") >= 1_400_000).select(pl.len()).collect().item(),
        "user 3": users.count("3"),
        "days": dict(zip(days["day"].to_list(), days["len"].to_list(), strict=True)),
        "logs with a trace": logs.filter(pl.col("trace_id").is_not_null()).select(pl.len()).collect().item(),
    } == EXPECTED


def test_pyarrow(lake: Path) -> None:
    spans, logs = (DeltaTable(str(lake / name)).to_pyarrow_dataset() for name in ("spans", "logs"))
    attributes = spans.to_table(columns=["attributes"])["attributes"].combine_chunks()
    assert {
        "rows": spans.count_rows(),
        "traces": pc.count_distinct(spans.to_table(columns=["trace_id"])["trace_id"]).as_py(),
        "errors": Counter(spans.to_table(columns=["service_name"], filter=pc.field("status_code") == "ERROR")["service_name"].to_pylist()),
        "slow": spans.count_rows(filter=pc.field("duration_ns") >= 1_400_000),
        "user 3": pc.map_lookup(attributes, "user.id", "first").to_pylist().count("3"),
        "days": dict(Counter(spans.to_table(columns=["day"])["day"].to_pylist())),
        "logs with a trace": logs.count_rows(filter=pc.field("trace_id").is_valid()),
    } == EXPECTED


def test_duckdb(lake: Path) -> None:
    con = duckdb.connect()
    for name in ("spans", "logs"):
        files = DeltaTable(str(lake / name)).file_uris()
        con.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({files!r}, hive_partitioning = true)")

    def one(sql: str) -> Any:
        row = con.execute(sql).fetchone()
        assert row is not None
        return row[0]

    assert {
        "rows": one("SELECT count(*) FROM spans"),
        "traces": one("SELECT count(DISTINCT trace_id) FROM spans"),
        "errors": Counter(dict(con.execute("SELECT service_name, count(*) FROM spans WHERE status_code = 'ERROR' GROUP BY ALL").fetchall())),
        "slow": one("SELECT count(*) FROM spans WHERE duration_ns >= 1400000"),
        "user 3": one("SELECT count(*) FROM spans WHERE attributes['user.id'] = '3'"),
        "days": dict(con.execute("SELECT day, count(*) FROM spans GROUP BY ALL").fetchall()),
        "logs with a trace": one("SELECT count(*) FROM logs WHERE trace_id IS NOT NULL"),
    } == EXPECTED


def test_nested_values_are_read_whole(lake: Path) -> None:
    files = DeltaTable(str(lake / "spans")).file_uris()
    query = f"SELECT attributes, events FROM read_parquet({files!r}) WHERE kafka_offset = 7"
    event = {"time_unix_nano": 5, "name": "retry", "attributes": {"n": "1"}, "dropped_attributes_count": 0}
    assert duckdb.sql(query).fetchall() == [({"user.id": "3", "größe": "\U0001f6d2"}, [event])]
    (row,) = DeltaTable(str(lake / "spans")).to_pyarrow_dataset().to_table(columns=["attributes", "events"], filter=pc.field("kafka_offset") == 7).to_pylist()
    assert row == {"attributes": [("user.id", "3"), ("größe", "\U0001f6d2")], "events": EVENTS}


def test_the_bloom_filter_and_the_statistics_name_the_file_of_a_trace(lake: Path) -> None:
    """DuckDB reads the bloom filter of every row group; a trace id that sorts between a file's ids but is not among them is excluded."""
    uri = DeltaTable(str(lake / "spans")).file_uris()[0]
    ids = pq.ParquetFile(uri).read(columns=["trace_id"])["trace_id"].to_pylist()
    absent = ids[0][:-1] + "z"  # no hex digit, so nobody's; it sorts among the file's ids
    assert ids == sorted(ids)
    assert ids[0] < absent < ids[-1]
    probe = "SELECT bloom_filter_excludes FROM parquet_bloom_probe(?, 'trace_id', ?)"
    assert duckdb.execute(probe, [uri, absent]).fetchall() == [(True,)]
    assert duckdb.execute(probe, [uri, ids[0]]).fetchall() == [(False,)]


def test_every_table_asks_for_the_protocol_that_all_engines_have(lake: Path) -> None:
    protocols = {name: DeltaTable(str(lake / name)).protocol() for name in ("spans", "logs", "rejects", "intervals")}
    assert {(protocol.min_reader_version, protocol.min_writer_version) for protocol in protocols.values()} == {(1, 2)}
