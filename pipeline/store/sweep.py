"""Orphans: Parquet files that were written and never committed, left by a crash or by a failure that hindered their removal.

In: the lake's place, the clock. Out: the orphans, removed or, on a dry run, only named. Never: a file that the log names, be it as removed;
a file younger than limits.orphan_sweep_age_s, which a writer may yet commit (it commits none older than a quarter of that).

delta-rs's own vacuum is not used: it spares young files too, but it also removes what a newer version has replaced, which readers of older versions
still need, and it adds two commits to each log.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from urllib.parse import unquote

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.kernel.limits import orphan_sweep_age_s
from tracebraid.pipeline.store.errors import STORAGE_ERRORS, explain
from tracebraid.pipeline.store.files import Files
from tracebraid.pipeline.store.parquet import DAY
from tracebraid.pipeline.store.tables import KEPT, TABLES, is_table, lake_url, open_table, table_files

LOG = "_delta_log"
ENTRY = re.compile(LOG + r"/\d{20}\.json")
READERS = 16  # log entries read at once: an object store answers one in milliseconds, and there may be thousands
TRIES = 3  # the log is cleaned up while it is read; then it is read again


@dataclass(frozen=True, slots=True)
class Orphan:
    """A file that no version names. `path`: relative to the table's directory. `removed`: false on a dry run, and where the storage refused."""

    table: str
    path: str
    bytes: int
    written_at: datetime
    removed: bool


def sweep(url: str, options: Mapping[str, str], clock: Clock, *, dry_run: bool) -> Iterator[Orphan]:
    """The orphans of every table, each as it is removed. Raises TracebraidError: no lake there; storage fails."""
    place = lake_url(url)
    for table in (*TABLES, *(table for table in KEPT if is_table(place, table, options))):
        snapshot = open_table(place, table, options, create=False)
        files = table_files(place, table.name, options)
        try:
            in_use = {unquote(path) for path in pa.table(snapshot.get_add_actions()).column("path").to_pylist()}
            for path, bytes_, written_s in old_orphans(files, clock.unix_nano() / 1e9 - orphan_sweep_age_s, in_use):
                removed = not dry_run and files.remove_file(path)
                yield Orphan(table.name, path, bytes_, datetime.fromtimestamp(written_s, UTC), removed)
        except STORAGE_ERRORS as error:
            raise explain(error, f"look for orphans in {place}/{table.name}") from error


def old_orphans(files: Files, before_s: float, in_use: Set[str]) -> Iterator[tuple[str, int, float]]:
    """Path, bytes and time (seconds since 1970) of each data file that was written before `before_s` and that the log does not name.

    The files are listed before the log is read: one that is committed in between is named then. `in_use`: what delta-rs reads of the same log; where
    we have missed any of it, nothing is an orphan. Raises TracebraidError then.
    """
    found = {path: size for path, size in files.list_files() if path.startswith(f"{DAY}=") and path.endswith(".parquet")}
    named = named_files(files)
    if missed := in_use - named:
        raise TracebraidError(f"the log names {min(missed)} in a way that is not understood; nothing is removed", "Another tool writes it: use its vacuum")
    for path in sorted(found.keys() - named):
        written_s = files.written_at_s(path)
        if written_s is not None and written_s < before_s:
            yield path, found[path], written_s


def named_files(files: Files) -> set[str]:
    """Every path that the log names, as added or as removed: all its checkpoints, all its entries."""
    for _ in range(TRIES):
        log = [path for path, _ in files.list_files() if path.startswith(f"{LOG}/")]
        try:
            with ThreadPoolExecutor(READERS) as pool:
                return {path for paths in pool.map(lambda path: list(_paths_in(path, files)), log) for path in paths}
        except FileNotFoundError:
            continue
    raise TracebraidError("the log is cleaned up faster than it is read", "Try again", transient=True)


def _paths_in(path: str, files: Files) -> Iterable[str]:
    if ENTRY.fullmatch(path):
        actions = [orjson.loads(line) for line in files.read_file(path).splitlines() if line.strip()]
        return [unquote(action[kind]["path"]) for action in actions for kind in ("add", "remove") if action.get(kind)]
    if ".checkpoint." in path and path.endswith(".parquet"):
        columns = pq.ParquetFile(BytesIO(files.read_file(path))).read(columns=["add.path", "remove.path"])  # structs; read_table would call both `path`
        return [unquote(each["path"]) for kind in columns.column_names for each in columns[kind].to_pylist() if each and each["path"]]
    return []
