"""Compiled functions: plain loops over arrays, machine code at their first call, kept on disk between runs.

In: a function that numba can compile. Out: the same, compiled, and run without Python's lock. Never: code that an older version left: numba looks only
whether the file of a function has changed, not whether what it calls has, so what it keeps is kept under a digest of all sources that kernels may be made of.
Without a place to keep it, it is made in each process; so it is where what was kept cannot be read, or kept.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import FunctionCache

from tracebraid.pipeline.kernel.environment import cache_directory

Function = TypeVar("Function", bound=Callable[..., Any])
_njit, _config, _Cache = cast(Any, numba.njit), cast(Any, numba.config), cast(Any, FunctionCache)  # numba has no types
_SOURCES = ("pipeline/kernel", "pipeline/decode/walkers", "schemas")  # compiled functions live in the first two, and read constants of the third


class _Kept(_Cache):  # type: ignore[misc, valid-type]
    """numba's files, where one that a power cut or a full disk left half written costs a compilation and no more; numba's own would raise at each start."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # what unpickling raises is no closed list
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError):
            super().save_overload(sig, data)


def compiled(function: Function) -> Function:
    """Without Python's lock, and without counting references (`_nrt`): so it can allocate nothing, and to be given an array costs nothing."""
    made, place = _njit(nogil=True, _nrt=False)(function), kept_at()
    if place is not None:
        before, _config.CACHE_DIR = _config.CACHE_DIR, str(place)
        try:
            made._cache = _Kept(function)  # as cache=True does
        finally:
            _config.CACHE_DIR = before
    return cast(Function, made)


@cache
def kept_at() -> Path | None:
    """Where machine code is kept; None where nothing can be."""
    digest, directory = sha256(numba.__version__.encode()), cache_directory()
    root = Path(__file__).parents[2]
    sources = [source for folder in _SOURCES for source in sorted((root / folder).glob("*.py"))]
    if directory is None or not sources:  # no sources: they are in an archive, and nothing would tell one version from another
        return None
    for source in sources:
        digest.update(source.name.encode() + source.read_bytes())
    place = directory / "kernels" / digest.hexdigest()[:16]
    try:
        place.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=place):
            return place
    except OSError:
        return None


def is_kept() -> bool:
    """Whether another run has compiled before: what follows then takes no time."""
    place = kept_at()
    return place is not None and any(place.rglob("*.nbi"))
