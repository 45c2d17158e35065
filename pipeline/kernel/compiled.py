"""Compiled functions: plain loops over arrays, machine code at their first call, kept on disk between runs.

In: a function that numba can compile. Out: the same, compiled, and run without Python's lock. Never: code that an older version left: it is kept under a
digest of all sources that kernels may be made of, and of what compiles them. Without a place to keep it, it is made in each process; so it is where what was
kept cannot be read, or kept, or may be another user's, whose code would run as this one. What is kept is run without numba, whose import alone costs more than
decoding a hundred thousand spans.
"""

import fcntl
import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache, cached_property, update_wrapper
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TypeVar, cast

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.environment import cache_directory
from tracebraid.pipeline.kernel.kept_code import load_kept, remove_unused
from tracebraid.pipeline.kernel.machine_code import Code, Kind, Native, host, is_own, kind_of, load, write_code

Function = TypeVar("Function", bound=Callable[..., Any])
_SOURCES = ("pipeline/kernel", "pipeline/decode/walkers", "schemas")  # compiled functions live in the first two, and read constants of the third
_SUFFIX = ".kernel"
_LOOK_S = 0.05
_lock = threading.RLock()  # compilers are not for several threads


class Kernel:
    """One function; from Python its machine code is called, to other kernels it is what numba makes of it. made: how often it was compiled here."""

    def __init__(self, function: Callable[..., Any], *, inline: bool) -> None:
        update_wrapper(self, function)
        self._function, self._inline, self._natives, self.made = function, inline, dict[tuple[Kind, ...], Native](), 0

    def __call__(self, *arguments: Any) -> Any:
        kinds = tuple([kind_of(argument) for argument in arguments])
        native = self._natives.get(kinds)
        return (native or self._load(kinds))(arguments)

    @cached_property
    def dispatcher(self) -> Any:
        from tracebraid.pipeline.kernel.compiling import dispatcher

        return dispatcher(self._function, inline=self._inline)

    @property
    def _numba_type_(self) -> Any:
        """How numba asks what a kernel is that another one calls."""
        from tracebraid.pipeline.kernel.compiling import type_of

        return type_of(self.dispatcher)

    def _load(self, kinds: tuple[Kind, ...]) -> Native:
        with _lock:
            if kinds not in self._natives:
                self._natives[kinds] = self._native(kinds)
            return self._natives[kinds]

    def _native(self, kinds: tuple[Kind, ...]) -> Native:
        place = self._place(kinds)
        if place is None:
            return self._compiled(kinds, None)
        kept = load_kept(place, kinds)
        if kept:
            return kept
        with _locked(place.with_name("lock")):
            return load_kept(place, kinds) or self._compiled(kinds, place)  # whom we waited for may have made it

    def _compiled(self, kinds: tuple[Kind, ...], place: Path | None) -> Native:
        try:
            return load(self._made(kinds, place), kinds)
        except Exception:  # a numba that does these things otherwise than those we tried: it calls what it compiles by itself, and keeps nothing
            return lambda arguments: self.dispatcher(*arguments)

    def _made(self, kinds: tuple[Kind, ...], place: Path | None) -> Code:
        from tracebraid.pipeline.kernel.compiling import compile_kernel

        self.made += 1
        code = compile_kernel(self.dispatcher, kinds)
        if place:
            write_code(place, code)
            remove_unused(place.parents[1], Clock().unix_nano() / 1e9)
        return code

    def _place(self, kinds: tuple[Kind, ...]) -> Path | None:
        directory = kept_at()
        if directory is None:
            return None
        name = f"{self._function.__module__.rpartition('.')[2]}.{self._function.__name__}"
        return directory / f"{name}-{sha256(repr(kinds).encode()).hexdigest()[:12]}{_SUFFIX}"


def _locked(path: Path) -> AbstractContextManager[object]:
    """One process at a time, so that of several that start together one compiles. Who waits longer than any compilation takes, or has no locks, goes on:
    that costs time and no more."""
    try:
        file = path.open("wb")
        for _ in range(int(limits.compile_wait_s / _LOOK_S)):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # until it is closed
                break
            except BlockingIOError:
                Clock().sleep(_LOOK_S)
        return file
    except OSError:
        return nullcontext()


def compiled(function: Function) -> Function:
    """Without Python's lock, and without counting references: so it can allocate nothing, and to be given an array costs nothing."""
    return cast(Function, Kernel(function, inline=False))


def inlined(function: Function) -> Function:
    """The same, set into each kernel that calls it: a call hands over seven words for every array, which is more than many a short function does."""
    return cast(Function, Kernel(function, inline=True))


@cache
def kept_at() -> Path | None:
    """Where machine code is kept; None where nothing can be."""
    digest, directory = sha256(f"{version('numba')} {version('llvmlite')} {host()}".encode()), cache_directory()
    root = Path(__file__).parents[2]
    sources = [source for folder in _SOURCES for source in sorted((root / folder).glob("*.py"))]
    if directory is None or not sources:  # no sources: they are in an archive, and nothing would tell one version from another
        return None
    for source in sources:
        digest.update(source.name.encode() + source.read_bytes())
    place = directory / "kernels" / digest.hexdigest()[:16]
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        with TemporaryFile(dir=place):
            if not is_own(place.stat()):
                return None
        os.utime(place)  # it is used: see remove_unused()
        return place
    except OSError:
        return None


def is_kept() -> bool:
    """Whether another run has compiled before: what follows then takes no time."""
    place = kept_at()
    return place is not None and any(place.glob(f"*{_SUFFIX}"))
