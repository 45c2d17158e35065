"""Which files a statement needs, by the statistics of the snapshot: the others are not opened, not even for their footers.

In: a connection, a Snapshot, a SELECT. Out: for each table the files that may hold rows it uses. Never: fewer than that.

DuckDB itself says what a statement asks of each table: it plans the statement over empty tables of the same columns, and the plan
(EXPLAIN, as JSON) names the filters that it pushed down to each scan, through views, joins, CTEs and subqueries. Each filter is SQL
text; DuckDB's parser turns it into a tree, which is judged against each file's bounds. A text or a tree that is not understood
excludes no file. A table that is scanned several times needs the union. What the optimizer would learn from the empty tables'
contents is switched off, since it would be untrue of the lake.
"""

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa

from tracebraid.pipeline.query.connection import BASE_VIEWS, columns_sql, joined_views
from tracebraid.pipeline.query.snapshot import Bounds, DataFile, Snapshot, TableSnapshot
from tracebraid.schemas.table import DATE, INT32, INT64, STRING, TIMESTAMP

STAND_IN = "tracebraid_stand_in"
# Texts of filters before version 2 are not bracketed, so that they cannot be read back.
FIRST_READABLE = 2
# The first concludes from contents; the others put filters into the plan that are known only while it runs.
_SWITCHED_OFF = "statistics_propagation,join_filter_pushdown,top_n,late_materialization,common_subplan"
_OPTIONAL = re.compile(r"('(?:[^']|'')*')|optional: ")
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_Test = Callable[[Bounds, int | None], bool]
_Tree = dict[str, Any]


def files_needed(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, statement: str) -> dict[str, list[DataFile]]:
    """For each table of the snapshot, the files that may hold rows that `statement` (one SELECT) uses, in the snapshot's order.

    Run it in the transaction that then runs the statement: now() is the same in both. Leaves a schema of empty tables behind.
    Raises duckdb.Error where the statement is wrong, the transaction rolled back.
    """
    everything = {table.table.name: list(table.files) for table in snapshot}
    if int(duckdb.__version__.split(".")[0]) < FIRST_READABLE:
        return everything
    scans = scan_filters(connection, snapshot, statement)
    if scans is None:
        return everything
    for name, filters in scans.items():
        table = snapshot.tables[name]
        wanted = [_kept(table, [_parse(connection, text) for text in texts]) for texts in filters]
        everything[name] = [file for number, file in enumerate(table.files) if any(number in kept for kept in wanted)]
    return everything


def scan_filters(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, statement: str) -> dict[str, list[list[str]]] | None:
    """For each table that is scanned, for each scan, the filters pushed down to it, as SQL; None where there is no plan to read."""
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {STAND_IN}")
    connection.execute(f"SET schema = '{STAND_IN}'; SET disabled_optimizers = '{_SWITCHED_OFF}'")
    try:
        connection.execute(";".join(f"CREATE TABLE IF NOT EXISTS {name} ({columns_sql(snapshot.tables[name])})" for name in BASE_VIEWS))
        connection.execute(joined_views())
        rows = connection.execute(f"EXPLAIN (FORMAT json) {statement}").fetchall()
    except duckdb.Error:
        with contextlib.suppress(duckdb.Error):  # an aborted transaction takes no settings either; there need not be one
            connection.rollback()
        _settle(connection)
        raise
    _settle(connection)
    try:
        plan: Any = json.loads(rows[0][1]) if rows else None
    except json.JSONDecodeError:
        return None
    found: dict[str, list[list[str]]] = {}
    for node in _nodes(plan):
        details = node.get("extra_info", {})
        place, _, name = str(details.get("Table", "")).rpartition(".")
        if place.endswith(STAND_IN) and name in BASE_VIEWS:
            filters = details.get("Filters", [])
            found.setdefault(name, []).append([filters] if isinstance(filters, str) else list(filters))
    return found


def _settle(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("SET schema = 'main'; SET disabled_optimizers = ''")


def _nodes(plan: Any) -> Iterator[_Tree]:
    waiting = list(plan) if isinstance(plan, list) else []
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(node.get("children", []))


def _parse(connection: duckdb.DuckDBPyConnection, text: str) -> _Tree | None:
    """The tree of one filter; None where the text is no expression."""
    # 'optional: ' stands before what the scan may leave to others: it holds all the same. Quoted text is left as it is.
    plain = _OPTIONAL.sub(lambda found: found[1] or "", text)
    ((said,),) = connection.execute("SELECT json_serialize_sql(?)", [f"SELECT 1 WHERE {plain}"]).fetchall()
    answer: Any = json.loads(said)
    if answer["error"] or len(answer["statements"]) != 1:
        return None
    tree: _Tree = answer["statements"][0]["node"]["where_clause"]
    return tree


def _kept(table: TableSnapshot, filters: list[_Tree | None]) -> set[int]:
    """The numbers of the files that may hold a row that passes all filters."""
    kept = set(range(len(table.files)))
    # A text is cut at line ends, quoted ones too: then some piece has an open quote, and none can be trusted.
    if any(tree is None for tree in filters):
        return kept
    for tree in filters:
        if tree is not None:
            kept &= _may_hold(table, tree)
    return kept


def _may_hold(table: TableSnapshot, tree: _Tree) -> set[int]:
    """The numbers of the files that may hold a row for which `tree` is true."""
    everything = set(range(len(table.files)))
    kind, children = tree.get("type"), tree.get("children", [])
    if kind == "CONJUNCTION_AND":
        return everything.intersection(*(_may_hold(table, child) for child in children))
    if kind == "CONJUNCTION_OR":
        return set().union(*(_may_hold(table, child) for child in children))
    leaf = _leaf(table, tree)
    if leaf is None:
        return everything
    bounds = table.bounds(leaf.column)
    return {number for number, file in enumerate(table.files) if leaf.test(bounds[number], file.rows)}


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A condition on one column, as a test of a file's bounds and its count of rows: False only if no row of the file can meet it."""

    column: str
    test: _Test


def _leaf(table: TableSnapshot, tree: _Tree) -> _Leaf | None:
    kind, children = tree.get("type"), tree.get("children", [])
    if kind == "OPERATOR_NOT" and children[0].get("type") in _INVERSE:
        return _leaf(table, {**children[0], "type": _INVERSE[children[0]["type"]]})
    if kind in _INVERSE:
        column = _column(table, children[0])
        return _Leaf(column, _is_null if kind == "OPERATOR_IS_NULL" else _is_not_null) if column else None
    if kind == "COMPARE_IN":
        column = _column(table, children[0])
        values = [_constant(table, column, child) for child in children[1:]] if column else [None]
        return None if column is None or None in values else _Leaf(column, lambda bounds, rows: any(_equal(bounds, rows, value) for value in values))
    if kind in _COMPARISONS:
        test, column, value = _COMPARISONS[kind], _column(table, tree["left"]), None
        value = _constant(table, column, tree["right"]) if column else None
        return None if column is None or value is None else _Leaf(column, lambda bounds, rows: test(bounds, rows, value))
    return None


def _column(table: TableSnapshot, tree: _Tree) -> str | None:
    names = tree.get("column_names", [])
    return names[0] if tree.get("type") == "COLUMN_REF" and len(names) == 1 and names[0] in table.schema.names else None


def _constant(table: TableSnapshot, column: str, tree: _Tree) -> Any:
    """The constant as the column's Bounds have it; None where it is none, or of another type."""
    kind: pa.DataType = table.schema.field(column).type
    cast = tree.get("type_expr", {}).get("type_name") if tree.get("type") == "OPERATOR_CAST" else None
    literal = (tree["child"] if cast else tree).get("literal", {})
    said, text = literal.get("kind"), literal.get("text")
    try:
        if kind == STRING and said == "STRING" and cast is None:
            return text
        if kind in (INT32, INT64) and said == "INTEGER" and cast is None:
            return int(text)
        if kind == DATE and said == "STRING" and cast == "DATE":
            return (date.fromisoformat(text) - _EPOCH.date()).days
        if kind == TIMESTAMP and said == "STRING" and cast == "TIMESTAMP WITH TIME ZONE":
            return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, TypeError):  # years that Python does not have, infinity
        return None
    return None


def _has_values(bounds: Bounds, rows: int | None) -> bool:
    return bounds.nulls is None or rows is None or bounds.nulls < rows


def _is_null(bounds: Bounds, rows: int | None) -> bool:
    return bounds.nulls is None or bounds.nulls > 0


def _is_not_null(bounds: Bounds, rows: int | None) -> bool:
    return _has_values(bounds, rows)


def _equal(bounds: Bounds, rows: int | None, value: Any) -> bool:
    return _has_values(bounds, rows) and (bounds.low is None or bounds.low <= value) and (bounds.high is None or bounds.high >= value)


def _less(bounds: Bounds, rows: int | None, value: Any) -> bool:
    return _has_values(bounds, rows) and (bounds.low is None or bounds.low < value)


def _less_or_equal(bounds: Bounds, rows: int | None, value: Any) -> bool:
    return _has_values(bounds, rows) and (bounds.low is None or bounds.low <= value)


def _greater(bounds: Bounds, rows: int | None, value: Any) -> bool:
    return _has_values(bounds, rows) and (bounds.high is None or bounds.high > value)


def _greater_or_equal(bounds: Bounds, rows: int | None, value: Any) -> bool:
    return _has_values(bounds, rows) and (bounds.high is None or bounds.high >= value)


_INVERSE = {"OPERATOR_IS_NULL": "OPERATOR_IS_NOT_NULL", "OPERATOR_IS_NOT_NULL": "OPERATOR_IS_NULL"}
_COMPARISONS: dict[str, Callable[[Bounds, int | None, Any], bool]] = {
    "COMPARE_EQUAL": _equal,
    "COMPARE_NOT_DISTINCT_FROM": _equal,
    "COMPARE_LESSTHAN": _less,
    "COMPARE_LESSTHANOREQUALTO": _less_or_equal,
    "COMPARE_GREATERTHAN": _greater,
    "COMPARE_GREATERTHANOREQUALTO": _greater_or_equal,
    "COMPARE_NOTEQUAL": lambda bounds, rows, value: _has_values(bounds, rows),
}
