"""One question: what is refused, how mistakes are told, how values are spelled."""

import io
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.unit.query.build import shop_lake
from tracebraid.pipeline.kernel.errors import TracebraidError, UsageError
from tracebraid.pipeline.query.render import hexdump, to_text, visible, write_csv, write_json
from tracebraid.pipeline.query.snapshot import Snapshot, take
from tracebraid.pipeline.query.statement import question, to_parquet


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return take(str(shop_lake(tmp_path_factory.mktemp("lake"))))


def ask(shop: Snapshot, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    with question(shop, sql) as (names, blocks):
        return names, [row for block in blocks for row in block]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("COPY spans TO 'x.csv'", "COPY is refused"),
        ("EXPLAIN ANALYZE COPY (SELECT 1) TO 'x.csv'", "COPY is refused"),
        ("/* a */ EXPLAIN /* b */ ANALYZE COPY (SELECT 1) TO 'x.csv'", "syntax error"),
        ("CREATE TABLE x (a INT)", "CREATE is refused"),
        ("DROP VIEW spans", "DROP is refused"),
        ("ATTACH 'x.db'", "ATTACH is refused"),
        ("SET threads = 1", "SET is refused"),
        ("INSTALL httpfs", "LOAD is refused"),
        ("EXPORT DATABASE 'x'", "EXPORT is refused"),
        ("IMPORT DATABASE 'x'", "refused"),
        ("CALL pragma_version()", "CALL is refused"),
        ("WITH a AS (SELECT 1) INSERT INTO spans SELECT * FROM a", "INSERT is refused"),
        ("SELECT 1; SELECT 2", "2 statements given"),
        ("  -- nothing\n", "no statement given"),
        ("selec 1", 'syntax error at or near "selec" (line 1, column 1'),
        ("SELECT *\nFROM span", 'Did you mean "spans"? (line 2, column 6'),
        ("SELECT service FROM spans", 'Referenced column "service" not found'),
        ("SELECT cast('x' AS INT)", "Could not convert string 'x'"),
    ],
)
def test_a_mistake_is_one_line(shop: Snapshot, sql: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        ask(shop, sql)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there_is_no_mistake_of_the_statement(shop: Snapshot) -> None:
    with pytest.raises(TracebraidError, match="No files found") as caught:
        ask(shop, "SELECT * FROM read_csv('absent.csv')")
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("FROM (VALUES (1), (2)) AS v(n) SELECT sum(n)", [(3,)]),
        ("SELECT count(*) FROM spans -- all of them\n;", [(5,)]),
        ("-- first\n/* second */ SELECT count(*) FROM logs", [(4,)]),
        ("PIVOT (SELECT status_code, 1 AS one FROM spans) ON status_code USING count(*) GROUP BY one", [(1, 1, 4)]),
        ("SELECT count(*) FROM (SHOW TABLES)", [(13,)]),
        ("SELECT count(*) FROM spans WHERE start_time < now() AND start_time > now() - INTERVAL 100 YEAR", [(5,)]),
    ],
)
def test_questions(shop: Snapshot, sql: str, rows: list[tuple[Any, ...]]) -> None:
    assert ask(shop, sql)[1] == rows


def test_describe_and_explain(shop: Snapshot) -> None:
    assert ask(shop, "DESCRIBE traces")[1][0][:2] == ("trace_id", "VARCHAR")
    assert ask(shop, "EXPLAIN SELECT 1")[1][0][0] == "physical_plan"


def test_a_result_to_parquet(shop: Snapshot, tmp_path: Path) -> None:
    target = tmp_path / "it's.parquet"
    assert to_parquet(shop, "SELECT span_id, start_time FROM spans ORDER BY ALL;", str(target)) == 5
    with duckdb.connect() as connection:
        assert connection.execute("SELECT count(*), count(DISTINCT span_id) FROM read_parquet(?)", [str(target)]).fetchall() == [(5, 4)]
    with pytest.raises(UsageError, match="lies in the lake"):
        to_parquet(shop, "SELECT 1", f"{shop.lake}/spans/x.parquet")


VALUES = """
SELECT 170141183460469231731687303715884105727::HUGEINT AS huge, 18446744073709551615::UBIGINT AS large, 1.50::DECIMAL(9, 2) AS exact, 'nan'::DOUBLE AS nan,
    TIMESTAMPTZ '2026-01-02 03:04:05.000006+01' AS zoned, TIMESTAMP '2026-01-02 03:04:05' AS plain, DATE '2026-01-02' AS day, true AS yes, NULL AS nothing,
    MAP {'a"': '1'} AS map, {'x': [1, NULL], 'h': 170141183460469231731687303715884105727::HUGEINT} AS struct, '\\x00\\xFF'::BLOB AS bytes,
    'text'::BLOB AS text, INTERVAL 90 MINUTE AS wait, 'ü,"' AS said, 1 AS yes
"""


def test_values_as_json(shop: Snapshot) -> None:
    out = io.BytesIO()
    with question(shop, VALUES) as (names, blocks):
        assert write_json(out, names, blocks) == 1
    assert json.loads(out.getvalue()) == {
        **{"huge": 2**127 - 1, "large": 2**64 - 1, "exact": 1.5, "nan": None, "zoned": "2026-01-02T02:04:05.000006Z", "plain": "2026-01-02T03:04:05"},
        **{"day": "2026-01-02", "yes": True, "nothing": None, "map": {'a"': "1"}, "struct": {"x": [1, None], "h": 2**127 - 1}, "bytes": "AP8=", "text": "text"},
        **{"wait": "5400s", "said": 'ü,"', "yes_1": 1},
    }
    assert b'"exact":1.50,' in out.getvalue()


def test_values_as_csv(shop: Snapshot) -> None:
    out = io.BytesIO()
    with question(shop, VALUES) as (names, blocks):
        assert write_csv(out, names, blocks) == 1
    header, row, end = out.getvalue().decode().split("\r\n")
    assert header == "huge,large,exact,nan,zoned,plain,day,yes,nothing,map,struct,bytes,text,wait,said,yes_1"
    expected = [str(2**127 - 1), str(2**64 - 1), "1.50,nan,2026-01-02T02:04:05.000006Z,2026-01-02T03:04:05,2026-01-02,true,"]
    expected += ['"{""a\\"""":""1""}"', f'"{{""x"":[1,null],""h"":{2**127 - 1}}}"', 'AP8=,text,5400s,"ü,""",1']
    assert row == ",".join(expected)
    assert end == ""


def test_hostile_text_is_made_visible() -> None:
    assert visible("a\x1b[31mb\r\n\x00\x9b\u202ee\u200b") == "a\\x1b[31mb\\r\\n\\x00\\x9b\\u202ee\\u200b"
    assert visible("größe 日本 🛒") == "größe 日本 🛒"
    assert visible("abcdef", 4) == "abc…"
    assert to_text(None) == ""


def test_hexdump() -> None:
    assert list(hexdump(bytes(range(60, 77)) + b"\x1b")) == [
        "00000000  3c 3d 3e 3f 40 41 42 43 44 45 46 47 48 49 4a 4b  <=>?@ABCDEFGHIJK",
        "00000010  4c 1b                                            L.",
    ]
