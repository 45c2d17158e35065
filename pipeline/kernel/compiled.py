"""Compiled functions: plain loops over arrays, machine code at their first call, kept on disk between runs.

In: a function that numba can compile. Out: the same, compiled, and run without Python's lock. Never: code that an older version left: numba looks only
whether the file of a function has changed, not whether what it calls has, so what it keeps is kept under a digest of all sources that kernels may be made of.
Without a place to keep it, it is made in each process.
"""

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TypeVar, cast

import numba

from tracebraid.pipeline.kernel.environment import cache_directory

Function = TypeVar("Function", bound=Callable[..., Any])
_njit, _config = cast(Any, numba.njit), cast(Any, numba.config)
_SOURCES = ("pipeline/kernel", "pipeline/decode/walkers", "schemas")  # compiled functions live in the first two, and read constants of the third


def compiled(function: Function) -> Function:
    """Without Python's lock, and without counting references (`_nrt`): so it can allocate nothing, and to be given an array costs nothing."""
    place = kept_at()
    if place is None:
        return cast(Function, _njit(nogil=True, _nrt=False)(function))
    before, _config.CACHE_DIR = _config.CACHE_DIR, str(place)
    try:
        return cast(Function, _njit(nogil=True, cache=True, _nrt=False)(function))
    finally:
        _config.CACHE_DIR = before


@cache
def kept_at() -> Path | None:
    """Where machine code is kept; None where nothing can be."""
    digest = sha256(numba.__version__.encode())
    root = Path(__file__).parents[2]
    for folder in _SOURCES:
        for source in sorted((root / folder).glob("*.py")):
            digest.update(source.name.encode() + source.read_bytes())
    place = cache_directory() / "kernels" / digest.hexdigest()[:16]
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
