"""Which files a statement reads: few, by the statistics alone, and never too few."""

from collections.abc import Callable
from datetime import date
from operator import eq, ge, gt, le, lt
from pathlib import Path

import duckdb
import pytest

from tests.unit.query.build import log, span, write
from tracebraid.pipeline.query.connection import bare
from tracebraid.pipeline.query.prune import files_needed, scan_filters
from tracebraid.pipeline.query.snapshot import Snapshot, take
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.spans import SPANS

HOUR_MS = 3_600_000
AWKWARD = "it's\noptional: x' OR ('1'='1"


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Four files of spans, an hour of the day apart, and two of logs; the last of spans has nulls, the awkward name and a day of its own."""
    lake = tmp_path_factory.mktemp("lake")
    for number, trace in enumerate(("a", "b", "c")):
        write(
            lake,
            SPANS,
            [span(trace, f"{number}{each}", at_ms=number * HOUR_MS + 10 + each, service_name=f"s{number}", kafka_offset=number) for each in range(3)],
        )
    other = {"day": date(2026, 1, 3), "service_name": AWKWARD, "kafka_offset": 3}
    write(lake, SPANS, [span("d", "30", at_ms=24 * HOUR_MS, **other) | {"trace_id": None}])
    write(lake, LOGS, [log("a", "00", "x")], [log("c", "20", "y")])
    return take(str(lake))


def read(snapshot: Snapshot, sql: str) -> dict[str, set[str]]:
    """The traces of the files that are read; '-' stands for the last file of spans."""
    found = files_needed(bare(), snapshot, sql)
    named = {}
    for name in ("spans", "logs"):
        bounds = dict(zip((file.path for file in snapshot.tables[name].files), snapshot.tables[name].bounds("trace_id"), strict=True))
        named[name] = {bounds[file.path].low[-1] if bounds[file.path].low else "-" for file in found[name]}
    return named


TRACE_A = f"'{'a'.zfill(32)}'"
TRACE_C = f"'{'c'.zfill(32)}'"


@pytest.mark.parametrize(
    ("sql", "spans"),
    [
        (f"SELECT * FROM spans WHERE trace_id = {TRACE_A}", "a"),
        (f"SELECT * FROM spans WHERE trace_id IN ({TRACE_A}, {TRACE_C})", "ac"),
        (f"SELECT * FROM spans WHERE trace_id = {TRACE_A} OR trace_id = {TRACE_C}", "ac"),
        (f"SELECT * FROM spans WHERE trace_id = {TRACE_A} OR trace_id IS NULL", "a-"),
        (f"SELECT * FROM spans WHERE trace_id = {TRACE_A} OR name = 'x'", "abc-"),
        (f"SELECT * FROM spans WHERE NOT trace_id > {TRACE_A}", "a"),
        ("SELECT * FROM spans WHERE trace_id IS NULL", "-"),
        ("SELECT * FROM spans WHERE trace_id IS NOT NULL", "abc"),
        ("SELECT * FROM spans WHERE start_time >= '2026-01-02 13:00:00+00' AND start_time < '2026-01-02 14:00:00+00'", "b"),
        ("SELECT * FROM spans WHERE start_time BETWEEN '2026-01-02 14:00:00+02' AND '2026-01-02 13:00:00.010Z'", "ab"),
        ("SELECT * FROM spans WHERE date_trunc('hour', start_time) = '2026-01-02 13:00:00+00'", "b"),
        ("SELECT * FROM spans WHERE start_time > now()", ""),
        ("SELECT * FROM spans WHERE day = '2026-01-03'", "-"),
        ("SELECT * FROM spans WHERE day < DATE '2026-01-03' AND service_name LIKE 's2%'", "c"),
        ("SELECT * FROM spans WHERE service_name IS NOT DISTINCT FROM 's1'", "b"),
        ("SELECT * FROM spans WHERE service_name IS DISTINCT FROM 's1'", "abc-"),
        ("SELECT * FROM spans WHERE kafka_offset > 1", "c-"),
        ("SELECT * FROM spans WHERE kafka_offset % 2 = 1", "abc-"),
        ("SELECT * FROM spans", "abc-"),
        (f"FROM spans SELECT count(*) FILTER (trace_id = {TRACE_A})", "abc-"),
        (f"SELECT * FROM traces WHERE trace_id = {TRACE_A}", "a"),
        (f"SELECT * FROM trace_logs WHERE trace_id = {TRACE_A}", "a"),
        (f"SELECT * FROM orphan_logs WHERE trace_id = {TRACE_A}", "a"),
        (f"SELECT s.name, l.body FROM spans AS s JOIN logs AS l USING (trace_id) WHERE s.trace_id = {TRACE_A}", "a"),
        (f"WITH one AS (SELECT * FROM spans WHERE trace_id = {TRACE_A}) SELECT count(*) FROM one, one AS other", "a"),
        (f"SELECT * FROM spans WHERE trace_id = {TRACE_A} UNION ALL SELECT * FROM spans WHERE kafka_offset = 2", "ac"),
        (f"SELECT count(*) FROM spans WHERE trace_id = {TRACE_A} AND kafka_offset < (SELECT count(*) FROM spans)", "abc-"),
    ],
)
def test_spans_that_are_read(snapshot: Snapshot, sql: str, spans: str) -> None:
    assert read(snapshot, sql)["spans"] == set(spans)


def test_a_condition_reaches_both_sides_of_a_join(snapshot: Snapshot) -> None:
    assert read(snapshot, f"SELECT * FROM trace_logs WHERE trace_id = {TRACE_A}") == {"spans": {"a"}, "logs": {"a"}}


def test_the_join_of_short_ids_reads_no_more_of_either_table(tmp_path: Path) -> None:
    whole = [digit * 32 for digit in "abc"]
    for trace in whole:
        write(tmp_path, SPANS, [span(trace, "1")])
        write(tmp_path, LOGS, [log(trace, "1", "x")])
    write(tmp_path, SPANS, [span("e", "1")])
    write(tmp_path, LOGS, [log("f" * 16, "1", "short")])
    snapshot = take(str(tmp_path))
    for view, logs in (("trace_logs", "af"), ("traces", "af"), ("orphan_logs", "a")):
        spans = {"trace_logs": "ae", "traces": "ae", "orphan_logs": "a"}[view]  # e, f: the files whose ids are short
        assert read(snapshot, f"SELECT * FROM {view} WHERE trace_id = '{whole[0]}'") == {"spans": set(spans), "logs": set(logs)}, view


def test_quoted_text_is_never_taken_for_a_condition(snapshot: Snapshot) -> None:
    quoted = AWKWARD.replace("'", "''")
    assert "-" in read(snapshot, f"SELECT * FROM spans WHERE service_name = '{quoted}'")["spans"]
    assert read(snapshot, "SELECT * FROM spans WHERE service_name = 'optional: s1'")["spans"] == set()
    assert "-" in read(snapshot, f"SELECT * FROM spans WHERE service_name = '{quoted}' AND trace_id IS NULL")["spans"]


def test_the_connection_is_as_it_was(snapshot: Snapshot) -> None:
    connection = bare()
    before = connection.execute("SELECT current_schema(), current_setting('disabled_optimizers')").fetchall()
    files_needed(connection, snapshot, "SELECT * FROM spans")
    with pytest.raises(duckdb.BinderException):
        files_needed(connection, snapshot, "SELECT nothing FROM spans")
    assert connection.execute("SELECT current_schema(), current_setting('disabled_optimizers')").fetchall() == before


def test_no_parquet_file_is_touched_to_choose(tmp_path: Path) -> None:
    write(tmp_path, SPANS, [span("a", "1")], [span("b", "1")])
    snapshot = take(str(tmp_path))
    for path in (tmp_path / "spans").rglob("day=*/*.parquet"):
        path.unlink()
    assert len(files_needed(bare(), snapshot, f"SELECT * FROM spans WHERE trace_id = {TRACE_A}")["spans"]) == 1


def test_the_plan_names_every_scan(snapshot: Snapshot) -> None:
    """What pruning rests on: DuckDB's plan over empty tables still has all scans, with the conditions as SQL."""
    sql = "SELECT count(*) FROM spans WHERE kafka_offset = 1 UNION ALL SELECT count(*) FROM spans"
    assert scan_filters(bare(), snapshot, sql) == {"spans": [[], ["(kafka_offset = 1)"]]}


@pytest.mark.parametrize("values", [(10, 12), (10, 10), (10, 12, None), (10, None, None), (None, None)])
def test_every_comparison_at_the_bounds_of_a_file(tmp_path: Path, values: tuple[int | None, ...]) -> None:
    """A file is read exactly if one of its rows, or a row that its bounds allow, meets the condition."""
    write(tmp_path, SPANS, [span("a", "1", ms=0) | {"duration_ns": value} for value in values])
    snapshot = take(str(tmp_path))
    present = [value for value in values if value is not None]
    allowed = range(min(present), max(present) + 1) if present else ()
    meets: dict[str, Callable[[int, int], bool]] = {"=": eq, "<": lt, "<=": le, ">": gt, ">=": ge, "IS NOT DISTINCT FROM": eq}
    for operator, compare in meets.items():
        for bound in range(8, 15):
            read_it = bool(files_needed(bare(), snapshot, f"SELECT * FROM spans WHERE duration_ns {operator} {bound}")["spans"])
            assert read_it == any(compare(value, bound) for value in allowed), (operator, bound)
    assert bool(files_needed(bare(), snapshot, "SELECT * FROM spans WHERE duration_ns IS NULL")["spans"]) == (None in values)
    assert bool(files_needed(bare(), snapshot, "SELECT * FROM spans WHERE duration_ns IS NOT NULL")["spans"]) == bool(present)
    assert bool(files_needed(bare(), snapshot, "SELECT * FROM spans WHERE duration_ns <> 10")["spans"]) == bool(present)


def test_times_and_texts_that_the_log_cuts_short_are_found(tmp_path: Path) -> None:
    """The log has milliseconds, and the first characters of a text."""
    long = "x" * 31 + "yz"
    write(tmp_path, SPANS, [span("a", "1", at_ms=0.999, service_name=long), span("a", "2", at_ms=-0.999, service_name="a")])
    snapshot = take(str(tmp_path))
    for condition in (
        "start_time > '2026-01-02 12:00:00.000998+00'",
        "start_time < '2026-01-02 11:59:59.999002+00'",
        f"service_name = '{long}'",
        f"service_name >= '{long}'",
    ):
        assert len(files_needed(bare(), snapshot, f"SELECT * FROM spans WHERE {condition}")["spans"]) == 1, condition
