"""Where machine code is kept, and what happens where it cannot be: it is made again, and nothing fails."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tracebraid.pipeline.kernel.environment import cache_directory

PROGRAM = """
import pyarrow as pa
from tracebraid.pipeline.kernel import held
print(held.is_id(pa.array(["0a", "zz", None]), 2).tolist(), held._are_ids.stats.cache_hits.total())
"""
FOUND = "[True, False, True]"


def run(place: Path, before: Callable[[], None] | None = None) -> str:
    """What PROGRAM says: what a kernel found, and how often its machine code was kept."""
    environ = {**os.environ, "XDG_CACHE_HOME": str(place)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environ, capture_output=True, text=True, check=False, preexec_fn=before, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_machine_code_that_was_torn_is_made_again(tmp_path: Path) -> None:
    assert [run(tmp_path), run(tmp_path)] == [f"{FOUND} 0", f"{FOUND} 1"]
    for kind in ("*.nbi", "*.nbc"):
        (kept,) = tmp_path.rglob(f"*_are_ids*{kind[1:]}")
        kept.write_bytes(kept.read_bytes()[:5])  # as a power cut leaves it
        assert [run(tmp_path), run(tmp_path)] == [f"{FOUND} 0", f"{FOUND} 1"], kind


def test_a_disk_that_is_full_costs_the_compilation_and_no_more(tmp_path: Path) -> None:
    full = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # noqa: E731
    assert run(tmp_path, full) == f"{FOUND} 0"
    assert [run(tmp_path), run(tmp_path)] == [f"{FOUND} 0", f"{FOUND} 1"]


@pytest.mark.parametrize(("variables", "wanted"), [({"HOME": "/a"}, "/a/.cache"), ({"XDG_CACHE_HOME": "/c", "HOME": "/h"}, "/c"), ({"HOME": "~"}, None)])
def test_a_cache_is_where_the_user_has_it_or_nowhere(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], wanted: str | None) -> None:
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_directory() == (Path(wanted) / "tracebraid" if wanted else None)
