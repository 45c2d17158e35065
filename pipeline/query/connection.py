"""A DuckDB connection whose views are one snapshot of the lake.

In: the lake's place, or a Snapshot and the files of each table to read. Out: a connection with the views of schemas/ and views.sql. Never: a write to the lake.

A local table is a `read_parquet` over the files' paths with the columns that schemas/ names: DuckDB then opens no footer to learn
them, and a column that an older file lacks is null. A remote one is a PyArrow dataset, which needs no extension of DuckDB's.
"""

from collections.abc import Mapping, Sequence
from importlib import resources

import duckdb
import pyarrow as pa

from tracebraid.pipeline.kernel.environment import load_settings
from tracebraid.pipeline.kernel.errors import UsageError
from tracebraid.pipeline.query.snapshot import DataFile, Snapshot, TableSnapshot, take
from tracebraid.schemas.table import ATTRIBUTES, BINARY, BOOL, DATE, INT32, INT64, PARTITION_COLUMN, STRING, TIMESTAMP

BASE_VIEWS = ("spans", "logs", "rejects", "intervals", "windows", "alerts")
# Literal paths where DuckDB would see patterns.
_GLOB = str.maketrans({"*": "[*]", "?": "[?]", "[": "[[]"})
_SCALARS = {
    STRING: "VARCHAR",
    INT32: "INTEGER",
    INT64: "BIGINT",
    BOOL: "BOOLEAN",
    BINARY: "BLOB",
    DATE: "DATE",
    TIMESTAMP: "TIMESTAMP WITH TIME ZONE",
    ATTRIBUTES: "MAP(VARCHAR, VARCHAR)",
    pa.float64(): "DOUBLE",
}


def connect(lake: str | None = None, *, config: str | None = None) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection in UTC with the views of the lake, pinned at its present versions; `refresh` moves it to newer ones.

    The lake is `lake`, else that of the settings (TRACEBRAID_LAKE, or the file `config`).
    The connection is yours: an in-memory database beside which the lake is read only. Raises TracebraidError where there is no lake.
    """
    settings = load_settings(config, lake=lake)
    snapshot = take(settings.lake, settings.storage_config())
    connection = bare()
    connection.execute("SET VARIABLE tracebraid_lake = ?", [settings.lake])
    connection.execute("SET VARIABLE tracebraid_config = ?", [config])
    install(connection, snapshot)
    return connection


def refresh(connection: duckdb.DuckDBPyConnection) -> dict[str, int | None]:
    """Pin the lake's newest versions in a connection that `connect` made. Returns the version of each table."""
    # All rows are fetched, here as elsewhere: DuckDB 2 takes no new work on a connection with a result half read.
    ((lake, config),) = connection.execute("SELECT getvariable('tracebraid_lake'), getvariable('tracebraid_config')").fetchall()
    if lake is None:
        raise UsageError("this connection was not made by tracebraid.connect()", "Make one with it")
    snapshot = take(lake, load_settings(config, lake=lake).storage_config())
    install(connection, snapshot)
    return snapshot.versions()


def bare() -> duckdb.DuckDBPyConnection:
    """An in-memory database in UTC that fetches no extension from the network."""
    connection = duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false"})
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def install(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, files: Mapping[str, Sequence[DataFile]] | None = None) -> None:
    """Make the views, in the connection's present schema, over all files of the snapshot or, for the tables that `files` names, over those."""
    for name in BASE_VIEWS:
        table = snapshot.tables[name]
        chosen = table.files if files is None or name not in files else files[name]
        if snapshot.remote and chosen:
            connection.register(f"{name}_files", _dataset(snapshot, table, chosen))
            source = f"SELECT {', '.join(map(quote, table.schema.names))} FROM {name}_files"
        else:
            source = _parquet(table, chosen) if chosen else _empty(table)
        connection.execute(f"CREATE OR REPLACE VIEW {name} AS {source}; COMMENT ON VIEW {name} IS {literal(table.table.comment)}")
    connection.execute(joined_views())


def joined_views() -> str:
    """The SQL of the views over the base views."""
    return resources.files(__package__).joinpath("views.sql").read_text(encoding="utf-8")


def columns_sql(table: TableSnapshot) -> str:
    """The table's columns as a CREATE TABLE has them."""
    return ", ".join(f"{quote(column.name)} {sql_type(column.type)}" for column in table.schema)


def _empty(table: TableSnapshot) -> str:
    return "SELECT " + ", ".join(f"NULL::{sql_type(column.type)} AS {quote(column.name)}" for column in table.schema) + " WHERE false"


def _parquet(table: TableSnapshot, files: Sequence[DataFile]) -> str:
    paths = ", ".join(literal(file.path.translate(_GLOB)) for file in files)
    stored = [column for column in table.schema if column.name != PARTITION_COLUMN.name]
    schema = ", ".join(f"{literal(c.name)}: {{name: {literal(c.name)}, type: {literal(sql_type(c.type))}, default_value: NULL}}" for c in stored)
    # The partition column is in the path alone. DuckDB judges a filter on it by the path, before it opens the file.
    day = f"regexp_extract(filename, '.*/{PARTITION_COLUMN.name}=([0-9-]+)/', 1)::DATE"
    columns = ", ".join(quote(column.name) for column in stored)
    return f"SELECT {day} AS {PARTITION_COLUMN.name}, {columns} FROM read_parquet([{paths}], schema = MAP {{{schema}}}, filename = true)"


def _dataset(snapshot: Snapshot, table: TableSnapshot, files: Sequence[DataFile]) -> object:
    import pyarrow.dataset as ds
    from deltalake.fs import DeltaStorageHandler
    from pyarrow.fs import PyFileSystem

    handler = DeltaStorageHandler(f"{snapshot.lake}/{table.table.name}", dict(snapshot.options) or None, {file.path: file.bytes for file in files})
    filesystem, form, day = PyFileSystem(handler), ds.ParquetFileFormat(), ds.field(PARTITION_COLUMN.name)
    days = {text: day == pa.scalar(text).cast(DATE) for text in {file.day for file in files}}
    fragments = [form.make_fragment(file.path, filesystem=filesystem, partition_expression=days[file.day]) for file in files]
    return ds.FileSystemDataset(fragments, table.schema, form, filesystem)


def sql_type(kind: pa.DataType) -> str:
    """DuckDB's name of an Arrow type that a table of the lake may have."""
    if kind in _SCALARS:
        return _SCALARS[kind]
    if pa.types.is_map(kind):
        return f"MAP({sql_type(kind.key_type)}, {sql_type(kind.item_type)})"
    if pa.types.is_list(kind):
        return f"{sql_type(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        return f"STRUCT({', '.join(f'{quote(part.name)} {sql_type(part.type)}' for part in kind)})"
    return {"int8": "TINYINT", "int16": "SMALLINT", "float": "FLOAT", "timestamp[us]": "TIMESTAMP"}.get(str(kind), str(kind).replace("128", "").upper())


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
