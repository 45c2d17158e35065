"""One SQL statement of a user's over one snapshot: checked to be a question, its files pruned, run, streamed.

In: SQL text and a Snapshot. Out: column names and rows, or a Parquet file. Never: anything that writes to the lake, or, but for
`to_parquet`, anywhere. Statements that are not questions (COPY, CREATE, ATTACH, SET …) are refused by kind; a SELECT may read files
of the user's own beside the lake (`read_csv('deploys.csv')`), since it runs with the user's rights on the user's machine.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from tracebraid.pipeline.kernel.errors import TracebraidError, UsageError
from tracebraid.pipeline.query.connection import bare, install, literal
from tracebraid.pipeline.query.prune import files_needed
from tracebraid.pipeline.query.snapshot import Snapshot

ROWS_AT_ONCE = 2_000
_COMMENTS = re.compile(r"\A(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/)+", re.DOTALL)
_EXPLAIN = re.compile(r"\AEXPLAIN\b(\s+ANALYZE\b)?(\s*\([^()]*\))?", re.IGNORECASE)
_LINE = re.compile(r"^LINE (\d+):", re.MULTILINE)
# What fails through no fault of the statement's.
_NOT_THE_USERS = (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.InternalException, duckdb.FatalException, duckdb.InterruptException)


def checked(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    """The one statement in `sql`, without comments before it or a semicolon behind. Raises UsageError where it is not one question."""
    bare_sql = _COMMENTS.sub("", sql)
    explain = _EXPLAIN.match(bare_sql)
    with _explained():
        statements = connection.extract_statements(bare_sql)
        asked = connection.extract_statements(bare_sql[explain.end() :]) if explain else statements
    if len(statements) != 1 or len(asked) != 1:
        raise UsageError(f"{len(statements)} statements given" if statements else "no statement given", "Give one SELECT")
    kind, first_word = asked[0].type, bare_sql.split(None, 1)[0].upper()
    # A PIVOT without a list of its values is planned as several statements.
    if kind != duckdb.StatementType.SELECT and not (kind == duckdb.StatementType.MULTI and first_word in {"PIVOT", "FROM", "WITH", "SELECT", "("}):
        name = str(kind).rpartition(".")[2].replace("_", " ")
        raise UsageError(f"{name} is refused: `tracebraid sql` only reads", "Give a SELECT; --csv and --parquet FILE keep its result")
    return statements[0].query.strip().rstrip(";").strip()


@contextmanager
def question(snapshot: Snapshot, sql: str) -> Iterator[tuple[list[str], Iterator[list[tuple[Any, ...]]]]]:
    """Column names, made distinct, and the rows in blocks, streamed. Raises UsageError for the statement's mistakes, TracebraidError for others."""
    with _explained(), bare() as connection:
        statement = checked(connection, sql)
        _prepare(connection, snapshot, statement)
        connection.execute(statement)
        names = _distinct([column[0] for column in connection.description or []])
        yield names, _blocks(connection)


def to_parquet(snapshot: Snapshot, sql: str, path: str) -> int:
    """Write the result to a Parquet file, as DuckDB types it. Returns the count of rows."""
    target = Path(path)
    if not snapshot.remote and Path(os.path.abspath(target)).is_relative_to(snapshot.lake):
        raise UsageError(f"{path} lies in the lake {snapshot.lake}", "Write the result elsewhere")
    with _explained(), bare() as connection:
        statement = checked(connection, sql)
        _prepare(connection, snapshot, statement)
        ((rows,),) = connection.execute(f"COPY ({statement}) TO {literal(path)} (FORMAT parquet, COMPRESSION zstd)").fetchall()
        return int(rows)


def _prepare(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, statement: str) -> None:
    """Leaves a transaction open, in which now() is what it was when the files were chosen."""
    connection.begin()
    try:
        files = files_needed(connection, snapshot, statement)
    except duckdb.Error:
        # What cannot be planned (a PIVOT, a SHOW, a mistake) reads every file, or says below what is wrong with it.
        connection.begin()
        install(connection, snapshot)
    else:
        install(connection, snapshot, files)


def _blocks(connection: duckdb.DuckDBPyConnection) -> Iterator[list[tuple[Any, ...]]]:
    while rows := connection.fetchmany(ROWS_AT_ONCE):
        yield rows


def _distinct(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    made = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        made.append(name if seen[name] == 1 else f"{name}_{seen[name] - 1}")
    return made


@contextmanager
def _explained() -> Iterator[None]:
    """DuckDB's errors as ours: one line, with the place in the statement."""
    try:
        yield
    except _NOT_THE_USERS as error:
        raise TracebraidError(_one_line(error), "") from error
    except duckdb.Error as error:
        raise UsageError(_one_line(error), "") from error


def _one_line(error: duckdb.Error) -> str:
    message = str(error).strip()
    place = _LINE.search(message)
    said = message[: place.start()] if place else message
    said = " ".join(said.split())
    if not place:
        return said
    source, _, rest = message[place.start() :].partition("\n")
    caret = rest.split("\n", 1)[0].find("^")
    column = caret - (place.end() - place.start()) if caret >= 0 else 0
    elided = "..." in source[: place.end() - place.start() + 5]  # a long line is shown from its middle: the column is then unknown
    where = f"line {place[1]}" + (f", column {column}" if caret >= 0 and not elided else "")
    near = source[caret : caret + 20].split()[:1] if caret >= 0 else []
    return f"{said} ({where}{f', at {near[0]}' if near else ''})"
