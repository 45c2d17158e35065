"""Storage that fails: full, read-only, limited. Nothing half visible, one line that says what to do, and the same cycle goes through later."""

import os
import resource
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from tests.unit.store.build import GROUP, ONCE, P, files_in_snapshots, files_on_disk, mixed, opened, visible
from tracebraid.pipeline.flow import Flow
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.kernel.metrics import Metrics
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.pipeline.store import ahead, parquet
from tracebraid.pipeline.store.lake import Lake
from tracebraid.pipeline.store.ledger import Held
from tracebraid.pipeline.store.parquet import Encoded, encode_rows
from tracebraid.schemas.table import Table


@pytest.fixture
def small_files() -> Iterator[Callable[[int], None]]:
    """Limits the size of files this process may write, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_failed_write_leaves_nothing_and_can_be_repeated(tmp_path: Path, small_files: Callable[[int], None]) -> None:
    lake = opened(tmp_path)
    whole = mixed()
    small_files(1000)
    with pytest.raises(TracebraidError, match=r"cannot write to .*/logs: the file size limit is too small"):
        lake.commit(whole)
    assert files_on_disk(tmp_path) == set()
    small_files(resource.RLIM_INFINITY)
    lake.commit(whole)
    assert visible(tmp_path) == ONCE


def test_a_failed_log_entry_leaves_nothing_and_can_be_repeated(tmp_path: Path, small_files: Callable[[int], None]) -> None:
    lake = opened(tmp_path)
    whole = mixed()
    lake.after_step = lambda name: small_files(500) if name == "written" else None
    with pytest.raises(TracebraidError, match=r"cannot commit to .*/logs: the file size limit is too small"):
        lake.commit(whole)
    assert visible(tmp_path) == {"spans": [], "logs": [], "rejects": []}
    small_files(resource.RLIM_INFINITY)
    lake.after_step = lambda name: None
    lake.commit(whole)
    assert visible(tmp_path) == ONCE
    assert files_on_disk(tmp_path) == files_in_snapshots(tmp_path)


def test_what_was_encoded_ahead_is_encoded_once_however_often_the_cycle_is_given(
    tmp_path: Path, small_files: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[str] = []
    monkeypatch.setattr(ahead, "encode_rows", lambda table, batches: encoded.append(f"{table.name} ahead") or encode_rows(table, batches))
    monkeypatch.setattr(parquet, "encode_rows", lambda table, batches: encoded.append(table.name) or encode_rows(table, batches))
    lake, whole = opened(tmp_path), mixed()
    with ThreadPoolExecutor(1) as aside:
        ahead.encode_ahead(whole, aside)
        small_files(1000)
        for _ in range(3):
            with pytest.raises(TracebraidError):
                lake.commit(whole)
        small_files(resource.RLIM_INFINITY)
        lake.commit(whole)
    assert encoded == ["logs ahead", "spans ahead", "rejects ahead", "intervals"]
    assert (visible(tmp_path), whole.ahead) == (ONCE, {})


def test_what_could_not_be_encoded_ahead_is_encoded_when_the_cycle_is_given_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(table: Table, _: object) -> list[Encoded]:
        raise pa.ArrowException(f"no room for {table.name}")

    monkeypatch.setattr(ahead, "encode_rows", failing)
    lake, whole = opened(tmp_path), mixed()
    with ThreadPoolExecutor(1) as aside:
        ahead.encode_ahead(whole, aside)
        for table in ("logs", "spans", "rejects"):
            with pytest.raises(TracebraidError, match=f"no room for {table}"):
                lake.commit(whole)
    lake.commit(whole)
    assert visible(tmp_path) == ONCE


def test_a_cycle_that_is_dropped_is_not_encoded_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on, encoded = threading.Event(), threading.Event(), list[str]()

    def slowly(table: Table, batches: Sequence[pa.RecordBatch]) -> list[Encoded]:
        encoded.append(table.name)
        begun.set()
        assert go_on.wait(30)
        return encode_rows(table, batches)

    monkeypatch.setattr(ahead, "encode_rows", slowly)
    flow = Flow(Settings(lake=str(tmp_path)), opened(tmp_path), GROUP, metrics=Metrics(), clock=Clock(), stream=False)
    flow.closed = mixed()
    with ThreadPoolExecutor(1) as aside:
        ahead.encode_ahead(flow.closed, aside)
        assert begun.wait(30)
        flow.drop()
        go_on.set()
    assert (encoded, flow.closed) == (["logs"], None)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB; where mounting is not allowed the test is skipped, and the limit on file sizes above stands for it."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("cannot mount a tmpfs here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk(tiny_disk: Path) -> None:
    lake = opened(tiny_disk)
    filler = tiny_disk / "filler"
    whole = mixed()
    for step in ("checked", "written"):
        free = os.statvfs(tiny_disk).f_bavail * os.statvfs(tiny_disk).f_frsize

        def fill(name: str, step: str = step, free: int = free) -> None:
            if name == step:
                with open(filler, "wb", buffering=0) as file:
                    while free > 0:
                        try:
                            free -= file.write(b"x" * min(free, 4096))
                        except OSError:
                            return

        lake.after_step = fill
        with pytest.raises(TracebraidError, match=r"cannot (write|commit) to .*: the disk is full\. Free space there"):
            lake.commit(whole)
        assert visible(tiny_disk) == {"spans": [], "logs": [], "rejects": []}
        filler.unlink()
    lake.after_step = lambda name: None
    lake.commit(whole)
    assert visible(tiny_disk) == ONCE
    assert files_on_disk(tiny_disk) == files_in_snapshots(tiny_disk)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Callable[[], Path]]:
    """A lake that nobody may write: a read-only mount for root, plain permissions for others."""
    place = tmp_path / "lake"
    place.mkdir()
    root = os.geteuid() == 0

    def close() -> Path:
        if not root:
            for path in [place, *(path for path in place.rglob("*") if path.is_dir())]:
                path.chmod(0o555)
        elif subprocess.run(["mount", "--bind", "-o", "ro", str(place), str(place)], capture_output=True, check=False).returncode:
            pytest.skip("cannot mount here, and root may write everywhere")
        return place

    yield close
    if root:
        subprocess.run(["umount", "-l", str(place)], capture_output=True, check=False)
    for path in [place, *(path for path in place.rglob("*") if path.is_dir())]:
        path.chmod(0o755)


def test_a_read_only_lake_can_be_read_and_says_why_it_cannot_be_written(tmp_path: Path, read_only: Callable[[], Path]) -> None:
    opened(tmp_path / "lake").commit(mixed())
    place = read_only()
    lake = Lake.open(str(place), {}, Clock(), create=False)
    assert lake.read_ledger(P) == Held(10, {}, 10)
    with pytest.raises(TracebraidError, match=r"cannot write to .*: (the file system is read-only|permission denied)\. "):
        lake.commit(mixed(10, 10))
    with pytest.raises(TracebraidError, match=r"cannot claim the lake .*: (the file system is read-only|permission denied)\. "):
        lake.claim("orders")
    assert visible(place) == ONCE


def test_a_lake_that_cannot_be_made(tmp_path: Path, read_only: Callable[[], Path]) -> None:
    place = read_only()
    with pytest.raises(TracebraidError, match=r"cannot make the table .*: (the file system is read-only|permission denied)\. "):
        Lake.open(str(place), {}, Clock())
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(TracebraidError, match=r"cannot (make|open) the table .*: part of the path is a file\. Set TRACEBRAID_LAKE to a directory"):
        Lake.open(str(tmp_path / "file"), {}, Clock())
