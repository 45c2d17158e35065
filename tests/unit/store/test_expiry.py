"""Old rejects leave the table, in a directory and in S3; ledgers stay, appends go on, and verify knows what went."""

import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import structlog
from click.testing import CliRunner
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from tests.unit.store.build import DAY_US, GROUP, NOON_US, P, Place, Q, cycle, files_in_snapshots, files_on_disk, mixed, offsets, opened, rows
from tracebraid.jobs import keeping
from tracebraid.jobs.main import tracebraid
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.pipeline.store import expiry
from tracebraid.pipeline.store.expiry import ExpiredFile, _commit, expire, expired_until, old_files
from tracebraid.pipeline.store.lake import Lake
from tracebraid.pipeline.store.ledger import Cycle, Interval
from tracebraid.pipeline.store.sweep import sweep
from tracebraid.pipeline.verify.reader import verify
from tracebraid.schemas.rejects import REJECTS

DAYS_LATER = Clock(unix_nano=lambda: (NOON_US + 20 * DAY_US) * 1000)


def started(place: Path | Place, *owners: Partition) -> Lake:
    lake = opened(place, *owners)
    lake.commit(Cycle([], [], [], [Interval(each, "start", "start: earliest", 0, -1) for each in owners], dict.fromkeys(owners), GROUP))
    return lake


def taken_in(made: Cycle, days: int, owner: Partition = P, **columns: Any) -> Cycle:
    """The cycle with its rejects taken in so many days after NOON_US."""
    at = [offset for batch in made.rejects for offset in batch.column("kafka_offset").to_pylist()]
    made.rejects = [rows(REJECTS, owner, at, ingested_at=NOON_US + days * DAY_US, **columns)]
    return made


def filled(place: Path | Place) -> Lake:
    """Rejects at 7, 8 of P and Q of day 0; at 17, 18 of P of day 9."""
    lake = started(place, P, Q)
    lake.commit(mixed(0, 0))
    lake.commit(mixed(0, 0, Q))
    lake.commit(taken_in(mixed(10, 10), 9))
    return lake


def expired(place: Place, keep_days: float, *, dry_run: bool = False) -> list[list[ExpiredFile]]:
    return list(expire(place.url, place.options, DAYS_LATER, keep_days, dry_run=dry_run))


def ledgers(place: Place) -> Mapping[Partition, tuple[int | None, int]]:
    table = place.delta("rejects")
    return {each: (table.transaction_version(each.ledger_key), expired_until(table, each)) for each in (P, Q)}


def test_what_came_in_before_goes_in_one_commit_and_the_rest_stays(place: Place) -> None:
    lake = filled(place)
    assert expired(place, 20.5) == []
    (named,) = expired(place, 14, dry_run=True)
    assert [(file.day, file.rows) for file in named] == [(date(2026, 1, 2), 2)] * 2
    assert offsets(place, "rejects") == [(0, 7), (0, 8), (0, 17), (0, 18), (1, 7), (1, 8)]
    before = place.delta("rejects").version()
    assert expired(place, 14) == [named]
    assert offsets(place, "rejects") == [(0, 17), (0, 18)]
    assert place.delta("rejects").version() == before + 1
    assert ledgers(place) == {P: (20, 9), Q: (10, 9)}
    assert expired(place, 14) == []
    lake.commit(taken_in(mixed(20, 20), 20))  # the same writer goes on, its ledgers as it left them
    assert offsets(place, "rejects") == [(0, 17), (0, 18), (0, 27), (0, 28)]
    assert expired(place, 1) == [[ExpiredFile(*_only(place, 17))]]
    assert ledgers(place) == {P: (30, 19), Q: (10, 9)}


def _only(place: Place, offset: int) -> tuple[str, date, int, int]:
    """The file that held this offset, by the table's history."""
    log = [json.loads(line) for entry in sorted((place.folder / "rejects/_delta_log").glob("*.json")) for line in entry.read_text().splitlines()]
    (add,) = [action["add"] for action in log if "add" in action and json.loads(action["add"]["stats"])["minValues"]["kafka_offset"] == offset]
    return add["path"], date.fromisoformat(add["partitionValues"]["day"]), 2, add["size"]


def test_a_record_with_an_old_time_is_kept_as_long_as_any_other(tmp_path: Path) -> None:
    """Kafka's timestamp is the sender's word: 1970 is no reason to throw a reject away at once, nor 9998 to keep it."""
    place, lake = Place(str(tmp_path), {}, tmp_path), started(tmp_path, P)
    lake.commit(taken_in(mixed(0, 0), 19, day=date(1970, 1, 1), kafka_time=0))
    lake.commit(taken_in(mixed(10, 10), 1, day=date(9998, 1, 1)))
    (gone,) = expired(place, 14)
    assert [file.day for file in gone] == [date(9998, 1, 1)]
    assert offsets(place, "rejects") == [(0, 7), (0, 8)]


def test_files_without_statistics_go_by_when_they_were_committed(tmp_path: Path) -> None:
    place, lake = Place(str(tmp_path), {}, tmp_path), started(tmp_path, P)
    lake.commit(taken_in(mixed(0, 0), 1, kafka_time=-(10**17)))  # beyond the year 1: no bound can be said
    assert pa.table(place.delta("rejects").get_add_actions(flatten=True)).column("max.ingested_at").to_pylist() == [None]
    now = Clock()
    ahead = Clock(unix_nano=lambda: now.unix_nano() + 10 * DAY_US * 1000)
    assert list(expire(place.url, {}, ahead, 11)) == []
    assert len(list(expire(place.url, {}, ahead, 9))) == 1


def test_many_files_go_in_several_commits_until_it_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "FILES_AT_ONCE", 2)
    filled(tmp_path)
    asked = iter([False, True])
    assert [len(files) for files in expire(str(tmp_path), {}, DAYS_LATER, 1, stopped=lambda: next(asked))] == [2]
    assert [len(files) for files in expire(str(tmp_path), {}, DAYS_LATER, 1)] == [1]
    assert verify(str(tmp_path), None) == []


def test_appends_and_removals_do_not_stop_one_another(place: Place) -> None:
    """An append between the removal's look and its commit, a removal between an append's, and two removals at once."""
    lake = filled(place)
    stale = place.delta("rejects")
    lake.commit(taken_in(mixed(20, 20), 20))
    twin, before = place.delta("rejects"), datetime(2026, 1, 4, tzinfo=UTC)
    old = old_files(stale, before)
    _commit(stale, old, before, DAYS_LATER)
    with pytest.raises(CommitFailedError):  # then it looks anew, and finds nothing left
        _commit(twin, old, before, DAYS_LATER)
    append = lake._append

    def removed_first(name: str, snapshot: DeltaTable, made: Cycle, targets: Mapping[Partition, int]) -> None:
        if name == "rejects":
            expired(place, 5)
        append(name, snapshot, made, targets)

    lake._append = removed_first  # type: ignore[method-assign]
    committed = lake.commit(taken_in(mixed(30, 30), 20))
    assert (committed.rows["rejects"], committed.conflicts) == (2, 1)
    assert offsets(place, "rejects") == [(0, 27), (0, 28), (0, 37), (0, 38)]
    assert verify(str(place.folder), None) == []


def test_verify_knows_what_expired_and_nothing_else(tmp_path: Path) -> None:
    filled(tmp_path)
    list(expire(str(tmp_path), {}, DAYS_LATER, 14))
    assert verify(str(tmp_path), None) == []
    DeltaTable(str(tmp_path / "rejects")).create_checkpoint()
    assert verify(str(tmp_path), None) == []
    table = DeltaTable(str(tmp_path / "rejects"))
    table.delete("kafka_offset = 17")  # by hand: of what retention has not declared
    assert [(each.kind, each.partition, each.offset, each.count) for each in verify(str(tmp_path), None)] == [("interval_sum", 0, 10, 1), ("missing", 0, 10, 1)]


def test_other_rows_of_the_same_offsets_may_not_go_with_them(tmp_path: Path) -> None:
    filled(tmp_path)
    list(expire(str(tmp_path), {}, DAYS_LATER, 14))
    DeltaTable(str(tmp_path / "logs")).delete("kafka_offset = 5 AND kafka_partition = 1")
    assert [(each.kind, each.partition, each.offset, each.table) for each in verify(str(tmp_path), None)] == [
        ("interval_sum", 1, 0, "logs"),
        ("missing", 1, 0, ""),
    ]


def test_a_part_of_a_record_may_expire(tmp_path: Path) -> None:
    """A record with two logs around a reject: its indexes have a hole then."""
    lake = started(tmp_path, P)
    made = taken_in(cycle(P, 0, 1, 0, logs=[0, 0], rejects=[0]), 0, record_index=1)
    made.intervals = [replace(made.intervals[0], rows_in=3, rows_dropped=0)]
    log = pa.Table.from_batches(made.logs)
    place = log.schema.get_field_index("record_index")
    made.logs = log.set_column(place, log.schema.field(place), pa.array([0, 2], pa.int32())).to_batches()
    lake.commit(made)
    assert verify(str(tmp_path), None) == []
    assert len(list(expire(str(tmp_path), {}, DAYS_LATER, 14))) == 1
    assert verify(str(tmp_path), None) == []


def test_the_sweep_takes_the_files_once_the_log_has_forgotten_them(tmp_path: Path) -> None:
    filled(tmp_path)
    now_s = Clock().unix_nano() / 1e9
    on_disk = files_on_disk(tmp_path)
    eight_days_ago = Clock(unix_nano=lambda: int((now_s - 8 * 86400) * 1e9))
    list(expire(str(tmp_path), {}, eight_days_ago, 1e-9))
    gone = on_disk - files_in_snapshots(tmp_path)
    assert len(gone) == 3
    later = Clock(unix_nano=lambda: int((now_s + 2 * 86400) * 1e9))
    assert list(sweep(str(tmp_path), {}, later, dry_run=False)) == []
    table = DeltaTable(str(tmp_path / "rejects"))
    table.create_checkpoint()
    for entry in (tmp_path / "rejects/_delta_log").glob("*.json"):
        entry.unlink()  # as the log's own retention does behind a checkpoint
    assert {f"{each.table}/{each.path}" for each in sweep(str(tmp_path), {}, later, dry_run=False)} == gone
    assert offsets(tmp_path, "rejects") == []


def test_the_command(tmp_path: Path) -> None:
    filled(tmp_path)

    def asked(*arguments: str, days: int) -> tuple[list[dict[str, Any]], str]:
        done = CliRunner().invoke(
            tracebraid, ["rejects", "expire", *arguments], env={"TRACEBRAID_LAKE": str(tmp_path), "TRACEBRAID_REJECTS__KEEP_DAYS": str(days)}
        )
        assert done.exit_code == 0, done.output
        return [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    assert asked(days=0) == ([], "rejects.keep_days is 0: rejects are kept for ever\n")
    many = (Clock().unix_nano() // 1000 - NOON_US) // DAY_US - 5  # the older ones only
    shown, said = asked("--dry-run", days=many)
    assert [(row["day"], row["files"], row["rows"]) for row in shown] == [("2026-01-02", 2, 4)]
    assert said == f"4 rejects of more than {many} days would be removed\n"
    assert asked(days=many) == (shown, f"4 rejects of more than {many} days removed\n")
    assert offsets(tmp_path, "rejects") == [(0, 17), (0, 18)]


def test_ingest_does_it_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path)
    monkeypatch.setattr(keeping, "FIRST_S", 0.0)
    settings = Settings.model_validate({"lake": str(tmp_path), "rejects": {"keep_days": 14}})
    deadline = Clock().monotonic_s() + 20
    with keeping.kept(settings, DAYS_LATER):
        while len(offsets(tmp_path, "rejects")) > 2 and Clock().monotonic_s() < deadline:
            Clock().sleep(0.05)
    assert offsets(tmp_path, "rejects") == [(0, 17), (0, 18)]


def test_what_fails_beside_ingest_does_not_end_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "FIRST_S", 0.0)
    done = threading.Event()
    with structlog.testing.capture_logs() as said, keeping.kept(Settings.model_validate({"lake": str(tmp_path)}), Clock()):
        done.wait(0.3)
    assert [(line["log_level"], line["event"]) for line in said] == [("warning", "expired rejects stay for now")]
