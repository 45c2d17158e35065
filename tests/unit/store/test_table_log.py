"""When a table's log is looked through: not while it surely ends where the snapshot does."""

from pathlib import Path

import pytest
from deltalake import DeltaTable

from tests.unit.store.build import P, Place, Q, cycle, offsets, opened
from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.store.files import LocalFiles, StoredFiles


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    update = DeltaTable.update_incremental

    def counted(table: DeltaTable) -> None:
        found.append(table.table_uri.rstrip("/").rsplit("/", 1)[-1])
        update(table)

    monkeypatch.setattr(DeltaTable, "update_incremental", counted)
    return found


def test_a_local_log_is_looked_through_once_a_commit(tmp_path: Path, looks: list[str]) -> None:
    lake = opened(tmp_path)
    lake.commit(cycle(P, 0, 3, None, spans=[1]))
    looks.clear()
    for first in (3, 6, 9):
        lake.commit(cycle(P, first, first + 3, first, spans=[first]))
    assert sorted(looks) == ["intervals"] * 3 + ["spans"] * 3


def test_what_another_process_committed_is_seen_at_the_next_look(tmp_path: Path, looks: list[str]) -> None:
    ours, theirs = opened(tmp_path), opened(tmp_path)
    theirs.read_ledger(Q)
    for first in (0, 3, 6):
        theirs.commit(cycle(Q, first, first + 3, first or None, spans=[first]))
        looks.clear()
        assert ours.started([Q]) == {Q}
        assert ours.read_ledger(Q).next_offset == first + 3
        assert looks.count("intervals") == 1


def test_a_log_whose_entries_expired_is_looked_through(place: Place) -> None:
    lake = opened(place)
    for first in (0, 3):
        lake.commit(cycle(P, first, first + 3, first or None, spans=[first]))
    log, newest = place.folder / "intervals/_delta_log", place.delta("intervals").version()
    files = lake._files["intervals"]
    assert isinstance(files, LocalFiles | StoredFiles)
    assert files.ends_log(newest) is isinstance(files, LocalFiles)
    assert not files.ends_log(newest - 1)
    (log / f"{newest:020}.json").rename(log / "expired")
    assert not files.ends_log(newest)


def test_no_commit_goes_into_a_gap_that_a_removal_of_entries_left(tmp_path: Path) -> None:
    """The look at two names takes it for the end of the log; delta-rs, which commits, does not. From the checkpoint on all is well."""
    ours, theirs = opened(tmp_path, P), opened(tmp_path, Q)
    ours.commit(cycle(P, 0, 3, None, spans=[0]))
    last = DeltaTable(str(tmp_path / "spans")).version()
    for first in (0, 3, 6):
        theirs.commit(cycle(Q, first, first + 3, first or None, spans=[first]))
    DeltaTable(str(tmp_path / "spans")).create_checkpoint()
    gap = tmp_path / f"spans/_delta_log/{last + 1:020}.json"
    gap.unlink()
    assert ours._files["spans"].ends_log(last)
    with pytest.raises(TracebraidError, match="found gap"):
        ours.commit(cycle(P, 3, 6, 3, spans=[3]))
    assert not gap.exists()
    again = opened(tmp_path, P)
    again.commit(cycle(P, 3, 6, 3, spans=[3]))
    assert offsets(tmp_path, "spans") == [(0, 0), (0, 3), (1, 0), (1, 3), (1, 6)]
