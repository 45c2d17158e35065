"""A virtual object store, or disk, with Delta tables on it: what the product's Lake reads and writes.

In: the calls of deltalake.DeltaTable and of store.files.Files that the product makes. Out: snapshots, conflicts, errors by their own classes.
Never: two commits of one version; a commit taken back, but for a power cut, which takes back what was not synced.

As deltalake 1.6.6 does it: an append conflicts with a later commit of one of its app_ids, and with a change of the table's properties; it
steps over other appends; an older ledger is accepted; a table does not see its own commit before it is refreshed.
"""

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pyarrow as pa
from deltalake import CommitProperties, Schema
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from tests.simulation.transform import Rows, place_of
from tests.simulation.world import Killed, World
from tracebraid.pipeline.store.tables import PROTOCOL, TABLES

PERMANENT = {
    "disk full": (errno.ENOSPC, "No space left on device"),
    "read-only": (errno.EROFS, "Read-only file system"),
    "I/O error": (errno.EIO, "Input/output error"),
}
POSITIONS = pa.schema(
    [
        ("kafka_offset", pa.int64()),
        ("record_index", pa.int32()),
        ("kafka_partition", pa.int32()),
        ("kafka_topic_id", pa.string()),
        ("kafka_cluster", pa.string()),
    ]
)
SCHEMAS = {table.name: Schema.from_arrow(table.arrow) for table in TABLES}


@dataclass(frozen=True, slots=True)
class Entry:
    """One version in a table's log."""

    adds: tuple[str, ...] = ()
    removes: tuple[str, ...] = ()
    ledgers: Mapping[str, int] = field(default_factory=dict)
    properties: Mapping[str, str] | None = None


@dataclass(slots=True)
class TableLog:
    """`synced`: the newest version that a power cut leaves."""

    name: str
    id: str
    entries: list[Entry]
    synced: int = 0

    def paths(self) -> list[str]:
        """Of the files in the newest snapshot."""
        found: dict[str, None] = {}
        for entry in self.entries:
            found.update(dict.fromkeys(entry.adds))
            for path in entry.removes:
                found.pop(path, None)
        return list(found)

    def ledgers(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for entry in self.entries:
            found.update(entry.ledgers)
        return found


@dataclass(frozen=True, slots=True)
class Stored:
    rows: tuple[Any, ...] | None  # None: the file is broken, its writer died in the middle
    at_s: float


class Store:
    """All tables and files. `reserve`: which names files get, one after the other."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.logs: dict[str, TableLog] = {}
        self.files: dict[tuple[str, str], Stored] = {}
        self._names = 0

    def name(self) -> str:
        self._names += 1
        return f"file-{self._names}"

    def fail(self, step: str, *others: str) -> str:
        """What befalls a call into the storage; failures are raised, of `others` the one that was drawn is handed back."""
        fault = self.world.point(step, "transient", *PERMANENT, *others)
        if fault == "transient":
            raise self.world.chance.choice((OSError("connection reset by peer"), DeltaError("Generic S3 error: 503 Slow Down")))
        if fault in PERMANENT:
            raise OSError(*PERMANENT[fault])
        return fault

    def power_cut(self) -> None:
        """Of each log a part of what was not synced is gone."""
        for log in self.logs.values():
            head = len(log.entries) - 1
            kept = self.world.chance.randint(log.synced, head)
            if kept < head:
                self.world.tell(f"the power cut takes {head - kept} commits of {log.name}")
            del log.entries[kept + 1 :]
            log.synced = kept

    def sweep(self, age_s: float) -> None:
        """Remove files that no log entry names and that are older than `age_s`."""
        used = {(name, path) for name, log in self.logs.items() for entry in log.entries for path in entry.adds}
        old = [key for key, file in self.files.items() if key not in used and file.at_s < self.world.wall_s - age_s]
        for key in old:
            del self.files[key]
        if old:
            self.world.tell(f"the sweep removes {len(old)} orphans")

    def remove(self) -> None:
        """All of the lake. A table that is made there again has another id."""
        self.logs.clear()
        self.files.clear()

    def compact(self, name: str) -> bool:
        """Rewrite the table's files as one, as OPTIMIZE does; whether there was something to rewrite."""
        log = self.logs[name]
        paths = [path for path in log.paths() if (file := self.files.get((name, path))) and file.rows is not None]
        if len(paths) < 2:
            return False
        rows = tuple(row for path in paths for row in self.files[name, path].rows or ())
        new = self.name()
        self.files[name, new] = Stored(rows, self.world.wall_s)
        log.entries.append(Entry((new,), tuple(paths)))
        self.world.tell(f"{name} is compacted: version {len(log.entries) - 1}")
        return True

    def alter(self, name: str) -> None:
        log = self.logs[name]
        log.entries.append(Entry(properties={"comment": str(len(log.entries))}))
        self.world.tell(f"somebody alters {name}: version {len(log.entries) - 1}")


class Tables:
    """In place of the class DeltaTable: opens and makes tables."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def __call__(self, place: str, *, storage_options: Mapping[str, str]) -> "Table":
        name = place.rsplit("/", 1)[-1]
        self.store.fail(f"open {name}")
        if name not in self.store.logs:
            raise TableNotFoundError("Not a Delta table")
        return Table(self.store, self.store.logs[name])

    def create(self, place: str, *_: Any, configuration: Mapping[str, str], **__: Any) -> "Table":
        name = place.rsplit("/", 1)[-1]
        self.store.fail(f"make {name}")
        if name in self.store.logs:
            raise DeltaError("A Delta Lake table already exists at that location")
        self.store.logs[name] = TableLog(name, f"{len(self.store.logs)}virtual", [Entry(properties=dict(configuration))])
        return Table(self.store, self.store.logs[name])


class Table:
    """One process's DeltaTable: a snapshot that moves when it is refreshed."""

    def __init__(self, store: Store, log: TableLog) -> None:
        self._store, self._log = store, log
        self._version = -1
        self._files: dict[str, None] = {}
        self._properties: dict[str, str] = {}
        self.alter = self
        self._catch_up()

    def _catch_up(self) -> None:
        for entry in self._log.entries[self._version + 1 :]:
            self._files.update(dict.fromkeys(entry.adds))
            for path in entry.removes:
                self._files.pop(path, None)
            self._properties.update(entry.properties or {})
        self._version = len(self._log.entries) - 1

    def update_incremental(self) -> None:
        self._store.fail(f"refresh {self._log.name}")
        self._catch_up()

    def version(self) -> int:
        return self._version

    def file_uris(self) -> list[str]:
        return [f"virtual:///{self._log.name}/{path}" for path in self._files]

    def metadata(self) -> Any:
        return SimpleNamespace(id=self._log.id, configuration=self._properties)

    def protocol(self) -> Any:
        return SimpleNamespace(min_reader_version=PROTOCOL[0], min_writer_version=PROTOCOL[1])

    def schema(self) -> Schema:
        return SCHEMAS[self._log.name]

    def set_table_properties(self, properties: Mapping[str, str], *, raise_if_not_exists: bool) -> None:
        self._store.fail(f"claim {self._log.name}")
        if len(self._log.entries) - 1 != self._version:
            raise CommitFailedError("Metadata changed since last commit")
        self._log.entries.append(Entry(properties=dict(properties)))

    def create_write_transaction(
        self, adds: Sequence[Any], *, mode: str, schema: Schema, partition_by: Sequence[str], commit_properties: CommitProperties
    ) -> None:
        store, log = self._store, self._log
        fault = store.fail(f"commit {log.name}", "conflict", "happened", "happened, conflict", "happened, permanent")
        if fault == "conflict":
            raise CommitFailedError("Exceeded max commit retries")
        ledgers = {each.app_id: each.version for each in commit_properties.app_transactions or ()}
        for entry in log.entries[self._version + 1 :]:
            if entry.properties is not None:
                raise CommitFailedError("Metadata changed since last commit")
            if not ledgers.keys().isdisjoint(entry.ledgers):
                raise CommitFailedError("Concurrent transaction failed")
        log.entries.append(Entry(tuple(add.path for add in adds), (), ledgers))
        if store.world.telling:
            rows = [row for add in adds if (file := store.files.get((log.name, add.path))) for row in file.rows or ()]
            store.world.tell(f"{log.name} version {len(log.entries) - 1}: ledgers {ledgers} rows {_spell(log.name, rows)}")
        if fault == "happened, conflict":
            raise CommitFailedError("Concurrent transaction failed")
        if fault == "happened, permanent":
            raise OSError(errno.EIO, "Input/output error")
        if fault:
            raise DeltaError("Generic S3 error: operation timed out")

    def to_pyarrow_dataset(self) -> "Table":
        return self

    def to_table(self, *, columns: Sequence[str], filter: Any) -> pa.Table:  # PyArrow's name
        self._store.fail(f"read back {self._log.name}")
        rows = []
        for path in self._files:
            file = self._store.files[self._log.name, path]
            for place, offset, index, _ in file.rows or ():
                topic_id, number = place.rsplit("/", 1)
                rows.append(
                    {"kafka_offset": offset, "record_index": index, "kafka_partition": int(number), "kafka_topic_id": topic_id, "kafka_cluster": "virtual"}
                )
        return pa.Table.from_pylist(rows, schema=POSITIONS).filter(filter).select(list(columns))


@dataclass(frozen=True)
class VirtualFiles:
    """Files of one table."""

    store: Store
    table: str

    def write_file(self, path: str, data: Rows) -> None:
        key = (self.table, path)
        assert key not in self.store.files, "a name is used twice"
        try:
            fault = self.store.fail(f"write {self.table}", "happened", "short write")
        except Killed:
            self.store.files[key] = Stored(None, self._now_s())
            raise
        self.store.files[key] = Stored(None if fault == "short write" else data.rows, self._now_s())
        if fault == "short write" and self.store.world.chance.random() < 0.5:
            raise OSError(*PERMANENT["disk full"])
        if fault:
            raise OSError("connection reset by peer")

    def written_at_s(self, path: str) -> float | None:
        self.store.fail(f"look at a file of {self.table}")
        file = self.store.files.get((self.table, path))
        return file.at_s if file else None

    def remove_file(self, path: str) -> None:
        if not self.store.world.point(f"remove a file of {self.table}", "transient"):
            self.store.files.pop((self.table, path), None)

    def read_file(self, path: str) -> bytes:
        """Of the log alone: an entry's transactions. There are no checkpoints."""
        self.store.fail(f"read the log of {self.table}")
        number, entries = Path(path).stem, self.store.logs[self.table].entries
        if not number.isdigit() or int(number) >= len(entries):
            raise FileNotFoundError(path)
        ledgers = entries[int(number)].ledgers
        return b"\n".join(orjson.dumps({"txn": {"appId": app_id, "version": version}}) for app_id, version in ledgers.items())

    def sync_log(self, versions: Iterable[int]) -> None:
        self.store.fail(f"sync {self.table}")
        log = self.store.logs[self.table]
        log.synced = max(log.synced, min(max(versions), len(log.entries) - 1))

    def ends_log(self, version: int) -> bool:
        if version < len(self.store.logs[self.table].entries) - 1:
            return False
        self.store.fail(f"refresh {self.table}")
        return True

    def _now_s(self) -> float:
        return self.store.world.wall_s


class OneAtATime:
    """In place of a ThreadPoolExecutor: a world has no threads."""

    def __init__(self, _: int) -> None: ...

    def __enter__(self) -> "OneAtATime":
        return self

    def __exit__(self, *_: object) -> None: ...

    def map(self, function: Callable[[str], Any], each: Iterable[str]) -> Iterator[Any]:
        return map(function, each)


class Aside:
    """In place of the thread that encodes: what is given to it is done at once, soon, or late by the world's clock, in turn; at once for who waits for it."""

    LAGS_S = (0.3, 0.0, 3.0)

    def __init__(self, world: World) -> None:
        self._world, self._given = world, 0

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        self._given += 1
        due_s = self._world.now_s + self.LAGS_S[self._given % len(self.LAGS_S)]
        return SimpleNamespace(done=lambda: self._world.now_s >= due_s, result=lambda: function(*arguments), cancel=lambda: False)


def _spell(name: str, rows: Sequence[Any]) -> str:
    if name == "intervals":
        return " ".join(f"{row['kind']} {place_of(row['kafka_topic_id'], row['kafka_partition'])} {row['first_offset']}..{row['last_offset']}" for row in rows)
    return " ".join(f"{place}:{offset}.{index}" for place, offset, index, _ in rows)


TABLE_NAMES = tuple(table.name for table in TABLES)
