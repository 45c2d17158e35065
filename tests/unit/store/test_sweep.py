"""Orphans are removed once they are old; nothing that the log names ever is, in a directory and in S3."""

import json
import os
import re
import threading
import time

import pyarrow as pa
import pytest
from click.testing import CliRunner

from tests.unit.store.build import P, Place, cycle, files_in_snapshots, files_on_disk, mixed, opened, visible
from tracebraid.jobs.main import tracebraid
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.kernel.limits import orphan_sweep_age_s, unsynced_age_s_max
from tracebraid.pipeline.store.files import LocalFiles, StoredFiles
from tracebraid.pipeline.store.sweep import Orphan, named_files, sweep


class Crash(Exception):
    """Stands for the end of the process."""


def crash(step: str) -> None:
    if step == "written":
        raise Crash


def crashed(place: Place, first: int = 0) -> list[str]:
    """The files that a writer left which died between writing and committing."""
    lake, before = opened(place), files_on_disk(place)
    lake.after_step = crash
    with pytest.raises(Crash):
        lake.commit(mixed(first, first or None))
    return sorted(files_on_disk(place) - before)


def age(place: Place, seconds: float) -> None:
    """Every file of the lake, its log too, was written so long ago."""
    for path in place.folder.rglob("*"):
        if path.is_file():
            os.utime(path, (0, time.time() - seconds))


def swept(place: Place, *, dry_run: bool = False) -> list[Orphan]:
    return list(sweep(place.url, place.options, Clock(), dry_run=dry_run))


def names(orphans: list[Orphan]) -> list[str]:
    return sorted(f"{each.table}/{each.path}" for each in orphans)


def test_what_was_never_committed_goes_once_it_is_old(place: Place) -> None:
    opened(place).commit(mixed())
    lost = crashed(place, 10)
    assert len(lost) == 4
    age(place, orphan_sweep_age_s - 60)
    assert swept(place) == []
    age(place, orphan_sweep_age_s + 60)
    young = crashed(place, 10)
    named = swept(place, dry_run=True)
    assert (names(named), {each.removed for each in named}) == (lost, {False})
    assert [each.bytes for each in named] == [(place.folder / f"{each.table}/{each.path}").stat().st_size for each in named]
    removed = swept(place)
    assert (names(removed), {each.removed for each in removed}) == (lost, {True})
    assert files_on_disk(place) == files_in_snapshots(place) | set(young)
    assert swept(place) == []
    opened(place).commit(mixed(10, 10))
    assert visible(place)["spans"] == [0, 1, 2, 3, 10, 11, 12, 13]


def test_what_a_version_replaced_stays(place: Place) -> None:
    """Readers of the version before still need it; it goes when its retention says so."""
    lake = opened(place)
    for first in (0, 10):
        lake.commit(mixed(first, first or None))
    place.delta("spans").optimize.compact()
    before = files_on_disk(place)
    assert len(before - files_in_snapshots(place)) == 2
    age(place, orphan_sweep_age_s + 60)
    assert swept(place) == []
    assert files_on_disk(place) == before


def test_checkpoints_name_files_too(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracebraid.pipeline.store.tables.CHECKPOINT_INTERVAL", 5)
    lake = opened(place)
    for at in range(7):
        lake.commit(cycle(P, at, at + 1, at or None, spans=[at]))
    place.delta("spans").optimize.compact()
    place.delta("spans").create_checkpoint()
    (log,) = {path.parent for path in (place.folder / "spans").rglob("*.checkpoint.parquet")}
    for entry in log.glob("*.json"):
        entry.unlink()  # as expired entries are
    before = files_on_disk(place)
    age(place, orphan_sweep_age_s + 60)
    assert swept(place) == []
    assert len(before) == 7 + 1 + 7  # spans, the one they were made into, intervals
    assert named_files(lake._files["spans"]) == {path.removeprefix("spans/") for path in before if path.startswith("spans/")}


def test_only_parquet_files_under_a_day_are_looked_at(place: Place) -> None:
    lake = opened(place)
    others = ["README.md", "notes.parquet", "day=2026-01-02/notes.txt", "_delta_log/later.parquet"]
    for path in others:
        lake._files["spans"].write_file(path, pa.py_buffer(b"mine"))
    age(place, orphan_sweep_age_s + 60)
    assert swept(place) == []
    assert all((place.folder / "spans" / path).exists() for path in others)


def test_ingest_goes_on_beside_it(place: Place) -> None:
    """A sweep that begins while cycles are written and committed takes none of them, at the age at which they may still be committed."""
    lake, done = opened(place), threading.Event()
    found: list[Orphan] = []

    def keep_sweeping() -> None:
        ahead = Clock(unix_nano=lambda: time.time_ns() + int((orphan_sweep_age_s - unsynced_age_s_max) * 1e9))
        while not done.is_set():
            found.extend(sweep(place.url, place.options, ahead, dry_run=False))

    sweeper = threading.Thread(target=keep_sweeping)
    sweeper.start()
    for first in range(0, 60, 10):
        lake.commit(mixed(first, first or None))
    done.set()
    sweeper.join()
    assert found == []
    assert files_on_disk(place) == files_in_snapshots(place)


def test_where_there_is_no_lake_nothing_is_swept(place: Place) -> None:
    stray = place.folder / "spans" / "day=2026-01-02" / "x.parquet"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"x")
    age(place, orphan_sweep_age_s + 60)
    with pytest.raises(TracebraidError, match="there is no lake at"):
        swept(place)
    assert stray.exists()


def test_a_log_that_is_not_understood_costs_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(place).commit(mixed())
    age(place, orphan_sweep_age_s + 60)
    before = files_on_disk(place)
    monkeypatch.setattr("tracebraid.pipeline.store.sweep.ENTRY", re.compile("nothing"))
    with pytest.raises(TracebraidError, match=r"the log names day=2026-01-02/part-.* in a way that is not understood; nothing is removed"):
        swept(place)
    assert files_on_disk(place) == before


def test_a_file_that_cannot_be_removed_is_said_to_stay(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(place)
    lost = crashed(place)
    age(place, orphan_sweep_age_s + 60)
    for kind in (LocalFiles, StoredFiles):
        monkeypatch.setattr(kind, "remove_file", lambda self, path: False)
    assert (names(stuck := swept(place)), {each.removed for each in stuck}) == (lost, {False})
    monkeypatch.setenv("TRACEBRAID_LAKE", place.url)
    for name, value in place.options.items():
        monkeypatch.setenv(name.upper(), value)
    result = CliRunner().invoke(tracebraid, ["lake", "sweep"])
    assert isinstance(result.exception, TracebraidError)
    assert str(result.exception).startswith("4 of 4 orphans could not be removed, logs/day=")
    monkeypatch.undo()


def test_the_command(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(place)
    lost = crashed(place)
    age(place, orphan_sweep_age_s + 60)
    monkeypatch.setenv("TRACEBRAID_LAKE", place.url)
    for name, value in place.options.items():
        monkeypatch.setenv(name.upper(), value)
    tried, done, again = (CliRunner().invoke(tracebraid, ["lake", "sweep", *words], catch_exceptions=False) for words in (["--dry-run"], [], []))
    assert [sorted(f"{row['table']}/{row['file']}" for row in map(json.loads, run.stdout.splitlines())) for run in (tried, done, again)] == [lost, lost, []]
    assert [run.stderr.partition(",")[0] for run in (tried, done, again)] == ["4 orphans would be removed", "4 orphans removed", "0 orphans removed"]
    assert files_on_disk(place) == set()
