"""Small lakes made by the real store, and ways to damage them by hand."""

import atexit
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.unit.store.build import GROUP, P, Q, mixed, opened
from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.store.ledger import Cycle, Interval


def filled(place: Path, cycles: int = 3, owners: tuple[Partition, ...] = (P, Q)) -> "Damage":
    """A lake of `cycles` cycles of ten records for each owner: offsets 0-3 of each ten are spans, 4-6 logs, 7-8 rejects, 9 is dropped."""
    shutil.copytree(_made(cycles, owners), place, dirs_exist_ok=True)
    return Damage(place)


@cache
def _made(cycles: int, owners: tuple[Partition, ...]) -> Path:
    """Made once for all tests: the log names files relative to their table, so a lake can be copied."""
    directory = TemporaryDirectory(prefix="tracebraid-lake-")
    atexit.register(directory.cleanup)
    lake = opened(Path(directory.name), *owners)
    lake.commit(Cycle([], [], [], [Interval(each, "start", "start: earliest", 0, -1) for each in owners], dict.fromkeys(owners), GROUP))
    for number in range(cycles):
        for owner in owners:
            lake.commit(mixed(number * 10, number * 10, owner))
    return Path(directory.name)


@dataclass(frozen=True)
class Damage:
    """A lake on a disk, and what can happen to it. Files of a table are numbered in the order of the log."""

    lake: Path

    def log(self, table: str) -> list[Path]:
        return sorted((self.lake / table / "_delta_log").glob("*.json"))

    def adds(self, table: str) -> list[dict[str, Any]]:
        actions = [json.loads(line) for entry in self.log(table) for line in entry.read_text().splitlines()]
        return [action["add"] for action in actions if "add" in action]

    def path(self, table: str, number: int) -> str:
        path: str = self.adds(table)[number]["path"]
        return path

    def delete_file(self, table: str, number: int) -> str:
        path = self.path(table, number)
        (self.lake / table / path).unlink()
        return path

    def copy_file(self, table: str, number: int) -> str:
        """Committed by hand under another name, as a writer that repeats itself would."""
        add = self.adds(table)[number]
        path = add["path"].replace("part-", "part-again-")
        shutil.copy(self.lake / table / add["path"], self.lake / table / path)
        self.append(table, {"add": {**add, "path": path}})
        return path

    def append(self, table: str, *actions: dict[str, Any]) -> None:
        entry = self.lake / table / "_delta_log" / f"{int(self.log(table)[-1].stem) + 1:020}.json"
        entry.write_text("".join(json.dumps(action) + "\n" for action in actions))

    def rewrite(self, table: str, number: int, change: Callable[[pa.Table], pa.Table], *, honest: bool = True) -> str:
        """The file with other rows under the same name. honest: the log says how many they are, and of their values nothing."""
        path = self.path(table, number)
        file = self.lake / table / path
        rows = change(pq.ParquetFile(file).read())
        pq.write_table(rows, file)
        if honest:
            self.claim(table, number, lambda _: {"numRecords": rows.num_rows})
        return path

    def claim(self, table: str, number: int, change: Callable[[dict[str, Any]], dict[str, Any]]) -> str:
        """Other statistics for a file."""
        path = self.path(table, number)
        for entry in self.log(table):
            lines = [json.loads(line) for line in entry.read_text().splitlines()]
            for action in lines:
                if action.get("add", {}).get("path") == path:
                    action["add"]["stats"] = json.dumps(change(json.loads(action["add"]["stats"])))
            entry.write_text("".join(json.dumps(action) + "\n" for action in lines))
        return path

    def drop_last_commit(self, table: str) -> None:
        self.log(table)[-1].unlink()


def setting(column: str, change: Callable[[list[Any]], list[Any]]) -> Callable[[pa.Table], pa.Table]:
    """A change of one column's values."""

    def changed(rows: pa.Table) -> pa.Table:
        place = rows.schema.get_field_index(column)
        return rows.set_column(place, rows.schema.field(place), pa.array(change(rows.column(place).to_pylist()), rows.schema.field(place).type))

    return changed
