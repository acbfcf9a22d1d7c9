"""Runs CUDA C++ kernels on the CPU and checks what they do: the same `.cu` files, no GPU.

A block's threads are fibres that run in a given order until each waits or ends. A launch fails with
EmulationError, which names file and line, where a kernel
- reads or writes outside of the arrays that it was given (or writes to a const one), outside of
  shared memory, beyond a local array, or at an address not aligned for its type;
- races: two threads touch one word of shared memory, one of them writing, with no barrier between;
  two blocks, or two threads of one, touch one element of an array so;
- uses shared memory that nobody has written, or into which an asynchronous copy is on its way;
- waits at a barrier or in a warp's collective that not all of its threads reach;
- overflows its stack, traps, divides by zero, shifts by too much, or does not end;
or where a GPU would refuse it: too large a block, grid or shared memory, arguments that do not fit.

What is not seen: a race that only another path through the kernel would show, and what inline PTX
does (headers give it a second body). A local variable that nobody has set is a huge number. What is
reported although it may be harmless: two threads that write the same value, a shuffle from a lane
outside of its mask whose value is not used, a thread that ends before others wait at a barrier, and
what several warps have read, written again after they have said so by flags instead of a barrier.
"""

from .build import CompileError, CompilerMissing, problem
from .records import EmulationError
from .target import Emulator

__all__ = ["CompileError", "CompilerMissing", "EmulationError", "Emulator", "problem"]
