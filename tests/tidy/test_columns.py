"""Names of columns: what no engine reserves, spelled in one way."""

import re

import duckdb
import pyarrow as pa
import pytest

from tests.tidy.reserved_words import ALLOWED_IN_SPARK, SPARK, TRINO
from tracebraid.schemas.intervals import INTERVALS
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.rejects import REJECTS
from tracebraid.schemas.semconv import EXCEPTION, RESOURCE, SPAN
from tracebraid.schemas.spans import SPANS
from tracebraid.schemas.table import PROVENANCE, Table

TABLES = (SPANS, LOGS, REJECTS, INTERVALS)


def duckdb_reserved() -> set[str]:
    """Words that DuckDB takes for a column only in quotes."""
    rows = duckdb.connect().execute("SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category = 'reserved'").fetchall()
    return {str(name) for (name,) in rows}


def test_lists_hold_words_that_are_surely_reserved() -> None:
    assert {"offset", "select", "table"} <= duckdb_reserved()
    assert {"select", "table", "user"} <= SPARK
    assert {"select", "table", "end"} <= TRINO


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_no_column_is_a_reserved_word(table: Table) -> None:
    names = {column.name for column in table.columns}
    assert names & duckdb_reserved() == set()
    assert names & TRINO == set()
    assert names & SPARK <= ALLOWED_IN_SPARK
    assert table.name not in duckdb_reserved() | TRINO | SPARK


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_columns_are_named_once_typed_plainly_and_described(table: Table) -> None:
    names = [column.name for column in table.columns]
    assert len(set(names)) == len(names)
    assert [name for name in names if not re.fullmatch(r"[a-z][a-z0-9_]*", name)] == []
    assert [column.name for column in table.columns if not column.comment.endswith(".")] == []
    assert [column.name for column in table.columns if pa.types.is_timestamp(column.type) and column.type != pa.timestamp("us", tz="UTC")] == []
    assert names[0] == "day"
    assert set(table.sort_by) <= set(names)


@pytest.mark.parametrize("table", [SPANS, LOGS, REJECTS], ids=lambda table: table.name)
def test_every_row_says_where_it_came_from(table: Table) -> None:
    assert set(PROVENANCE) <= set(table.columns)


def test_a_promoted_attribute_is_the_column_of_its_present_name() -> None:
    promoted = (*RESOURCE, *SPAN, *EXCEPTION)
    assert [p.column for p in promoted if p.column != p.names[0].replace(".", "_")] == []
    names = [name for p in promoted for name in p.names]
    assert len(set(names)) == len(names)
