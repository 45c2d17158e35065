"""Machine code of kernels: read from disk, given to LLVM to be linked, and called with numpy's arrays.

In: an object file as numba compiles one, arguments. Out: a result. Never: Python's lock while it runs; a file that was left half written.
Source of how arguments lie: numba's calling convention. An array is (owner, parent, items, bytes of one, address, shape …, strides …), a tuple its parts.
"""

import ctypes
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from stat import S_IWGRP, S_IWOTH
from struct import Struct
from typing import Any, cast
from uuid import uuid4

import llvmlite.binding
import numpy as np

_llvm = cast(Any, llvmlite.binding)  # it has no types
Kind = tuple[Any, ...]
Native = Callable[[Sequence[Any]], Any]
ARRAY, INTEGER, BOOL, TUPLE = "array", "integer", "bool", "tuple"
_INTEGER, _BOOL = (INTEGER,), (BOOL,)
_DIGEST_BYTES = 32
ENTRY = "run."  # before the name of a kernel: what is called
_FINE = (0, -2)  # a result, or none


@dataclass(frozen=True, slots=True)
class Code:
    """One kernel for one kind of each argument. returns: none, bool, int64, or int64 x 2 and more."""

    name: str
    returns: str
    data: bytes


def kind_of(argument: Any) -> Kind:
    """What of an argument machine code is made for."""
    if isinstance(argument, np.ndarray):
        flags = argument.flags
        return ARRAY, argument.dtype.str, argument.ndim, flags.c_contiguous, flags.writeable
    if isinstance(argument, tuple):
        return TUPLE, *map(kind_of, argument)
    if isinstance(argument, bool | np.bool_):
        return _BOOL
    if isinstance(argument, int | np.integer):
        return _INTEGER
    raise TypeError(f"a kernel takes arrays, integers and tuples of them, not {type(argument).__name__}")


def words_of(kind: Kind) -> int:
    """How many words one argument becomes."""
    if kind[0] == TUPLE:
        return sum(map(words_of, kind[1:]))
    return 5 + 2 * int(kind[2]) if kind[0] == ARRAY else 1


def _put_words(arguments: Sequence[Any], words: list[int]) -> None:
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            words += (0, 0, argument.size, argument.itemsize, argument.ctypes.data, *argument.shape, *argument.strides)
        elif isinstance(argument, tuple):
            _put_words(argument, words)
        else:
            words.append(int(argument))


def load(code: Code, kinds: Sequence[Kind]) -> Native:
    """The code linked into this process, for good."""
    engine = _engine()
    engine.add_object_file(_llvm.ObjectFileRef.from_data(code.data))
    engine.finalize_object()
    address = engine.get_function_address(code.name)
    if not address:
        raise RuntimeError(f"LLVM does not find {code.name}")
    count, pack = int(code.returns.partition(" x ")[2] or 1), Struct(f"{sum(map(words_of, kinds))}q").pack
    output = ctypes.c_int64 * (1 + count)
    run = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_char_p, ctypes.POINTER(ctypes.c_int64))(address)

    def call(arguments: Sequence[Any]) -> Any:
        words: list[int] = []
        _put_words(arguments, words)
        found = output()
        if run(pack(*words), found) not in _FINE:
            raise RuntimeError(f"{code.name} failed: an index beyond its array, or a division by zero")
        if code.returns == "none":
            return None
        return tuple(found[1:]) if count > 1 else bool(found[1] & 1) if code.returns == "bool" else found[1]

    return call


@cache
def _engine() -> Any:
    _llvm.initialize_native_target()
    _llvm.initialize_native_asmprinter()
    machine = _llvm.Target.from_default_triple().create_target_machine(jit=True)
    return _llvm.create_mcjit_compiler(_llvm.parse_assembly(""), machine)


@cache
def host() -> str:
    """What machine code is for: code of a processor that can more would kill the process on one that cannot."""
    features = _llvm.get_host_cpu_features()
    return f"{_llvm.get_process_triple()} {_llvm.get_host_cpu_name()} {features.flatten()}"


def is_own(status: os.stat_result) -> bool:
    """Whether a folder or a file is this user's, and nobody else may write to it: the digest tells what is damaged, not who wrote it."""
    return status.st_uid == os.geteuid() and not status.st_mode & (S_IWGRP | S_IWOTH)


def read_code(place: Path) -> Code | None:
    """What was kept there; None where that cannot be read, is not what was written, or may be somebody else's."""
    try:
        with place.open("rb") as file:
            whole = file.read() if is_own(os.fstat(file.fileno())) else b""
    except OSError:
        return None
    rest = whole[_DIGEST_BYTES:]
    if sha256(rest).digest() != whole[:_DIGEST_BYTES]:
        return None
    name, returns, data = rest.split(b"\n", 2)
    return Code(name.decode(), returns.decode(), data)


def write_code(place: Path, code: Code) -> None:
    """Keep it, all of it or nothing; where there is no room it is made again by the next process."""
    rest = b"\n".join((code.name.encode(), code.returns.encode(), code.data))
    written = place.with_name(f"{place.name}.{uuid4()}")
    with suppress(OSError):
        try:
            written.touch(mode=0o600)
            written.write_bytes(sha256(rest).digest() + rest)
            os.replace(written, place)
        finally:
            with suppress(OSError):
                written.unlink()
