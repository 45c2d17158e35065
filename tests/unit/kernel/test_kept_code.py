"""Machine code that was kept and is no good: what LLVM refuses or dies of is made anew, once. And folders of other versions that nobody uses."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from tests.unit.kernel.test_compiled import COMPILED, KEPT, PROGRAM, run
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.kept_code import remove_unused

NOW_S = 1_800_000_000.0
Part = tuple[bytes, bytes, bytes]  # name, what it returns, object file


def kept_in(place: Path) -> Path:
    (found,) = place.rglob("*_are_ids*.kernel")
    return found


def change(kept: Path, changed: Callable[[bytes, bytes, bytes], Part]) -> None:
    """Other content under the right digest, as an LLVM of another kind would have written it."""
    name, returns, data = kept.read_bytes()[32:].split(b"\n", 2)
    rest = b"\n".join(changed(name, returns, data))
    kept.write_bytes(sha256(rest).digest() + rest)


@pytest.mark.parametrize(
    "changed",
    [lambda name, returns, data: (b"run.nobody", returns, data), lambda name, returns, data: (name, b"int64 x y", data), lambda *_: (b"", b"", b"")],
    ids=["another name", "another result", "nothing"],
)
def test_code_that_is_refused_is_made_anew_once(tmp_path: Path, changed: Callable[[bytes, bytes, bytes], Part]) -> None:
    assert run(tmp_path) == COMPILED
    change(kept_in(tmp_path), changed)
    found = [run_or_die(tmp_path) for _ in range(3)]
    assert found[-2:] in ([KEPT, KEPT], [COMPILED, KEPT])
    assert found.count(COMPILED) == 1


def run_or_die(place: Path) -> str:
    done = subprocess.run([sys.executable, "-c", PROGRAM], env={**os.environ, "XDG_CACHE_HOME": str(place)}, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode >= 0 else "died"


def test_code_that_llvm_dies_of_ends_one_process_and_no_other(tmp_path: Path) -> None:
    assert run(tmp_path) == COMPILED
    change(kept_in(tmp_path), lambda name, returns, data: (name, returns, b"no object file"))
    assert [run_or_die(tmp_path) for _ in range(3)] == ["died", COMPILED, KEPT]
    assert sorted(each.suffix for each in kept_in(tmp_path).parent.iterdir()) == ["", ".kernel"]  # and `lock`: no marks are left


def test_the_mark_of_a_process_that_lives_is_left_to_it(tmp_path: Path) -> None:
    assert run(tmp_path) == COMPILED
    kept = kept_in(tmp_path)
    mark = kept.with_name(f"{kept.name}.loading.1")
    with mark.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert run(tmp_path) == KEPT
        assert mark.exists()
    assert [run(tmp_path), run(tmp_path)] == [COMPILED, KEPT]  # now its process ended without taking it away
    assert not mark.exists()


def test_folders_of_other_versions_go_when_nobody_has_used_them_for_long(tmp_path: Path) -> None:
    names = ("0123456789abcdef", "fedcba9876543210", "someone's", "0123456789abcdeg")
    for name in names:
        (tmp_path / name).mkdir(mode=0o700)
        (tmp_path / name / "a.kernel").write_bytes(b"code")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / ("a" * 16)).symlink_to(elsewhere)
    (tmp_path / ("b" * 16)).write_bytes(b"a file")
    (tmp_path / ("c" * 16)).mkdir(mode=0o700)
    (tmp_path / ("c" * 16)).chmod(0o777)  # others may write there: it is left to them
    for each in tmp_path.iterdir():
        old_s = NOW_S - limits.kernels_kept_s + (5 if each.name == names[1] else -5)
        os.utime(each, (old_s, old_s), follow_symlinks=False)
    remove_unused(tmp_path, NOW_S)
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([*names[1:], "elsewhere", "a" * 16, "b" * 16, "c" * 16])
    tmp_path.chmod(0o777)
    remove_unused(tmp_path, NOW_S + 10)
    tmp_path.chmod(0o700)
    assert (tmp_path / names[1]).exists()
    remove_unused(tmp_path, NOW_S + 10)
    assert not (tmp_path / names[1]).exists()
    remove_unused(tmp_path / "none", NOW_S)


def test_who_compiles_removes_what_is_old_and_who_uses_says_so(tmp_path: Path) -> None:
    assert run(tmp_path) == COMPILED
    place = kept_in(tmp_path).parent
    old = place.with_name("0" * 16)
    old.mkdir(mode=0o700)
    for each in (old, place):
        os.utime(each, (1, 1))
    assert run(tmp_path) == KEPT
    assert (old.exists(), place.stat().st_mtime > 1_000_000) == (True, True)
    kept_in(tmp_path).unlink()
    assert run(tmp_path) == COMPILED
    assert (old.exists(), place.exists()) == (False, True)
