"""The commit protocol on its straight path and under faults, in a directory and in S3: what is visible afterwards, and what the next owner finds."""

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.schema import Field, PrimitiveType

from tests.unit.store.build import GROUP, ONCE, P, Place, Q, cycle, files_in_snapshots, files_on_disk, mixed, offsets, opened, partition, visible
from tracebraid.pipeline.kernel.errors import OwnershipLost, TracebraidError
from tracebraid.pipeline.kernel.limits import unsynced_age_s_max
from tracebraid.pipeline.store.lake import Lake
from tracebraid.pipeline.store.ledger import Committed, Cycle, Held, Interval

COMMITS = ["logs", "spans", "rejects", "intervals"]


class Crash(Exception):
    """Stands for the end of the process."""


def crash_at(lake: Lake, step: str) -> None:
    def after_step(name: str) -> None:
        if name == step:
            raise Crash(name)

    lake.after_step = after_step


def test_a_cycle_is_visible_once_with_its_ledger(place: Place) -> None:
    lake = opened(place)
    steps: list[str] = []
    lake.after_step = steps.append
    committed = lake.commit(mixed())
    assert steps == ["checked", "written", "fenced", *(f"committed {table}" for table in COMMITS)]
    sizes = {table: sum(path.stat().st_size for path in (place.folder / table).glob("day=*/*")) for table in COMMITS}
    assert committed == Committed(
        versions={"logs": 1, "spans": 2, "rejects": 2, "intervals": 2},
        files=dict.fromkeys(COMMITS, 1),
        bytes=sizes,
        rows={"logs": 3, "spans": 4, "rejects": 2, "intervals": 1},
    )
    assert visible(place) == ONCE
    assert opened(place).read_ledger(P) == Held(10, {}, 10)
    assert files_on_disk(place) == files_in_snapshots(place)
    log = (place.folder / "spans/_delta_log/00000000000000000002.json").read_text()
    assert log.count('"txn":{"appId":"cluster/id-of-otlp_spans/0","version":10}') == 1


def test_tables_without_rows_are_not_committed(place: Place) -> None:
    lake = opened(place)
    assert lake.commit(cycle(P, 0, 5, None)).versions == {"intervals": 1}
    assert lake.commit(cycle(P, 5, 9, 5, spans=[6])).versions == {"spans": 2, "intervals": 2}
    assert [place.delta(table).version() for table in COMMITS] == [1, 2, 1, 2]  # the first cycle alone moves every ledger
    assert opened(place).read_ledger(P) == Held(9, {}, 9)


def test_a_partition_that_was_never_read_has_no_ledger(place: Place) -> None:
    lake = opened(place)
    assert lake.read_ledger(P) == Held(None, {}, 0)
    lake.commit(Cycle([], [], [], [Interval(P, "start", "latest", 7, 6)], {P: None}, GROUP))
    assert lake.read_ledger(P) == Held(7, {}, 7)
    lake.commit(Cycle([], [], [], [Interval(P, "lost", "retention", 7, 99)], {P: 7}, GROUP))
    assert lake.read_ledger(P) == Held(100, {}, 100)
    assert (lake.started([P, Q]), lake.started([Q]), lake.started([partition(5, "other")])) == ({P}, set(), set())


@pytest.mark.parametrize("step", ["checked", "written"])
def test_a_crash_before_the_first_commit_leaves_nothing_visible(place: Place, step: str) -> None:
    lake = opened(place)
    crash_at(lake, step)
    with pytest.raises(Crash):
        lake.commit(mixed())
    assert visible(place) == {"spans": [], "logs": [], "rejects": []}
    assert files_in_snapshots(place) == set()
    assert opened(place).read_ledger(P) == Held(None, {}, 0)


@pytest.mark.parametrize("table", COMMITS)
def test_a_cycle_torn_between_tables_is_finished_without_a_row_twice(place: Place, table: str) -> None:
    lake = opened(place)
    lake.commit(Cycle([], [], [], [Interval(P, "start", "earliest", 0, -1)], {P: None}, GROUP))
    crash_at(lake, f"committed {table}")
    with pytest.raises(Crash):
        lake.commit(mixed(expected=0))
    heirs = opened(place)
    held = heirs.read_ledger(P)
    done = COMMITS[: COMMITS.index(table) + 1]
    if table == "intervals":
        assert held == Held(10, {}, 10)
    else:
        assert held == Held(0, {(offset, 0): name for name in done for offset in ONCE[name]}, 10)
        again = mixed(expected=0)
        for name in ("spans", "logs", "rejects"):
            if name in done:
                setattr(again, name, [])
        heirs.commit(again)
    assert visible(place) == ONCE
    assert opened(place).read_ledger(P) == Held(10, {}, 10)


def test_a_torn_cycle_may_be_finished_in_smaller_ones_and_no_ledger_goes_back(place: Place) -> None:
    lake = opened(place)
    lake.commit(Cycle([], [], [], [Interval(P, "start", "earliest", 0, -1)], {P: None}, GROUP))
    crash_at(lake, "committed logs")
    with pytest.raises(Crash):
        lake.commit(mixed(expected=0))
    heirs = opened(place)
    heirs.commit(cycle(P, 0, 3, 0, spans=[0, 1], logs=[2]))  # a newer decoder sees a log in what was a span; logs' ledger stays at 10
    assert heirs.read_ledger(P) == Held(3, {(offset, 0): "logs" for offset in (4, 5, 6)}, 10)
    heirs.commit(cycle(P, 3, 10, 3, spans=[3], rejects=[7, 8]))
    assert visible(place) == {"spans": [0, 1, 3], "logs": [2, 4, 5, 6], "rejects": [7, 8]}
    assert heirs.read_ledger(P) == Held(10, {}, 10)


def test_only_the_torn_cycle_itself_or_the_ledgers_go_on(place: Place) -> None:
    lake = opened(place)
    torn = mixed()
    crash_at(lake, "committed spans")
    with pytest.raises(Crash):
        lake.commit(torn)
    lake.after_step = lambda name: None
    with pytest.raises(OwnershipLost, match="half committed"):
        lake.commit(mixed())
    assert lake.commit(torn).rows == {"logs": 3, "spans": 4, "rejects": 2, "intervals": 1}
    assert visible(place) == ONCE
    assert lake.commit(mixed(10, 10)).versions["intervals"] == 3


def test_after_reading_the_ledgers_a_torn_cycle_is_finished_by_another(place: Place) -> None:
    lake = opened(place)
    crash_at(lake, "committed spans")
    with pytest.raises(Crash):
        lake.commit(mixed())
    lake.after_step = lambda name: None
    assert lake.read_ledger(P) == Held(None, {(offset, 0): name for name in ("logs", "spans") for offset in ONCE[name]}, 10)
    rest = mixed()
    rest.logs = rest.spans = []
    assert lake.commit(rest).rows == {"rejects": 2, "intervals": 1}
    assert visible(place) == ONCE


def test_the_first_owner_is_found_out_before_it_writes(place: Place) -> None:
    zombie, owner = opened(place), opened(place)
    owner.commit(mixed())
    before = files_on_disk(place)
    with pytest.raises(OwnershipLost, match=r"another writer has otlp_spans\[0\]: table intervals is at offset 10, we left it at None"):
        zombie.commit(mixed())
    assert visible(place) == ONCE
    assert files_on_disk(place) == before
    assert zombie.read_ledger(P) == Held(10, {}, 10)
    zombie.commit(mixed(10, 10))
    with pytest.raises(OwnershipLost):
        owner.commit(mixed(10, 10))


@pytest.mark.parametrize("step", ["checked", "written"])
def test_an_owner_that_comes_while_files_are_written_is_seen(place: Place, step: str) -> None:
    zombie, owner = opened(place), opened(place)
    zombie.after_step = lambda name: owner.commit(mixed()) and None if name == step else None
    with pytest.raises(OwnershipLost):
        zombie.commit(mixed())
    assert visible(place) == ONCE
    assert files_on_disk(place) == files_in_snapshots(place)


@pytest.mark.parametrize("step", ["checked", "written"])
@pytest.mark.parametrize("earlier", [0, 10])
def test_an_owner_with_another_decoder_is_seen_in_tables_where_it_has_no_rows(place: Place, step: str, earlier: int) -> None:
    """What the zombie takes for logs is spans to its owner: no table has rows of both, and yet none is written by both."""
    zombie = opened(place)
    if earlier:
        zombie.commit(cycle(P, 0, earlier, None, logs=range(earlier)))
    owner, at = opened(place), range(earlier, earlier + 3)
    zombie.after_step = lambda name: owner.commit(cycle(P, earlier, earlier + 3, earlier or None, spans=at)) and None if name == step else None
    with pytest.raises(OwnershipLost):
        zombie.commit(cycle(P, earlier, earlier + 3, earlier or None, logs=at))
    assert visible(place) == {"spans": list(at), "logs": list(range(earlier)), "rejects": []}
    assert opened(place).read_ledger(P) == Held(earlier + 3, {}, earlier + 3)


def test_an_owner_that_comes_between_snapshot_and_commit_is_seen(place: Place) -> None:
    """The last moment: after the check, before the commit. delta-rs sees the same app_id there."""
    zombie, owner = opened(place), opened(place)
    append = zombie._append

    def late(*arguments: object) -> None:
        zombie._append = append  # type: ignore[method-assign]
        owner.commit(mixed())
        append(*arguments)  # type: ignore[arg-type]

    zombie._append = late  # type: ignore[method-assign]
    with pytest.raises(OwnershipLost):
        zombie.commit(mixed())
    assert visible(place) == ONCE


def test_partitions_of_two_processes_go_into_one_lake_at_once(place: Place) -> None:
    first, second = opened(place, P), opened(place, Q)
    first.after_step = lambda name: second.commit(mixed(owner=Q)) and None if name == "written" else None
    assert first.commit(mixed()).versions == {"logs": 2, "spans": 4, "rejects": 4, "intervals": 4}
    assert {name: len(found) for name, found in visible(place).items()} == {"spans": 8, "logs": 6, "rejects": 4}
    assert (first.read_ledger(P), first.read_ledger(Q)) == (Held(10, {}, 10), Held(10, {}, 10))


def test_one_cycle_of_two_partitions(place: Place) -> None:
    lake = opened(place, P, Q)
    both, other = mixed(), mixed(owner=Q)
    both.spans += other.spans
    both.intervals += other.intervals
    both.expected |= other.expected
    lake.commit(both)
    assert offsets(place, "spans") == [(number, offset) for number in (0, 1) for offset in range(4)]
    assert opened(place, Q).read_ledger(Q) == Held(10, {}, 10)


def test_a_column_added_meanwhile_does_not_lose_the_cycle(place: Place) -> None:
    lake = opened(place)
    table = place.delta("spans")
    lake.after_step = lambda name: table.alter.add_columns([Field("later", PrimitiveType("string"))]) if name == "written" else None  # type: ignore[list-item]
    lake.commit(mixed())
    assert visible(place) == ONCE
    changing = opened(place)
    append = changing._append

    def late(name: str, *arguments: object) -> None:
        if name == "logs":
            changing._append = append  # type: ignore[method-assign]
            place.delta("logs").alter.set_table_properties({"tracebraid.x": "1"}, raise_if_not_exists=False)
        append(name, *arguments)  # type: ignore[arg-type]

    changing._append = late  # type: ignore[method-assign]
    assert changing.commit(mixed(10, 10)).versions == {"logs": 3, "spans": 5, "rejects": 4, "intervals": 4}
    assert len(offsets(place, "logs")) == 6


def test_a_table_that_our_rows_do_not_fit_any_more_is_refused_before_anything_is_committed_to_it(place: Place) -> None:
    lake = opened(place)
    strange = Field("strange", PrimitiveType("string"), nullable=False)
    lake.after_step = lambda name: place.delta("logs").alter.add_columns([strange]) if name == "written" else None
    whole = mixed()
    with pytest.raises(TracebraidError, match=r"columns of the table .*/logs are not as tracebraid made them: strange\. Another program changed it") as error:
        lake.commit(whole)
    assert not error.value.transient
    assert visible(place) == {"spans": [], "logs": [], "rejects": []}
    with pytest.raises(TracebraidError, match="are not as tracebraid made them: strange"):
        opened(place)


@pytest.mark.parametrize("landed", [True, False])
@pytest.mark.parametrize("table", COMMITS)
def test_an_answer_that_never_came_is_looked_up(place: Place, table: str, landed: bool) -> None:
    """A commit that timed out and succeeded is taken as done; one that did not is an error, and the same cycle can be given again."""
    lake = opened(place)
    append = lake._append

    def no_answer(name: str, *arguments: object) -> None:
        if name == table:
            lake._append = append  # type: ignore[method-assign]
            if landed:
                append(name, *arguments)  # type: ignore[arg-type]
            raise OSError("operation timed out")
        append(name, *arguments)  # type: ignore[arg-type]

    lake._append = no_answer  # type: ignore[method-assign, assignment]
    whole = mixed()
    if not landed:
        with pytest.raises(TracebraidError, match=f"cannot commit to .*/{table}: operation timed out") as error:
            lake.commit(whole)
        assert error.value.transient
    assert lake.commit(whole).rows == {"logs": 3, "spans": 4, "rejects": 2, "intervals": 1}
    assert visible(place) == ONCE
    assert files_on_disk(place) == files_in_snapshots(place)


def _age(path: Path) -> None:
    os.utime(path, (0, path.stat().st_mtime - unsynced_age_s_max - 60))


@pytest.mark.parametrize("spoil", [Path.unlink, _age])
def test_files_that_are_gone_or_old_are_not_committed(place: Place, spoil: Callable[[Path], None]) -> None:
    lake = opened(place)
    whole = mixed()

    def after_step(name: str) -> None:
        if name == "written":
            for path in (place.folder / "spans").rglob("day=*/*.parquet"):
                spoil(path)

    lake.after_step = after_step
    with pytest.raises(TracebraidError, match=r"files of .*/spans are gone, or too old"):
        lake.commit(whole)
    assert visible(place)["spans"] == []
    lake.after_step = lambda name: None
    lake.commit(whole)
    assert visible(place) == ONCE


def test_a_lake_has_one_group(place: Place) -> None:
    first, second = opened(place), opened(place)
    first.claim("orders")
    second.claim("orders")
    with pytest.raises(TracebraidError) as error:
        second.claim("billing")
    assert str(error.value) == (
        f"the lake {place.url} is filled by the consumer group orders, not by billing. Set ingest.group to orders, or give billing a lake of its own"
    )
    assert second.lake_id == first.lake_id
    assert len(first.lake_id) == 8
    second.commit(mixed())


def test_a_group_that_claims_at_the_same_moment_comes_second(place: Place) -> None:
    first, second = opened(place), opened(place)
    refresh = second._refresh

    def late(name: str) -> DeltaTable:
        table = refresh(name)
        second._refresh = refresh  # type: ignore[method-assign]
        first.claim("orders")
        return table

    second._refresh = late  # type: ignore[method-assign]
    with pytest.raises(TracebraidError, match="filled by the consumer group orders, not by billing"):
        second.claim("billing")


def test_checkpoints_keep_the_ledgers(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracebraid.pipeline.store.tables.CHECKPOINT_INTERVAL", 5)
    lake = opened(place)
    for at in range(12):
        lake.commit(cycle(P, at, at + 1, at or None, spans=[at]))
    log = place.folder / "spans/_delta_log"
    assert sorted(path.name for path in log.glob("*.parquet")) == [f"{version:020}.checkpoint.parquet" for version in (4, 9)]
    assert opened(place).read_ledger(P) == Held(12, {}, 12)
    assert [offset for _, offset in offsets(place, "spans")] == list(range(12))
    assert pa.table(place.delta("spans").get_add_actions(flatten=True))["max.kafka_offset"].to_pylist() == list(range(11, -1, -1))
