"""The joined views against plain loops over random small forests: repeats, rings, absent parents, several roots, no ids."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracebraid.pipeline.query.connection import joined_views

Row = dict[str, Any]
LOW = "a3ce929d0e0e4736"
A, B, SHORT, OTHER = "4bf92f3577b34da6" + LOW, "0000000000000001" + LOW, "0" * 16 + LOW, "0" * 16 + "00f067aa0ba902b7"
TRACES = st.sampled_from([A, A, B, SHORT, "c" * 32, None])
SPANS = st.sampled_from(["1", "2", "3", "4", None])
SERVICES = st.sampled_from(["x", "y", "z", None])
SPAN = st.fixed_dictionaries(
    {
        **{"trace_id": TRACES, "span_id": SPANS, "parent_span_id": SPANS, "service_name": SERVICES, "start_unix_nano": st.none() | st.integers(0, 3)},
        **{"status_code": st.sampled_from(["OK", "ERROR"]), "duration_ns": st.none() | st.integers(0, 9), "name": st.sampled_from(["n", "m"])},
    }
)
LOG = st.fixed_dictionaries({"trace_id": TRACES | st.just(OTHER) | st.just(SHORT), "span_id": SPANS})
TABLES = """
CREATE OR REPLACE TABLE spans (trace_id VARCHAR, span_id VARCHAR, parent_span_id VARCHAR, service_name VARCHAR, name VARCHAR, kind VARCHAR, status_code VARCHAR,
    start_time TIMESTAMPTZ, end_time TIMESTAMPTZ, start_unix_nano BIGINT, end_unix_nano BIGINT, duration_ns BIGINT,
    kafka_topic VARCHAR, kafka_partition INTEGER, kafka_offset BIGINT, record_index INTEGER);
CREATE OR REPLACE TABLE logs (trace_id VARCHAR, span_id VARCHAR, row_number INTEGER);
"""


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as made:
        made.execute(TABLES + joined_views())
        yield made


def known(spans: list[Row]) -> dict[str, dict[str, Row]]:
    """By trace and span id, of several rows the one that started first; the first of those in the order of the log."""
    found: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in sorted(spans, key=lambda row: 9 if row["start_unix_nano"] is None else row["start_unix_nano"]):
        if row["trace_id"] and row["span_id"]:
            found[row["trace_id"]].setdefault(row["span_id"], row)
    return found


def traces_of(log: Row, with_a_span: set[str]) -> list[str]:
    """Its own, where that has a span; else, for a 64-bit id, all whose low half it is."""
    trace = log["trace_id"]
    if trace is None or trace in with_a_span:
        return [trace] if trace else []
    return sorted(wide for wide in with_a_span if trace.startswith("0" * 16) and not wide.startswith("0" * 16) and wide[16:] == trace[16:])


def traces(spans: list[Row], logs: list[Row]) -> set[tuple[Any, ...]]:
    made = set()
    for trace, own in known(spans).items():
        roots = [row for row in own.values() if row["parent_span_id"] is None]
        absent = [row for row in own.values() if row["parent_span_id"] is not None and row["parent_span_id"] not in own]
        first = min(roots, key=lambda row: (9 if row["start_unix_nano"] is None else row["start_unix_nano"], row["span_id"]), default=None)
        services = tuple(sorted({row["service_name"] for row in own.values() if row["service_name"]}))
        errors = sum(row["status_code"] == "ERROR" for row in own.values())
        root = (first["service_name"], first["name"]) if first else (None, None)
        with_a_span = {row["trace_id"] for row in spans if row["trace_id"]}
        written = sum(trace in traces_of(row, with_a_span) for row in logs)
        made.add((trace, *root, services, len(own), errors, written, bool(roots) and not absent))
    return made


def edges(spans: list[Row]) -> set[tuple[Any, ...]]:
    calls: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for own in known(spans).values():
        for row in own.values():
            caller = own.get(row["parent_span_id"])
            if caller and caller["service_name"] and row["service_name"] and caller["service_name"] != row["service_name"]:
                calls[caller["service_name"], row["service_name"]].append(row)
    return {(*pair, len(rows), sum(row["status_code"] == "ERROR" for row in rows)) for pair, rows in calls.items()}


@settings(max_examples=150, deadline=None)
@given(st.lists(SPAN, max_size=10), st.lists(LOG, max_size=5))
def test_the_views_say_what_loops_say(connection: duckdb.DuckDBPyConnection, spans: list[Row], logs: list[Row]) -> None:
    connection.execute("DELETE FROM spans; DELETE FROM logs")
    for number, row in enumerate(spans):
        values = {**row, "kafka_topic": "t", "kafka_partition": 0, "kafka_offset": number, "record_index": 0}
        connection.execute(f"INSERT INTO spans ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})", list(values.values()))
    for number, row in enumerate(logs):
        connection.execute("INSERT INTO logs VALUES (?, ?, ?)", [row["trace_id"], row["span_id"], number])

    def ask(sql: str) -> list[tuple[Any, ...]]:
        return [tuple(tuple(value) if isinstance(value, list) else value for value in row) for row in connection.execute(sql).fetchall()]

    found = ask("SELECT trace_id, root_service, root_name, services, spans, errors, logs, complete FROM traces")
    assert (len(found), set(found)) == (len(known(spans)), traces(spans, logs))
    called = ask("SELECT caller, callee, calls, errors FROM service_edges")
    assert (len(called), set(called)) == (len(edges(spans)), edges(spans))
    with_a_span = {row["trace_id"] for row in spans if row["trace_id"]}
    orphans = [number for number, row in enumerate(logs) if not traces_of(row, with_a_span)]
    assert sorted(ask("SELECT row_number, reason FROM orphan_logs")) == [
        (number, "no trace id" if logs[number]["trace_id"] is None else "no span of this trace") for number in orphans
    ]
    own = known(spans)
    placed = [
        (number, trace, "trace id" if trace == row["trace_id"] else "low 64 bits", (own.get(trace, {}).get(row["span_id"]) or {}).get("service_name"))
        for number, row in enumerate(logs)
        for trace in traces_of(row, with_a_span)
    ]
    assert sorted(ask("SELECT row_number, trace_id, joined_by, span_service FROM trace_logs"), key=lambda row: row[:2]) == placed
