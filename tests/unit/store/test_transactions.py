"""The ledgers of all partitions at once, beside what delta-rs says of each: from entries, from checkpoints, after entries are cleaned up."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.unit.store.build import GROUP, Place, opened, partition
from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.store import tables
from tracebraid.pipeline.store.files import LocalFiles
from tracebraid.pipeline.store.ledger import Cycle, Interval
from tracebraid.pipeline.store.tables import table_files
from tracebraid.pipeline.store.transactions import LOG, Transactions
from tracebraid.schemas.intervals import INTERVALS

PARTITIONS = [partition(number) for number in range(5)]
ABSENT = partition(9)


def filled(place: Place, versions: int) -> None:
    """A table `intervals` of so many versions, in each of which one or two ledgers move."""
    lake = opened(place, *PARTITIONS)
    ledgers: dict[int, int] = {}
    for version in range(1, versions + 1):
        moved = {version % 5, version % 3}
        intervals = [Interval(PARTITIONS[number], "lost", "", ledgers.get(number, 0), version) for number in sorted(moved)]
        lake.commit(Cycle([], [], [], intervals, {PARTITIONS[number]: ledgers.get(number) for number in moved}, GROUP))
        ledgers.update(dict.fromkeys(moved, version + 1))


def told(found: Transactions) -> list[int | None]:
    return [found.get(each.ledger_key) for each in (*PARTITIONS, ABSENT)]


def as_delta_says(place: Place, version: int) -> list[int | None]:
    table = place.delta("intervals")
    table.load_as_version(version)
    return [table.transaction_version(each.ledger_key) for each in (*PARTITIONS, ABSENT)]


@dataclass(frozen=True)
class Counted(LocalFiles):
    """Remembers what was read."""

    read: list[str] = field(default_factory=list)

    def read_file(self, path: str) -> bytes:
        self.read.append(Path(path).name)
        return super().read_file(path)


def test_every_version_is_what_delta_rs_makes_of_it(place: Place) -> None:
    filled(place, 8)
    files = table_files(place.url, "intervals", place.options)
    newest = place.delta("intervals").version()
    assert newest >= 8
    warm = Transactions(files)
    for version in range(newest + 1):
        cold = Transactions(files)
        cold.catch_up(version)
        warm.catch_up(version)
        assert told(cold) == told(warm) == as_delta_says(place, version)
    assert None not in told(warm)[:-1]
    warm.catch_up(2)
    assert told(warm) == as_delta_says(place, 2)


def test_checkpoints_stand_for_entries_that_are_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "CHECKPOINT_INTERVAL", 4)
    place = Place(str(tmp_path), {}, tmp_path)
    filled(place, 10)
    newest = place.delta("intervals").version()
    expected = as_delta_says(place, newest)
    files, late = Counted(tmp_path / "intervals"), Transactions(LocalFiles(tmp_path / "intervals"))
    hint = tmp_path / "intervals" / LOG / "_last_checkpoint"
    hint.rename(tmp_path / "aside")
    late.catch_up(2)  # as it did before there was a checkpoint
    (tmp_path / "aside").rename(hint)
    checkpoint = max(int(path.name[:20]) for path in (tmp_path / "intervals" / LOG).glob("*.checkpoint.parquet"))
    assert 2 < checkpoint < newest
    for version in range(checkpoint):
        (tmp_path / "intervals" / LOG / f"{version:020}.json").unlink()
    found = Transactions(files)
    found.catch_up(newest)
    late.catch_up(newest)
    assert told(found) == told(late) == expected
    entries = [f"{version:020}.json" for version in range(checkpoint + 1, newest + 1)]
    assert sorted(files.read) == sorted(["_last_checkpoint", f"{checkpoint:020}.checkpoint.parquet", *entries])
    found.catch_up(newest)
    assert len(files.read) == len(entries) + 2  # nothing is read twice
    with pytest.raises(TracebraidError, match=f"version 2 of a table is read, and {checkpoint} is its checkpoint already") as error:
        Transactions(files).catch_up(2)
    assert error.value.transient


def test_a_log_without_its_beginning_is_no_empty_one(tmp_path: Path) -> None:
    place = Place(str(tmp_path), {}, tmp_path)
    filled(place, 3)
    (tmp_path / INTERVALS.name / LOG / f"{1:020}.json").unlink()
    with pytest.raises(FileNotFoundError):
        Transactions(LocalFiles(tmp_path / INTERVALS.name)).catch_up(3)
