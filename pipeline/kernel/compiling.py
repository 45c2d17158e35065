"""Kernels → machine code, by numba. Imported only where nothing was kept.

In: a function and the kinds of its arguments. Out: an object file's bytes, which need nothing of numba when they run. Never: code that calls what is not in
it, or that takes its arguments otherwise than pipeline/kernel/machine_code.py hands them over: both are looked at here, once.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import llvmlite.binding
import numba
import numpy as np
from numba.core import compiler
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target
from numba.np import arrayobj

from tracebraid.pipeline.kernel.machine_code import ARRAY, BOOL, ENTRY, INTEGER, Code, Kind, words_of

_numba, _compiler, _target, _lock = cast(Any, numba), cast(Any, compiler), cast(Any, cpu_target), cast(Any, global_compiler_lock)  # they have no types
_llvm, _arrays = cast(Any, llvmlite.binding), cast(Any, arrayobj)
_OPTIONS = {"nopython": True, "nogil": True, "_nrt": False}
_OF_C = frozenset({"memset", "memcpy", "memmove"})
_RETURNS = {"none": "none", "bool": "bool", "int64": "int64", "uint64": "int64"} | {f"UniTuple(int64 x {count})": f"int64 x {count}" for count in (2, 3)}


def dispatcher(function: Callable[..., Any], *, inline: bool) -> Any:
    """The function as numba has it, for kernels that call it."""
    return _numba.njit(nogil=True, _nrt=False, forceinline=inline)(function)


def type_of(made: Any) -> Any:
    return _numba.types.Dispatcher(made)


def compile_kernel(made: Any, kinds: Sequence[Kind]) -> Code:
    """Machine code of the function alone, with all that it calls, without what would call it from Python."""
    types = tuple(_numba_type(kind) for kind in kinds)
    flags = _compiler.Flags()
    _target.options.parse_as_flags(flags, _OPTIONS)
    flags.no_cpython_wrapper = flags.no_cfunc_wrapper = flags.no_compile = True
    with _lock, _no_index_from_the_end():
        found = _compiler.compile_extra(
            _target.typing_context, _target.target_context, made.py_func, types, None, flags, {}, pipeline_class=made._compiler.pipeline_class
        )
        found.library._ensure_finalized()
        module, name = found.library._final_module.clone(), found.fndesc.llvm_func_name
        _check(module, module.get_function(name), kinds, str(made.py_func))
        module.link_in(_llvm.parse_assembly(_entry(module, name)))
        machine = found.library._codegen._tm
        _optimize(module, machine, ENTRY + name)
        data = machine.emit_object(module)
    return Code(ENTRY + name, _RETURNS[str(found.signature.return_type)], bytes(data))


@contextmanager
def _no_index_from_the_end() -> Iterator[None]:
    """Numba asks of every index whether it is negative, and then counts from the end: no kernel means that. With
    NUMBA_BOUNDSCHECK such an index is found to be out of bounds. Where numba has another name for it, it goes on asking."""
    name = "fix_integer_index"
    before = getattr(_arrays, name, None)
    if before is None:
        yield
        return

    def as_it_is(context: Any, builder: Any, kind: Any, index: Any, size: Any) -> Any:
        return context.cast(builder, index, kind, _numba.types.intp if kind.signed else _numba.types.uintp)

    setattr(_arrays, name, as_it_is)
    try:
        yield
    finally:
        setattr(_arrays, name, before)


def _optimize(module: Any, machine: Any, entry: str) -> None:
    """Once more, now that nothing but the entry is called from elsewhere: of the seven words of an array a function is then handed those it uses."""
    for function in module.functions:
        if not function.is_declaration and function.name != entry:
            function.linkage = "internal"
    tuning = _llvm.create_pipeline_tuning_options(speed_level=3)
    tuning.loop_vectorization, tuning.slp_vectorization = True, True
    builder = _llvm.create_pass_builder(machine, tuning)
    builder.getModulePassManager().run(module, builder)


def _entry(module: Any, name: str) -> str:
    """A function of two addresses: of the arguments' words, and of where an exception and behind it the result go."""
    kinds = [str(argument.type) for argument in module.get_function(name).arguments]
    lines = [f'target datalayout = "{module.data_layout}"', f'target triple = "{module.triple}"', f'declare i32 @"{name}"({", ".join(kinds)})']
    lines += [f'define i32 @"{ENTRY}{name}"(ptr %words, ptr %out) {{', "%result = getelementptr i64, ptr %out, i64 1"]
    passed = ["ptr %result", "ptr %out"]
    for number, kind in enumerate(kinds[2:]):
        lines += [f"%at{number} = getelementptr i64, ptr %words, i64 {number}", f"%word{number} = load i64, ptr %at{number}"]
        if kind == "ptr":
            lines.append(f"%of{number} = inttoptr i64 %word{number} to ptr")
        elif kind != "i64":
            lines.append(f"%of{number} = trunc i64 %word{number} to {kind}")
        passed.append(f"{kind} %{'word' if kind == 'i64' else 'of'}{number}")
    return "\n".join([*lines, f'%status = call i32 @"{name}"({", ".join(passed)})', "ret i32 %status", "}"])


def _numba_type(kind: Kind) -> Any:
    types = _numba.types
    if kind[0] == ARRAY:
        of, dimensions, contiguous, writable = kind[1:]
        return types.Array(_numba.from_dtype(np.dtype(of)), dimensions, "C" if contiguous else "A", readonly=not writable)
    if kind[0] in (INTEGER, BOOL):
        return types.int64 if kind[0] == INTEGER else types.boolean
    return types.BaseTuple.from_types(tuple(_numba_type(each) for each in kind[1:]))


def _check(module: Any, function: Any, kinds: Sequence[Kind], name: str) -> None:
    missing = [each.name for each in module.functions if each.is_declaration and not each.name.startswith("llvm.") and each.name not in _OF_C]
    if missing:
        raise TypeError(f"{name} calls {missing}, which is not in its machine code")
    wanted = 2 + sum(map(words_of, kinds))  # where the result goes, and an exception
    if len(list(function.arguments)) != wanted:
        raise TypeError(f"{name} takes {len(list(function.arguments))} words, {wanted} are handed over")
