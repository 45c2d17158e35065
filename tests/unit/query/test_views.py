"""The views over a small lake: whole results."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable, Field
from deltalake.schema import PrimitiveType

from tests.unit.query.build import MS, NOON_NS, log, moment, shop_lake, span, write
from tracebraid import connect, refresh
from tracebraid.pipeline.kernel.errors import TracebraidError, UsageError
from tracebraid.pipeline.query.connection import sql_type
from tracebraid.schemas.intervals import INTERVALS
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.rejects import REJECTS
from tracebraid.schemas.spans import SPANS
from tracebraid.schemas.table import STRING, Column


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    return connect(str(shop_lake(tmp_path_factory.mktemp("lake"))))


def ask(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    result = connection.execute(sql)
    names = [column[0] for column in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def test_traces(shop: duckdb.DuckDBPyConnection) -> None:
    whole = {
        **{
            "trace_id": "a".zfill(32),
            "root_service": "gateway",
            "root_name": "GET /",
            "services": ["cart", "db", "gateway"],
            "spans": 3,
            "errors": 1,
            "logs": 2,
        },
        **{"start_time": moment(NOON_NS), "end_time": moment(NOON_NS + 100 * MS), "duration_ns": 100 * MS, "complete": True},
    }
    torn = {
        **{"trace_id": "b".zfill(32), "root_service": None, "root_name": None, "services": ["cart"], "spans": 1, "errors": 0, "logs": 0},
        **{"start_time": moment(NOON_NS), "end_time": moment(NOON_NS + MS), "duration_ns": MS, "complete": False},
    }
    assert ask(shop, "SELECT * FROM traces ORDER BY trace_id") == [whole, torn]


def test_the_base_view_keeps_what_was_sent_twice(shop: duckdb.DuckDBPyConnection) -> None:
    assert ask(shop, "SELECT count(*) AS n, count(DISTINCT (trace_id, span_id)) AS d FROM spans") == [{"n": 5, "d": 4}]


def test_every_log_is_in_trace_logs_or_in_orphan_logs(shop: duckdb.DuckDBPyConnection) -> None:
    joined = "SELECT body, span_service, span_name, span_kind, span_status_code, span_duration_ns FROM trace_logs ORDER BY body"
    assert ask(shop, joined) == [
        {"body": "adding", "span_service": "cart", "span_name": "add", "span_kind": "SERVER", "span_status_code": "ERROR", "span_duration_ns": 50 * MS},
        {"body": "loose", **dict.fromkeys(("span_service", "span_name", "span_kind", "span_status_code", "span_duration_ns"))},
    ]
    assert ask(shop, "SELECT reason, body FROM orphan_logs ORDER BY body") == [
        {"reason": "no span of this trace", "body": "alone"},
        {"reason": "no trace id", "body": "no id"},
    ]


def test_service_edges(shop: duckdb.DuckDBPyConnection) -> None:
    assert ask(shop, "SELECT * FROM service_edges ORDER BY caller") == [
        {"caller": "cart", "callee": "db", "calls": 1, "errors": 0, "p50_ms": 20.0, "p99_ms": 20.0},
        {"caller": "gateway", "callee": "cart", "calls": 1, "errors": 1, "p50_ms": 50.0, "p99_ms": 50.0},
    ]


def test_a_log_of_a_span_sent_twice_is_there_once(tmp_path: Path) -> None:
    write(tmp_path, SPANS, [span("a", "1")], [span("a", "1")], [span("a", "1", at_ms=-1, name="earlier")])
    write(tmp_path, LOGS, [log("a", "1", "x")])
    assert ask(connect(str(tmp_path)), "SELECT body, span_name FROM trace_logs") == [{"body": "x", "span_name": "earlier"}]


def test_an_empty_lake_has_every_column(tmp_path: Path) -> None:
    write(tmp_path, SPANS)
    connection = connect(str(tmp_path))
    for table in (SPANS, LOGS, REJECTS, INTERVALS):
        described = [(row["column_name"], row["column_type"]) for row in ask(connection, f"DESCRIBE {table.name}")]
        expected = [(column.name, sql_type(column.type)) for column in table.columns]
        assert [(name, kind.replace('"', "")) for name, kind in described] == [(name, kind.replace('"', "")) for name, kind in expected]
        assert ask(connection, f"SELECT * FROM {table.name}") == []
    for view in ("traces", "trace_logs", "orphan_logs", "service_edges"):
        assert ask(connection, f"SELECT * FROM {view}") == []


def test_types_are_the_same_with_rows(tmp_path: Path, shop: duckdb.DuckDBPyConnection) -> None:
    write(tmp_path, SPANS)
    empty = connect(str(tmp_path))
    for view in ("spans", "logs", "rejects", "intervals", "traces", "trace_logs", "orphan_logs", "service_edges"):
        assert ask(shop, f"DESCRIBE {view}") == ask(empty, f"DESCRIBE {view}")


def test_a_column_that_older_files_lack_is_null(tmp_path: Path) -> None:
    write(tmp_path, SPANS, [span("a", "1", attributes=[("user.id", "7")])])
    DeltaTable(str(tmp_path / "spans")).alter.add_columns([Field("user_id", PrimitiveType("string"))])
    widened = replace(SPANS, columns=(*SPANS.columns, Column("user_id", STRING, "A user's own.")))
    write(tmp_path, widened, [span("b", "2", user_id="8")])
    connection = connect(str(tmp_path))
    assert ask(connection, "SELECT span_id, user_id, attributes['user.id'] AS old FROM spans ORDER BY span_id") == [
        {"span_id": "1".zfill(16), "user_id": None, "old": "7"},
        {"span_id": "2".zfill(16), "user_id": "8", "old": None},
    ]
    assert ask(connection, "SELECT span_id FROM spans WHERE user_id = '8'") == [{"span_id": "2".zfill(16)}]


def test_a_connection_sees_one_snapshot_until_it_is_refreshed(tmp_path: Path) -> None:
    write(tmp_path, SPANS, [span("a", "1")])
    connection = connect(str(tmp_path))
    write(tmp_path, SPANS, [span("a", "2", "1")])
    write(tmp_path, LOGS, [log("a", "2", "x")])
    count = "SELECT (SELECT count(*) FROM spans) AS spans, (SELECT count(*) FROM logs) AS logs, (SELECT sum(spans) FROM traces) AS in_traces"
    assert ask(connection, count) == [{"spans": 1, "logs": 0, "in_traces": 1}]
    assert refresh(connection) == {"spans": 2, "logs": 1, "rejects": None, "intervals": None, "windows": None, "alerts": None}
    assert ask(connection, count) == [{"spans": 2, "logs": 1, "in_traces": 2}]


def test_a_lake_whose_path_looks_like_a_pattern(tmp_path: Path) -> None:
    lake = write(tmp_path / "l?ke *'s", SPANS, [span("a", "1")])
    write(tmp_path / "lake xs", SPANS, [span("a", "2")])
    assert ask(connect(str(lake)), "SELECT span_id FROM spans") == [{"span_id": "1".zfill(16)}]
    assert ask(connect(f"file://{tmp_path}/lake%20xs"), "SELECT span_id FROM spans") == [{"span_id": "2".zfill(16)}]


def test_the_lake_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEBRAID_LAKE", str(write(tmp_path, SPANS, [span("a", "1")])))
    assert ask(connect(), "SELECT count(*) AS n FROM spans") == [{"n": 1}]


def test_times_are_utc_and_comments_are_there(shop: duckdb.DuckDBPyConnection) -> None:
    shown = ask(shop, "SELECT start_time::VARCHAR AS t FROM traces WHERE complete")
    assert shown == [{"t": "2026-01-02 12:00:00+00"}]
    comments = {row["view_name"]: row["comment"] for row in ask(shop, "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal")}
    tables = {"spans", "logs", "rejects", "intervals", "windows", "alerts"}
    assert set(comments) == tables | {"traces", "trace_logs", "orphan_logs", "service_edges", "span_ids", "trace_ids", "short_logs"}
    assert all(comments.values())


def test_refused_lakes(tmp_path: Path) -> None:
    with pytest.raises(TracebraidError, match="there is no lake at"):
        connect(str(tmp_path))
    newer = write(tmp_path / "newer", SPANS, properties={"tracebraid.schemaVersion": "2"})
    with pytest.raises(TracebraidError, match=r"schema version 2; this tracebraid reads up to 1\. Upgrade tracebraid"):
        connect(str(newer))
    foreign = write(tmp_path / "foreign", SPANS, properties={"tracebraid.schemaVersion": ""})
    with pytest.raises(TracebraidError, match="not one of tracebraid's"):
        connect(str(foreign))
    with pytest.raises(UsageError, match="was not made by"):
        refresh(duckdb.connect(":memory:"))


def test_a_log_with_the_low_half_of_an_id_is_a_log_of_its_trace(tmp_path: Path) -> None:
    whole, low = "4bf92f3577b34da6a3ce929d0e0e4736", "a3ce929d0e0e4736"
    write(tmp_path, SPANS, [span(whole, "1", name="pay"), span("b" * 16, "2")])
    write(tmp_path, LOGS, [log(low, "1", "short"), log(whole, "1", "whole"), log("b" * 16, "2", "of a 64-bit trace"), log("c" * 16, None, "of none")])
    connection = connect(str(tmp_path))
    assert ask(connection, "SELECT trace_id, body, joined_by, span_name FROM trace_logs ORDER BY body") == [
        {"trace_id": ("b" * 16).zfill(32), "body": "of a 64-bit trace", "joined_by": "trace id", "span_name": "op 2"},
        {"trace_id": whole, "body": "short", "joined_by": "low 64 bits", "span_name": "pay"},
        {"trace_id": whole, "body": "whole", "joined_by": "trace id", "span_name": "pay"},
    ]
    assert ask(connection, "SELECT body FROM orphan_logs") == [{"body": "of none"}]
    assert ask(connection, "SELECT logs FROM traces ORDER BY trace_id") == [{"logs": 1}, {"logs": 2}]
