"""Machine code that earlier processes kept: loaded, or removed where it is no good; and what other versions left behind.

In: places in the cache. Out: what can be called. Never: an exception for what lies there; a folder of another user's touched; a process that dies twice over
the same file.
"""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.machine_code import Kind, Native, is_own, load, read_code

_LOADING = ".loading."
_DIGEST = re.compile(r"[0-9a-f]{16}")


def load_kept(place: Path, kinds: Sequence[Kind]) -> Native | None:
    """None where nothing is kept that can be loaded; what cannot, or was the end of a process that tried, is removed, so that it is made anew."""
    try:
        if _was_fatal(place):
            place.unlink(missing_ok=True)
        code = read_code(place)
        if code is None:
            return None
        with _marked(place):
            return load(code, kinds)
    except Exception:  # LLVM does not take it; or names are none, though the digest is right
        with suppress(OSError):
            place.unlink()
        return None


@contextmanager
def _marked(place: Path) -> Iterator[None]:
    """A file beside it, locked for as long as this process loads it: LLVM ends a process where it finds what it thinks impossible."""
    name = uuid4()
    new, mark = place.with_name(f"{place.name}.{name}"), place.with_name(f"{place.name}{_LOADING}{name}")
    try:
        opened = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except OSError:  # a cache that may not be written
        yield
        return
    try:
        with suppress(OSError):
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.rename(new, mark)  # nobody sees it who does not see it locked
        yield
    finally:
        for each in (mark, new):
            with suppress(OSError):
                each.unlink()
        os.close(opened)


def _was_fatal(place: Path) -> bool:
    """Whether a process ended while it loaded this: then its mark is there, and nobody holds it."""
    found = False
    for mark in place.parent.glob(f"{place.name}{_LOADING}*"):
        with suppress(OSError), mark.open("rb") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mark.unlink()
            found = True
    return found


def remove_unused(directory: Path, now_s: float) -> None:
    """Remove the folders of other versions that no process has begun to use for `kernels_kept_s`. One that still runs has its code in memory, or makes it."""
    with suppress(OSError):
        if not is_own(directory.stat()):
            return
        for each in directory.iterdir():
            status = each.lstat()
            unused = each.is_dir() and not each.is_symlink() and now_s - status.st_mtime > limits.kernels_kept_s
            if unused and _DIGEST.fullmatch(each.name) and is_own(status):
                shutil.rmtree(each, ignore_errors=True)
