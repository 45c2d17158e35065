"""One version of each table, pinned: which files it has, and what the Delta log says of their contents.

In: the lake's place and its storage options. Out: a Snapshot. Never: a write, or a look into a Parquet file.
This is the one place outside store/ and tier/ that reads the Delta log; it opens tables and commits nothing.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from tracebraid.pipeline.kernel.errors import TracebraidError, one_line
from tracebraid.schemas.alert import ALERTS
from tracebraid.schemas.intervals import INTERVALS
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.rejects import REJECTS
from tracebraid.schemas.spans import SPANS
from tracebraid.schemas.table import DATE, INT32, INT64, PARTITION_COLUMN, STRING, TIMESTAMP, Table
from tracebraid.schemas.windows import WINDOWS

# The reverse of the order in which a cycle commits them: what intervals account for is then in the tables opened after it.
TABLES = (INTERVALS, REJECTS, SPANS, LOGS)
KEPT = (WINDOWS, ALERTS)  # made by `tracebraid archive`: a lake without it has none
IN_ORDER = ("spans", "logs", "rejects", "intervals", "windows", "alerts")
VERSION_PROPERTY = "tracebraid.schemaVersion"
READER_VERSION_MAX = 1
COMPARABLE = (STRING, INT32, INT64, DATE, TIMESTAMP)
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]+://", re.IGNORECASE)
# Writers cut strings in statistics, and times to milliseconds: that lowers a bound, so the upper ones are raised by as much, and hold.
_CUT_CHARS = 32
_CUT_US = 1000


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the log says of one column in one file. low, high: text, or an integer (days, microseconds, the number itself); None where unknown."""

    low: Any
    high: Any
    nulls: int | None


@dataclass(frozen=True, slots=True)
class DataFile:
    """One Parquet file. path: absolute, or relative to the table where the lake is remote. rows: None where the log does not say."""

    path: str
    day: str
    rows: int | None
    bytes: int


@dataclass(frozen=True)
class TableSnapshot:
    """One version of one table. version: None where the table does not exist yet. committed_ms: its newest commit, Unix milliseconds."""

    table: Table
    schema: pa.Schema
    version: int | None = None
    schema_version: int = 0
    committed_ms: int | None = None
    files: tuple[DataFile, ...] = ()
    delta: DeltaTable | None = None
    adds: pa.Table = field(default_factory=lambda: pa.table({}))

    @cached_property
    def days(self) -> list[str]:
        return sorted({file.day for file in self.files})

    def bounds(self, column: str) -> list[Bounds]:
        """Per file, in the order of `files`, what is known of `column`."""
        if column not in self.schema.names or self.schema.field(column).type not in COMPARABLE:
            return [Bounds(None, None, None)] * len(self.files)
        kind = self.schema.field(column).type
        if column == PARTITION_COLUMN.name:
            days = self.adds[f"partition.{column}"].cast(INT32).to_pylist()
            return [Bounds(day, day, None if day is None else 0) for day in days]
        lows, highs, nulls = (self._statistic(f"{which}.{column}", kind) for which in ("min", "max", "null_count"))
        return [Bounds(low, _widen(high, kind), null) for low, high, null in zip(lows, highs, nulls, strict=True)]

    def _statistic(self, name: str, kind: pa.DataType) -> list[Any]:
        if name not in self.adds.column_names:
            return [None] * len(self.files)
        values = self.adds[name]
        if kind == DATE and values.type == DATE:
            values = values.cast(INT32)
        if pa.types.is_timestamp(values.type):
            values = values.cast(TIMESTAMP).cast(INT64)
        return list(values.to_pylist())


def _widen(high: Any, kind: pa.DataType) -> Any:
    if high is not None and kind == TIMESTAMP:
        return high + _CUT_US
    if high is not None and kind == STRING and len(high) >= _CUT_CHARS:
        return high + chr(0x10FFFF)
    return high


@dataclass(frozen=True)
class Snapshot:
    """All tables, each at one version."""

    lake: str
    remote: bool
    options: Mapping[str, str] = field(repr=False)  # may hold secrets
    tables: Mapping[str, TableSnapshot] = field(default_factory=dict)

    def __iter__(self) -> Iterator[TableSnapshot]:
        return iter(self.tables.values())

    def versions(self) -> dict[str, int | None]:
        return {name: table.version for name, table in self.tables.items()}


def take(lake: str, options: Mapping[str, str] | None = None) -> Snapshot:
    """The newest version of each table of the lake at `lake` (a directory or an object-store URL); a table not made yet is empty.

    Raises TracebraidError where there is no lake, where it is newer than we are, or where it cannot be read.
    """
    remote = bool(_SCHEME.match(lake)) and not lake.startswith("file://")
    local = unquote(urlsplit(lake).path) if lake.startswith("file://") else os.path.expanduser(lake)
    root = lake.rstrip("/") if remote else os.path.abspath(local)
    found = {table.name: _open(table, root, remote, dict(options or {})) for table in TABLES}
    found.update({table.name: _open(table, root, remote, dict(options or {})) for table in KEPT})
    if all(table.version is None for table in found.values()):
        raise TracebraidError(f"there is no lake at {lake}", "Set TRACEBRAID_LAKE to where ingest writes, or run `tracebraid ingest` first")
    return Snapshot(root, remote, dict(options or {}), {name: found[name] for name in IN_ORDER})


def _open(table: Table, root: str, remote: bool, options: dict[str, str]) -> TableSnapshot:
    where = f"{root}/{table.name}"
    if not remote and not os.path.isdir(f"{where}/_delta_log"):
        return TableSnapshot(table, table.arrow)
    try:
        delta = DeltaTable(where, storage_options=options or None)
        protocol, metadata = delta.protocol(), delta.metadata()
        said = metadata.configuration.get(VERSION_PROPERTY) or ""
        if not said.isdigit():
            raise TracebraidError(f"{where} is a Delta table, but not one of tracebraid's", "Set TRACEBRAID_LAKE to another place")
        version = int(said)
        if version > table.version:
            what = f"the table {table.name} at {where} has schema version {version}; this tracebraid reads up to {table.version}"
            raise TracebraidError(what, "Upgrade tracebraid")
        if protocol.min_reader_version > READER_VERSION_MAX:
            what = (
                f"the table {table.name} at {where} asks for Delta reader version {protocol.min_reader_version}; tracebraid reads version {READER_VERSION_MAX}"
            )
            raise TracebraidError(what, "Another tool has changed its features: undo that, or upgrade tracebraid")
        adds = pa.table(delta.get_add_actions(flatten=True))
        adds = pa.table({name: _plain(adds[name]) for name in adds.column_names})
        newest = delta.history(1)
    except TableNotFoundError:
        return TableSnapshot(table, table.arrow)
    except (DeltaError, OSError, ValueError) as error:
        raise TracebraidError(f"cannot read the table {table.name} at {where}: {one_line(error)}", "Check the place, its rights and storage_options") from error
    committed = int(newest[0]["timestamp"]) if newest else None
    return TableSnapshot(table, _schema(table, delta), delta.version(), version, committed, _files(adds, where, remote), delta, adds)


def _plain(values: pa.ChunkedArray) -> pa.ChunkedArray:
    views = {pa.string_view(): STRING, pa.large_string(): STRING}
    return values.cast(views[values.type]) if values.type in views else values


def _files(adds: pa.Table, where: str, remote: bool) -> tuple[DataFile, ...]:
    if not adds.num_rows:
        return ()
    rows = adds["num_records"].to_pylist() if "num_records" in adds.column_names else [None] * adds.num_rows
    days = adds[f"partition.{PARTITION_COLUMN.name}"].cast(STRING).to_pylist()
    paths = [unquote(path) for path in adds["path"].to_pylist()]
    for path, day in zip(paths, days, strict=True):
        if not remote and f"/{PARTITION_COLUMN.name}={day}/" not in f"/{path}":
            raise TracebraidError(f"the file {where}/{path} does not lie under its day {day}", "Another tool wrote it: remove it from the table")
    absolute = [path if remote or os.path.isabs(path) else f"{where}/{path}" for path in paths]
    return tuple(DataFile(*row) for row in zip(absolute, days, rows, adds["size_bytes"].to_pylist(), strict=True))


def _schema(table: Table, delta: DeltaTable) -> pa.Schema:
    """Our columns, then those that the table has beyond them (a user's promoted attributes), with its types."""
    stored = pa.schema(delta.schema().to_arrow())
    extra = [pa.field(column.name, _plain_type(column.type)) for column in stored if column.name not in table.arrow.names]
    return pa.schema([*table.arrow, *extra])


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return {pa.string_view(): STRING, pa.large_string(): STRING, pa.binary_view(): pa.binary(), pa.large_binary(): pa.binary()}.get(kind, kind)
