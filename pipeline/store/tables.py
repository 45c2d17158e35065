"""The lake's tables: created on demand, opened, and checked to be what we can read and write.

In: the lake's place. Out: DeltaTables. Never: a row.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.exceptions import DeltaError, TableNotFoundError

from tracebraid.pipeline.kernel.errors import TracebraidError, UsageError
from tracebraid.pipeline.store.errors import STORAGE_ERRORS, explain
from tracebraid.pipeline.store.files import Files, LocalFiles, StoredFiles, sync_directory
from tracebraid.pipeline.store.parquet import DAY
from tracebraid.pipeline.store.statistics import pruned_columns
from tracebraid.schemas.alert import ALERTS
from tracebraid.schemas.intervals import INTERVALS
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.rejects import REJECTS
from tracebraid.schemas.spans import SPANS
from tracebraid.schemas.table import Table
from tracebraid.schemas.windows import WINDOWS

# In the order of a cycle's commits: intervals last, since its ledger is what counts.
TABLES = (LOGS, SPANS, REJECTS, INTERVALS)
KEPT = (WINDOWS, ALERTS)  # in no cycle: `tracebraid archive` makes and fills them
SCHEMA_VERSION = "tracebraid.schemaVersion"
GROUP = "tracebraid.group"
PROTOCOL = (1, 2)  # reader, writer: what every engine has
# Commits between two checkpoints; a table takes some 5,760 a day at one in 15 s. delta-rs reads every entry since the checkpoint for each commit, twice.
CHECKPOINT_INTERVAL = 10
# How far back a version can be queried. Every commit lists the log: at 2,000 entries that is two thirds of its cost (36 ms, 11 ms without),
# and a table grows by 1,440 entries in this time, per process that writes.
LOG_RETENTION = "interval 6 hours"


def lake_url(place: str) -> str:
    """A local path made absolute (file:// URLs too), any other URL as it is, without a slash at its end."""
    parts = urlsplit(place)
    if parts.scheme == "file":
        return unquote(parts.path).rstrip("/") or "/"
    if "://" in place:
        return place.rstrip("/")
    return os.path.abspath(os.path.expanduser(place))


def is_local(url: str) -> bool:
    return "://" not in url


def check_options(options: Mapping[str, str]) -> None:
    """Refuse an object store that would let two writers take one version: then the ledger is no fence. Raises UsageError."""
    for name, value in options.items():
        key = name.lower().removeprefix("aws_")
        if (key == "s3_allow_unsafe_rename" and value.lower() in ("true", "1", "yes")) or (key == "conditional_put" and value.lower() == "disabled"):
            raise UsageError(
                f"storage_options.{name} = {value} lets two writers overwrite each other's commits", "Remove it: the store must have conditional put"
            )


def table_files(url: str, name: str, options: Mapping[str, str]) -> Files:
    """Where the files of the table lie."""
    return LocalFiles(Path(url) / name) if is_local(url) else StoredFiles(f"{url}/{name}", options)


def is_table(url: str, table: Table, options: Mapping[str, str]) -> bool:
    """Whether the lake has the table. Raises TracebraidError where storage fails."""
    try:
        return DeltaTable.is_deltatable(f"{url}/{table.name}", storage_options=dict(options))
    except STORAGE_ERRORS as error:
        raise explain(error, f"look for the table {url}/{table.name}") from error


def open_table(url: str, table: Table, options: Mapping[str, str], *, create: bool) -> DeltaTable:
    """The table at its newest version. Where there is none it is made, if `create`; of two that make it, the second takes the first's.

    Raises TracebraidError: no lake there; not ours; of a newer version; storage fails.
    """
    place = f"{url}/{table.name}"
    try:
        found = DeltaTable(place, storage_options=dict(options))
    except TableNotFoundError:
        if not create:
            raise TracebraidError(
                f"there is no lake at {url}: it has no table {table.name}", "Set TRACEBRAID_LAKE to where it is, or run `tracebraid ingest` or `load` first"
            ) from None
        found = _create(place, table, options)
    except STORAGE_ERRORS as error:
        raise explain(error, f"open the table {place}") from error
    _check(found, table, place)
    return found


def _create(place: str, table: Table, options: Mapping[str, str]) -> DeltaTable:
    properties = {
        SCHEMA_VERSION: str(table.version),
        "delta.checkpointInterval": str(CHECKPOINT_INTERVAL),
        "delta.logRetentionDuration": LOG_RETENTION,
        # Without this, delta-rs and Spark heed the statistics of the first 32 columns alone; and deltalake 1.6 has PyArrow drop files whose
        # statistics lack a column named here. So this list never grows for a table that has files.
        "delta.dataSkippingStatsColumns": ",".join(pruned_columns(table.arrow)),
    }
    try:
        if is_local(place):
            Path(place).mkdir(parents=True, exist_ok=True)
        made = DeltaTable.create(
            place,
            table.arrow,
            mode="error",
            partition_by=[DAY],
            name=table.name,
            description=table.comment,
            configuration=properties,
            storage_options=dict(options),
            raise_if_key_not_exists=False,
            # With retries, delta-rs 1.6 makes the table a second time over the one that another process just made: it gets a new id.
            commit_properties=CommitProperties(max_commit_retries=0),
        )
        if is_local(place):
            LocalFiles(Path(place)).sync_log([0])
            for directory in (Path(place), Path(place).parent, Path(place).parent.parent):
                with suppress(PermissionError):  # one may be allowed to make a directory in a place and not to open it
                    sync_directory(directory)
        return made
    except DeltaError as error:
        try:
            return DeltaTable(place, storage_options=dict(options))  # another process made it in the meantime
        except STORAGE_ERRORS:
            raise explain(error, f"make the table {place}") from error
    except STORAGE_ERRORS as error:
        raise explain(error, f"make the table {place}") from error


def check_columns(found: Schema, table: Table, place: str) -> None:
    """Raises TracebraidError where rows of ours would not fit: a column of ours lacks or has another type, or a strange one may not be null."""
    ours = {field.name: field for field in Schema.from_arrow(table.arrow).fields}
    theirs = {field.name: field for field in found.fields}
    changed = [name for name, field in ours.items() if name not in theirs or (theirs[name].type, theirs[name].nullable) != (field.type, field.nullable)]
    if wrong := changed + [name for name, field in theirs.items() if name not in ours and not field.nullable]:
        raise TracebraidError(
            f"columns of the table {place} are not as tracebraid made them: {', '.join(wrong)}", "Another program changed it; restore its log"
        )


def _check(found: DeltaTable, table: Table, place: str) -> None:
    version = found.metadata().configuration.get(SCHEMA_VERSION)
    if version is None or not version.isdigit():
        raise TracebraidError(f"{place} is a Delta table, but not one of tracebraid's", "Set TRACEBRAID_LAKE to another place")
    if int(version) > table.version:
        raise TracebraidError(f"the table {place} has schema version {version}, this tracebraid knows {table.version}", "Upgrade tracebraid")
    protocol = found.protocol()
    if int(version) == table.version:
        check_columns(found.schema(), table, place)
    reader, writer = protocol.min_reader_version, protocol.min_writer_version
    if (reader, writer) != PROTOCOL:
        raise TracebraidError(f"the table {place} has Delta protocol {reader}/{writer}, tracebraid knows 1/2", "Another program changed it; restore its log")
