"""Where machine code is kept, and what happens where it cannot be: it is made again, and nothing fails."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tracebraid.pipeline.kernel.compiled import compiled
from tracebraid.pipeline.kernel.compiling import compile_kernel
from tracebraid.pipeline.kernel.environment import cache_directory
from tracebraid.pipeline.kernel.machine_code import kind_of

PROGRAM = """
import sys
import pyarrow as pa
from tracebraid.pipeline.kernel import held
print(held.is_id(pa.array(["0000000a", "zzzzzzzz", None]), 8).tolist(), held._are_ids.made, "numba" in sys.modules)
"""
COMPILED, KEPT = "[True, False, True] 1 True", "[True, False, True] 0 False"


def run(place: Path, before: Callable[[], None] | None = None) -> str:
    """What PROGRAM says: what a kernel found, how often it was compiled, and whether numba was there."""
    environ = {**os.environ, "XDG_CACHE_HOME": str(place)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environ, capture_output=True, text=True, check=False, preexec_fn=before, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_machine_code_that_was_torn_is_made_again(tmp_path: Path) -> None:
    assert [run(tmp_path), run(tmp_path)] == [COMPILED, KEPT]
    (kept,) = tmp_path.rglob("*_are_ids*")
    whole = kept.read_bytes()
    for torn in (b"", whole[:5], whole[:-1], whole[:-1] + b"x"):  # as a power cut leaves it, or a bad disk
        kept.write_bytes(torn)
        assert [run(tmp_path), run(tmp_path)] == [COMPILED, KEPT], len(torn)
    assert [each.name for each in tmp_path.rglob("*_are_ids*")] == [kept.name]


def test_machine_code_that_somebody_else_may_have_put_there_is_not_run(tmp_path: Path) -> None:
    assert [run(tmp_path), run(tmp_path)] == [COMPILED, KEPT]
    (kept,) = tmp_path.rglob("*_are_ids*")
    assert (kept.stat().st_mode & 0o777, kept.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    kept.parent.chmod(0o777)  # a cache that several users share
    assert run(tmp_path) == COMPILED
    kept.parent.chmod(0o700)
    assert run(tmp_path) == KEPT
    kept.chmod(0o666)
    assert [run(tmp_path), run(tmp_path)] == [COMPILED, KEPT]
    if os.geteuid() == 0:
        os.chown(kept, 65534, -1)
        assert [run(tmp_path), run(tmp_path)] == [COMPILED, KEPT]


def test_of_several_that_start_together_one_compiles(tmp_path: Path) -> None:
    environ = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    started = [subprocess.Popen([sys.executable, "-c", PROGRAM], env=environ, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    found = [each.communicate(timeout=120)[0].strip() for each in started]
    assert sum(int(each.split()[-2]) for each in found) == 1, found


def test_a_disk_that_is_full_costs_the_compilation_and_no_more(tmp_path: Path) -> None:
    full = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # noqa: E731
    assert run(tmp_path, full) == COMPILED
    assert [run(tmp_path), run(tmp_path)] == [COMPILED, KEPT]


@pytest.mark.parametrize(("variables", "wanted"), [({"HOME": "/a"}, "/a/.cache"), ({"XDG_CACHE_HOME": "/c", "HOME": "/h"}, "/c"), ({"HOME": "~"}, None)])
def test_a_cache_is_where_the_user_has_it_or_nowhere(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], wanted: str | None) -> None:
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_directory() == (Path(wanted) / "tracebraid" if wanted else None)


@compiled
def _kernel(numbers: Any, pair: Any, factor: Any, negative: Any) -> Any:
    """What arguments there are: arrays of one and two dimensions, apart in memory, not to be written; tuples; integers of 64 bits; booleans."""
    found = np.int64(pair[1])
    for number in numbers:
        found += number * factor
    for row in range(pair[0].shape[0]):
        for column in range(pair[0].shape[1]):
            found += pair[0][row, column]
    return -found if negative else found


@compiled
def _above(numbers: Any, limit: Any) -> bool:
    return bool(numbers[0] > limit)


def test_arguments_lie_as_machine_code_wants_them() -> None:
    numbers, table = np.arange(10, dtype=np.int32), np.arange(6, dtype=np.int64).reshape(2, 3)
    fixed = np.frombuffer(bytes(range(5)), np.uint8)
    assert [_kernel(numbers, (table, 1), 2, False), _kernel(numbers[::3], (table.T, 1), np.int64(2), True)] == [106, -52]
    assert _kernel(fixed, (table[:, 1:], 0), -(2**40), False) == 12 - 10 * 2**40
    assert [_above(numbers, -1), _above(numbers, 0)] == [True, False]


def test_what_a_kernel_does_not_take_is_said() -> None:
    with pytest.raises(TypeError, match="not str"):
        _above(np.zeros(1), "x")


def test_what_goes_wrong_within_is_an_exception_and_no_result() -> None:
    with pytest.raises(RuntimeError, match="division by zero"):
        _divided(1, 0)


@compiled
def _divided(one: Any, other: Any) -> Any:
    return one // other


def test_machine_code_that_calls_what_is_not_in_it_is_not_made_and_numba_calls_it() -> None:
    printing: Any = _printing
    with pytest.raises(TypeError, match="not in its machine code"):
        compile_kernel(printing.dispatcher, (kind_of(1),))
    assert _printing(1) is None
    assert printing.made == 1


@compiled
def _printing(number: Any) -> None:
    print(number)
