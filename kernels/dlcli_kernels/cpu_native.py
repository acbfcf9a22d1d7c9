"""What Python cannot say to the processor: flush to zero, and wait for a thread without the GIL.

A thread that sleeps in a lock is woken in 30 to 100 µs, as long as a small kernel runs. A thread
that spins on a word of memory sees it change in well under one; it spins outside the GIL, for a
bounded time, and gives way to a sibling hyper-thread with `pause`.
"""

from __future__ import annotations

import os
import platform
import time
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .cpu_compile import kernel

MACHINE = platform.machine()
HAS_MXCSR = MACHINE in ("x86_64", "AMD64")
FTZ_DAZ = 0x8040  # MXCSR: flush results to zero, treat denormal operands as zero

# --- flush-to-zero --------------------------------------------------------------------------------


def _mxcsr(builder: Any, name: str, pointer: Any) -> None:
    byte = ir.IntType(8).as_pointer()
    signature = ir.FunctionType(ir.VoidType(), [byte])
    function = cgutils.get_or_insert_function(builder.module, signature, name)
    builder.call(function, [builder.bitcast(pointer, byte)])


@intrinsic
def _read(typingctx: Any) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        slot = cgutils.alloca_once(builder, ir.IntType(32))
        _mxcsr(builder, "llvm.x86.sse.stmxcsr", slot)
        return builder.load(slot)

    return types.uint32(), codegen


@intrinsic
def _write(typingctx: Any, value: Any) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        slot = cgutils.alloca_once_value(builder, args[0])
        _mxcsr(builder, "llvm.x86.sse.ldmxcsr", slot)
        return context.get_dummy_value()

    return types.void(types.uint32), codegen


@kernel
def set_flush_to_zero():  # type: ignore[no-untyped-def]
    """Sets flush-to-zero in this thread and returns the state before, for `set_state`. Does
    nothing where there is no MXCSR.
    """
    if HAS_MXCSR:
        before = _read()
        _write(np.uint32(0x1F80 | FTZ_DAZ))
        return before
    return np.uint32(0)


@kernel
def set_state(state):  # type: ignore[no-untyped-def]
    """Gives this thread back the state that `set_flush_to_zero` returned."""
    if HAS_MXCSR:
        _write(np.uint32(state))


def flush_to_zero() -> int:
    """`set_flush_to_zero`, from Python."""
    return int(set_flush_to_zero())


def restore(state: int) -> None:
    """`set_state`, from Python."""
    set_state(np.uint32(state))


# --- waiting --------------------------------------------------------------------------------------

INT64 = ir.IntType(64)


@intrinsic
def _pause(typingctx: Any) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if HAS_MXCSR:
            signature = ir.FunctionType(ir.VoidType(), [])
            name = "llvm.x86.sse2.pause"
            builder.call(cgutils.get_or_insert_function(builder.module, signature, name), [])
        elif MACHINE in ("aarch64", "arm64"):
            signature = ir.FunctionType(ir.VoidType(), [ir.IntType(32)])
            name, hint = "llvm.aarch64.hint", ir.Constant(ir.IntType(32), 1)  # yield
            builder.call(cgutils.get_or_insert_function(builder.module, signature, name), [hint])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def _load(typingctx: Any, address: Any) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = builder.inttoptr(args[0], INT64.as_pointer())
        return builder.load_atomic(pointer, "acquire", 8)

    return types.int64(types.intp), codegen


@intrinsic
def _store(typingctx: Any, address: Any, value: Any) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = builder.inttoptr(args[0], INT64.as_pointer())
        builder.store_atomic(args[1], pointer, "release", 8)
        return context.get_dummy_value()

    return types.void(types.intp, types.int64), codegen


@intrinsic
def _add(typingctx: Any, address: Any, value: Any) -> Any:
    """Adds to a word at once, and gives what it was before."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = builder.inttoptr(args[0], INT64.as_pointer())
        return builder.atomic_rmw("add", pointer, args[1], "acq_rel")

    return types.int64(types.intp, types.int64), codegen


@intrinsic
def _call(typingctx: Any, function: Any, words: Any, bases: Any) -> Any:
    """Calls a trampoline (`cpu_trampoline.py`)."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        signature = ir.FunctionType(ir.VoidType(), [INT64, INT64])
        target = builder.inttoptr(args[0], signature.as_pointer())
        builder.call(target, args[1:])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), codegen


@intrinsic
def _yield(typingctx: Any) -> Any:
    """Lets another thread have the core, where the system has a call for it."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if os.name == "posix":
            signature = ir.FunctionType(ir.IntType(32), [])
            builder.call(
                cgutils.get_or_insert_function(builder.module, signature, "sched_yield"), []
            )
        return context.get_dummy_value()

    return types.void(), codegen


@kernel
def _pauses(n):  # type: ignore[no-untyped-def]
    for _ in range(n):
        _pause()


@kernel
def await_finish(finished, ticket, pauses):  # type: ignore[no-untyped-def]
    """Whether `ticket` is done, as `finished` says within `pauses`."""
    for _ in range(pauses):
        if _load(finished) >= ticket:
            return True
        _pause()
    return False


def first_on_this_machine() -> bool:
    """Whether the first kernel that a pool of threads needs was compiled by this process: then no
    other is in the cache either.
    """
    return bool(_pauses.stats.cache_misses)


@cache
def pauses_per_microsecond() -> float:
    """How many `pause` instructions take 1 µs here: 10 to 80, by the kind of processor."""
    _pauses(1)  # compiled
    n, best = 1000, float("inf")
    for _ in range(5):  # the shortest: any may be interrupted
        begun = time.perf_counter_ns()
        _pauses(n)
        best = min(best, time.perf_counter_ns() - begun)
    return n * 1000 / max(best, 1)
