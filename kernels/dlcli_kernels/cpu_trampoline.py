"""Calls of compiled kernels without Python: a call is a list of words, a trampoline makes it.

A kernel that Numba has compiled can be called with C's conventions, every array as the structure
of its shape, strides and place. A trampoline is the few instructions that fetch such arguments from
a list of words; kernels of the same types share one. The place of an array is a number of an
operand and a distance from where that operand begins, so that one list serves any arrays of the
same shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import count
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core.registry import cpu_target

WORD = ir.IntType(64)
WORDS = WORD.as_pointer()
_numbers = count()


class NotNative(TypeError):
    """An argument, or what was done with an operand, that a list of words cannot say."""


def words_of(kind: types.Type, value: Any, place: Callable[[np.ndarray], tuple[int, int]]) -> list:
    """The words that say `value` of Numba's type `kind`.

    place(array) gives the operand's number and the distance in bytes. NotNative for a type that
    kernels have no need of.
    """
    if isinstance(kind, types.Array):
        return [*place(value), value.size, value.itemsize, *value.shape, *value.strides]
    if isinstance(kind, types.Boolean | types.Integer):
        return [int(value) - (1 << 64 if int(value) >= 1 << 63 else 0)]  # as a signed word
    if isinstance(kind, types.Float) and kind.bitwidth in (32, 64):
        number = np.array(value, f"f{kind.bitwidth // 8}")
        return [int(number.view(f"i{kind.bitwidth // 8}"))]
    if isinstance(kind, types.NoneType):
        return []
    if isinstance(kind, types.BaseTuple):
        return [w for k, v in zip(kind, value, strict=True) for w in words_of(k, v, place)]
    raise NotNative(f"an argument of type {kind}")


class _Reader:
    """Fetches arguments one after the other from the words behind the first."""

    def __init__(self, builder: ir.IRBuilder, words: Any, bases: Any) -> None:
        self.builder, self.words, self.bases, self.next = builder, words, bases, 1

    def word(self) -> Any:
        place = self.builder.gep(self.words, [WORD(self.next)])
        self.next += 1
        return self.builder.load(place)

    def address(self) -> Any:
        operand, distance = self.word(), self.word()
        base = self.builder.load(self.builder.gep(self.bases, [operand]))
        return self.builder.add(base, distance)

    def argument(self, kind: types.Type) -> Any:
        """The value of the type that Numba gives it."""
        build, made = self.builder, cpu_target.target_context.get_value_type(kind)
        if isinstance(kind, types.Array):
            address = build.inttoptr(self.address(), made.elements[4])
            members = [None, None, self.word(), self.word(), address]
            members += [self._several(made.elements[i], kind.ndim) for i in (5, 6)]
            value = ir.Constant(made, None)  # the first two say who frees the memory: nobody
            for i, member in enumerate(members):
                value = value if member is None else build.insert_value(value, member, i)
            return value
        if isinstance(kind, types.NoneType):
            return ir.Constant(made, None)
        if isinstance(kind, types.BaseTuple):
            value = ir.Constant(made, None if len(kind) else [])
            for i, member in enumerate(kind):
                value = build.insert_value(value, self.argument(member), i)
            return value
        word = self.word()
        if isinstance(kind, types.Float):
            bits = word if kind.bitwidth == 64 else build.trunc(word, ir.IntType(32))
            return build.bitcast(bits, made)
        return word if made == WORD else build.trunc(word, made)

    def _several(self, made: ir.ArrayType, count: int) -> Any:
        value = ir.Constant(made, None)
        for i in range(count):
            value = self.builder.insert_value(value, self.word(), i)
        return value


@cache
def _engine() -> Any:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_default_triple().create_target_machine(opt=1)
    return binding.create_mcjit_compiler(binding.parse_assembly(""), machine)


@cache
def trampoline(arguments: Sequence[types.Type], result: types.Type) -> int:
    """The address of a function of (words, bases): calls the function whose address is the first
    word with the others as arguments of these types. bases: where each operand begins.
    """
    value_type = cpu_target.target_context.get_value_type
    signature = ir.FunctionType(value_type(result), [value_type(a) for a in arguments])
    module = ir.Module()
    module.triple = binding.get_default_triple()
    name = f"dlcli_trampoline_{next(_numbers)}"
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [WORDS, WORDS]), name)
    builder = ir.IRBuilder(function.append_basic_block())
    words, bases = function.args
    reader = _Reader(builder, words, bases)
    values = [reader.argument(kind) for kind in arguments]
    target = builder.inttoptr(builder.load(words), signature.as_pointer())
    builder.call(target, values)
    builder.ret_void()
    engine = _engine()
    engine.add_module(binding.parse_assembly(str(module)))
    engine.finalize_object()
    return int(engine.get_function_address(name))
