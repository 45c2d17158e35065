"""A table's snapshot, read from its log: checkpoint and the JSON entries behind it.

In: a place, a table's name. Out: live files, ledgers, properties; findings where the log is damaged. Never: a Delta library.
Source of the format: the Delta transaction log protocol (actions; checkpoints; `_last_checkpoint`), reader version 1.
"""

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import orjson
import pyarrow.parquet as pq

from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.verify.place import FAILURES, Place
from tracebraid.pipeline.verify.report import Finding, Key

READER_VERSION = 1
TRIES = 3  # an entry may go while we read: a checkpoint lets expired ones be removed
_ENTRY = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint(?:\.(\d{10})\.(\d{10}))?\.parquet")
EXPIRED = "expired/"  # before a ledger's name: below that offset, rejects may have left the table
_ACTIONS = ("protocol", "metaData", "add", "remove", "txn")


@dataclass(frozen=True, slots=True)
class Add:
    """A live file. `path`: in its table. `statistics`: JSON as the log has it, '' for none."""

    path: str
    statistics: str


@dataclass(slots=True)
class Snapshot:
    """A table at one version. files: by path. ledgers: the next offset by partition, from application transactions.

    expired: by partition the offset below which rejects may have left the table, as its retention declared it.
    """

    table: str
    version: int = -1
    files: dict[str, Add] = field(default_factory=dict)
    ledgers: dict[Key, int] = field(default_factory=dict)
    expired: dict[Key, int] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def damaged(self, file: str, detail: str) -> None:
        self.findings.append(Finding("log", table=self.table, file=f"_delta_log/{file}", detail=detail))

    def apply(self, action: dict[str, Any]) -> None:
        """One action, in the order of the log. Raises TracebraidError for a protocol beyond ours."""
        if add := action.get("add"):
            path = unquote(add["path"])
            self.files[path] = Add(path, add.get("stats") or "")
        elif remove := action.get("remove"):
            self.files.pop(unquote(remove["path"]), None)
        elif txn := action.get("txn"):
            name = txn["appId"].removeprefix(EXPIRED)
            cluster, topic_id, number = ["", *name.rsplit("/", 2)][-3:]
            if number.isdigit():
                ledgers = self.ledgers if name == txn["appId"] else self.expired
                ledgers[Key(cluster, topic_id, int(number))] = int(txn["version"])
        elif metadata := action.get("metaData"):
            self.properties = dict(metadata.get("configuration") or {})
        elif (protocol := action.get("protocol")) and protocol["minReaderVersion"] > READER_VERSION:
            what = f"the table {self.table} has Delta reader version {protocol['minReaderVersion']}, verify reads {READER_VERSION}"
            raise TracebraidError(what, "Another program changed it; restore its log")


def read_snapshot(place: Place, table: str) -> Snapshot:
    """The newest snapshot. Raises TracebraidError where there is no such table, or storage fails."""
    for attempt in range(TRIES):
        try:
            return _read(place, table)
        except FileNotFoundError as error:
            if attempt == TRIES - 1:
                raise TracebraidError(f"the log of {place.url}/{table} changes while it is read: {error}", "Run verify again", transient=True) from None
        except FAILURES as error:
            raise TracebraidError(f"cannot read the log of {place.url}/{table}: {error}", "Look at the storage and its credentials") from None
    raise AssertionError("unreachable")


def _read(place: Place, table: str) -> Snapshot:
    directory = f"{table}/_delta_log"
    names = place.names(directory)
    entries = sorted(int(found[1]) for name in names if (found := _ENTRY.fullmatch(name)))
    if not entries and not any(_CHECKPOINT.fullmatch(name) for name in names):
        raise TracebraidError(f"there is no lake at {place.url}: it has no table {table}", "Set TRACEBRAID_LAKE to where it is")
    snapshot = Snapshot(table)
    checkpoints = _checkpoints(names)
    _check_hint(place, directory, names, checkpoints, snapshot)
    for version in sorted(checkpoints, reverse=True):
        if _load_checkpoint(place, directory, checkpoints[version], snapshot):
            snapshot.version = version
            break
    for version in [version for version in entries if version > snapshot.version]:
        if version != snapshot.version + 1:
            snapshot.damaged(f"{snapshot.version + 1:020}.json", f"log entries {snapshot.version + 1} to {version - 1} are not there")
        _load_entry(place, directory, version, snapshot)
        snapshot.version = version
    return snapshot


def _checkpoints(names: list[str]) -> dict[int, list[str]]:
    """Files of each whole checkpoint by its version."""
    parts: dict[int, list[str]] = {}
    for name in sorted(names):
        if found := _CHECKPOINT.fullmatch(name):
            version, _, total = found.groups()
            same = parts.setdefault(int(version), [])
            if total is None:
                parts[int(version)] = [name]
            elif not (same and _is_whole(same)):
                same.append(name)
    return {version: files for version, files in parts.items() if _is_whole(files)}


def _is_whole(files: list[str]) -> bool:
    found = _CHECKPOINT.fullmatch(files[0])
    return found is not None and len(files) == int(found[3] or 1)


def _check_hint(place: Place, directory: str, names: list[str], checkpoints: dict[int, list[str]], snapshot: Snapshot) -> None:
    """`_last_checkpoint` is where other readers begin."""
    if "_last_checkpoint" not in names:
        return
    try:
        version = int(orjson.loads(place.read(f"{directory}/_last_checkpoint"))["version"])
    except (ValueError, KeyError, TypeError) as error:
        snapshot.damaged("_last_checkpoint", f"not what it should be: {error}")
        return
    if version not in checkpoints:
        snapshot.damaged("_last_checkpoint", f"names the checkpoint of version {version}, which is not there")


def _load_checkpoint(place: Place, directory: str, files: list[str], snapshot: Snapshot) -> bool:
    for name in files:
        try:
            with place.open(f"{directory}/{name}") as source:
                parquet = pq.ParquetFile(source)
                wanted = [column for column in _ACTIONS if column in parquet.schema_arrow.names]
                for batch in parquet.iter_batches(columns=wanted):
                    for row in batch.to_pylist(maps_as_pydicts="lossy"):
                        snapshot.apply({action: value for action, value in row.items() if value is not None})
        except FileNotFoundError:
            raise
        except FAILURES as error:
            snapshot.damaged(name, f"the checkpoint cannot be read: {error}")
            snapshot.files, snapshot.ledgers, snapshot.expired, snapshot.properties = {}, {}, {}, {}
            return False
    return True


def _load_entry(place: Place, directory: str, version: int, snapshot: Snapshot) -> None:
    name = f"{version:020}.json"
    for number, line in enumerate(place.read(f"{directory}/{name}").splitlines(), 1):
        if not line.strip():
            continue
        try:
            snapshot.apply(orjson.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            snapshot.damaged(name, f"line {number} cannot be read: {error}")
