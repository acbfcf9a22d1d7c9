"""Runs CUDA C++ kernels on the CPU and checks what they do: the same `.cu` files, no GPU.

A block's threads are fibres that run in a given order until each waits or ends. A launch fails with
EmulationError, which names file and line, where a kernel
- reads or writes outside of the arrays that it was given (or writes to a const one), outside of
  shared memory, beyond a local array, or at an address not aligned for its type;
- races: two threads touch one word of shared memory, one of them writing, with no barrier between;
  two blocks, or two threads of one, touch one element of an array so;
- uses shared memory that nobody has written, or into which an asynchronous copy is still on its way;
- waits at a barrier or in a warp's collective that not all of its threads reach;
- does not end.
"""

from .build import CompileError, CompilerMissing, problem
from .target import EmulationError, Emulator

__all__ = ["CompileError", "CompilerMissing", "EmulationError", "Emulator", "problem"]
