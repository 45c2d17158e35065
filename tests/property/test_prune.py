"""Pruning never loses a row: random statements over a lake give what the same statements give over the rows in memory."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from random import Random

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.query.build import DAY, NOON_NS, Row, log, moment, span, write
from tracebraid.pipeline.query.connection import bare, install, joined_views
from tracebraid.pipeline.query.prune import files_needed
from tracebraid.pipeline.query.snapshot import Snapshot, take
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.spans import SPANS

FILES, ROWS = 12, 4
SERVICES = (
    "cart",
    "cart-db",
    "",
    "it's",
    "größe",
    "two\nlines",
    "optional: x",
    "\U0010ffff",
    "long " * 12 + "a",
    "long " * 12 + "b",
    "x' OR 'a'='a",
    "nul\x00",
)
TRACES = tuple(f"{number * 0x11111111:032x}" for number in range(10))
STATUSES = ("OK", "ERROR", "UNSET")


def _rows(seed: int) -> tuple[list[list[Row]], list[list[Row]]]:
    """Files of rows, some of few values, some with nulls, some of nulls alone."""
    random = Random(seed)
    spans, logs = [], []
    for number in range(FILES):
        services, traces = random.sample(SERVICES, random.randint(1, 3)), random.sample(TRACES, random.randint(1, 4))
        absent = random.choice((0, 0, 0.3, 1))
        near = random.randrange(-3, 4) * 86_400_000
        made = []
        for each in range(ROWS):
            at = near + random.choice((0, 1, 999, 0.001, 0.0005)) + random.randrange(3) * 3_600_000
            row = span(random.choice(traces), f"{number:x}{each:x}", random.choice((None, "1")), at_ms=at, ms=random.choice((0, 1, -5, 9e9)))
            row |= {"service_name": random.choice(services), "status_code": random.choice(STATUSES), "kafka_offset": number * 100 + each}
            row |= {"kafka_partition": random.randrange(3), "day": DAY + timedelta(milliseconds=at)}
            row |= {name: None for name in ("trace_id", "start_time", "service_name", "status_code", "duration_ns") if random.random() < absent}
            made.append(row)
        spans.append(made)
        logs.append([log(random.choice((*traces, None)), row["span_id"][-2:], "x", kafka_offset=row["kafka_offset"], day=row["day"]) for row in made])
    return spans, logs


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Snapshot, duckdb.DuckDBPyConnection]]:
    """The lake, and the oracle: the same rows in a database of their own, without files."""
    place: Path = tmp_path_factory.mktemp("lake")
    spans, logs = _rows(1)
    write(place, SPANS, *spans)
    write(place, LOGS, *logs)
    oracle = bare()
    install(oracle, take(str(place)))
    for table in ("spans", "logs"):
        # Materialized before any statement is pruned; that these are the rows written is a test of its own.
        oracle.execute(f"CREATE TABLE held AS FROM {table}; DROP VIEW {table}; ALTER TABLE held RENAME TO {table}")
    oracle.execute(joined_views())
    yield take(str(place)), oracle
    oracle.close()


def text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


TIMES = st.sampled_from([moment(NOON_NS + days * 86_400 * 10**9 + ms * 10**6) for days in range(-3, 4) for ms in (0, 1, 3_600_000)])
INTEGERS = st.sampled_from([-(2**63), -5_000_000, -1, 0, 1, 2, 3, 99, 100, 102, 103, 500, 1102, 1103, 999_999, 10**6, 2**63 - 1])
COLUMNS: dict[str, st.SearchStrategy[str]] = {
    "trace_id": st.sampled_from((*TRACES, "", "1", "f" * 33)).map(text),
    "service_name": st.sampled_from((*SERVICES, "long " * 6, "cart-", "a' AND 'b")).map(text),
    "status_code": st.sampled_from(STATUSES).map(text),
    "start_time": st.one_of(TIMES.map(lambda at: f"TIMESTAMPTZ '{at.isoformat()}'"), st.just("now() - INTERVAL 1 DAY"), st.just("'infinity'")),
    "end_time": TIMES.map(lambda at: f"TIMESTAMPTZ '{at.isoformat()}'"),
    "day": st.integers(-4, 4).map(lambda days: f"DATE '{date.fromordinal(DAY.toordinal() + days)}'"),
    "duration_ns": INTEGERS.map(str),
    "kafka_offset": st.one_of(INTEGERS.map(str), st.just("100.5"), st.just("1e2")),
    "kafka_partition": INTEGERS.filter(lambda number: abs(number) < 2**31).map(str),
}
OPERATORS = st.sampled_from(["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"])


ODD = st.sampled_from(
    [
        *("service_name LIKE 'cart%'", "service_name ILIKE 'CART%'", "starts_with(service_name, 'long ')", "upper(service_name) = 'CART'"),
        *("coalesce(trace_id, 'x') > '2'", "start_time::DATE = day", "day + 1 > DATE '2026-01-02'", "length(trace_id) = 32", "true", "false", "NULL"),
    ]
)
FORMS = st.sampled_from(
    ["{0} {op} {1}", "{0} {op} {1}", "{1} {op} {0}", "{0} IN ({1}, {2}, {3})", "{0} NOT IN ({1}, {2})", "{0} BETWEEN {1} AND {2}", "{0} IS NULL"]
)


@st.composite
def conditions(draw: st.DrawFn) -> str:
    column = draw(st.sampled_from(sorted(COLUMNS)))
    values = draw(st.tuples(COLUMNS[column], COLUMNS[column], COLUMNS[column]))
    return draw(st.one_of(FORMS, FORMS, FORMS, ODD)).format(column, *values, op=draw(OPERATORS))


def predicates() -> st.SearchStrategy[str]:
    def widen(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        joined = st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(lambda parts: f"({parts[0]} {parts[1]} {parts[2]})")
        return st.one_of(joined, inner.map(lambda part: f"NOT ({part})"), inner.map(lambda part: f"({part}) IS NOT TRUE"))

    return st.recursive(conditions(), widen, max_leaves=5)


SHAPES = st.sampled_from(
    [
        "SELECT span_id FROM spans WHERE {0}",
        "SELECT span_id FROM spans WHERE {0} AND {1}",
        "SELECT count(*), min(start_time), max(duration_ns) FROM spans WHERE {0}",
        "SELECT span_id FROM spans WHERE trace_id IN (SELECT trace_id FROM spans WHERE {0})",
        "SELECT span_id FROM spans WHERE {0} AND trace_id NOT IN (SELECT trace_id FROM spans WHERE {1} AND trace_id IS NOT NULL)",
        "SELECT span_id FROM spans AS s WHERE {0} AND EXISTS (FROM logs WHERE logs.trace_id = s.trace_id)",
        "WITH x AS (FROM spans WHERE {0}) SELECT x.span_id FROM x LEFT JOIN (FROM spans WHERE {1}) AS y USING (trace_id, span_id) WHERE y.name IS NULL",
        "WITH x AS MATERIALIZED (SELECT * FROM spans WHERE {0}) SELECT span_id FROM x WHERE {1} UNION ALL SELECT span_id FROM x",
        "SELECT s.span_id, l.kafka_offset FROM (FROM spans WHERE {0}) AS s JOIN logs AS l USING (trace_id)",
        "SELECT s.span_id, l.kafka_offset FROM (FROM spans WHERE {0}) AS s FULL JOIN logs AS l USING (trace_id) WHERE l.day > DATE '2026-01-01'",
        "SELECT span_id FROM spans WHERE {0} UNION SELECT span_id FROM spans WHERE {1}",
        "SELECT span_id FROM spans WHERE {0} EXCEPT SELECT span_id FROM spans WHERE {1}",
        "SELECT service_name, count(*) FILTER ({0}) FROM spans WHERE {1} GROUP BY service_name HAVING count(*) > 1",
        "SELECT trace_id, spans, logs, complete FROM traces WHERE trace_id IN (SELECT trace_id FROM spans WHERE {0})",
        "SELECT * EXCLUDE (services) FROM traces WHERE trace_id = '" + TRACES[3] + "'",
        "SELECT trace_id, kafka_offset FROM trace_logs WHERE trace_id >= '" + TRACES[6] + "'",
        "SELECT reason, kafka_offset FROM orphan_logs WHERE day <= DATE '2026-01-02'",
        "SELECT span_id, row_number() OVER (PARTITION BY trace_id ORDER BY kafka_offset) FROM spans WHERE {0} QUALIFY {1}",
        "SELECT span_id FROM spans WHERE {0} ORDER BY kafka_offset LIMIT 3",
        "SELECT (SELECT count(*) FROM spans AS i WHERE i.trace_id = o.trace_id) FROM spans AS o WHERE {0}",
        "SELECT a.span_id FROM spans AS a, spans AS b WHERE a.kafka_offset = b.kafka_offset + 1 AND a.trace_id = b.trace_id",
    ]
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(shape=SHAPES, first=predicates(), second=predicates())
def test_a_pruned_statement_gives_what_an_unpruned_one_gives(lake: tuple[Snapshot, duckdb.DuckDBPyConnection], shape: str, first: str, second: str) -> None:
    snapshot, oracle = lake
    sql = shape.format(f"({first})", f"({second})")
    with bare() as connection:
        connection.begin()
        assert _result(connection, sql, snapshot) == _result(oracle, sql)


def _result(connection: duckdb.DuckDBPyConnection, sql: str, pruned: Snapshot | None = None) -> list[str] | type[duckdb.Error]:
    """The rows in any order; for a statement that is wrong, how."""
    try:
        if pruned is not None:
            install(connection, pruned, files_needed(connection, pruned, sql))
        return sorted(map(repr, connection.execute(sql).fetchall()))
    except duckdb.Error as wrong:
        return type(wrong)


def test_the_oracle_holds_the_rows_that_were_written(lake: tuple[Snapshot, duckdb.DuckDBPyConnection]) -> None:
    written = pa.Table.from_pylist([{"span_id": row["span_id"], "service_name": row["service_name"]} for rows in _rows(1)[0] for row in rows])
    held = lake[1].execute("SELECT span_id, service_name FROM spans ORDER BY span_id").fetchall()
    assert held == [tuple(row.values()) for row in written.sort_by("span_id").to_pylist()]
