"""Ranges that take turns line by line never wait for each other for ever."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from dlcli_kernels.lockstep import lockstep

# Compiling `twice` runs lines of this file, the body of the overload, under the compiler's lock.
PROGRAM = """
import numpy as np
from numba import njit
from numba.extending import overload
from dlcli_kernels.lockstep import lockstep

def double(x):
    raise NotImplementedError

@overload(double)
def double_of_type(x):
    two = 2
    return lambda x: two * x

@njit
def twice(out):
    for i in range(out.size):
        out[i] = double(out[i])

out = np.arange(6.0)
lockstep(__file__)(lambda i: twice(out[2 * i : 2 * i + 2]), 3)
print(out.tolist())
"""


def test_a_kernel_that_is_compiled_by_turns_is_compiled(tmp_path):
    pytest.importorskip("numba")
    program = tmp_path / "cpu_program.py"
    program.write_text(PROGRAM)
    kernels = Path(__file__).resolve().parents[2] / "kernels"
    path = f"import runpy, sys; sys.path.insert(0, {str(kernels)!r}); "
    start = f"{path}runpy.run_path({str(program)!r})"
    done = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[0.0, 2.0, 4.0, 6.0, 8.0, 10.0]"


def test_ranges_that_wait_for_a_lock_of_each_other_end():
    lock, done = threading.Lock(), []

    def task(i):
        with lock:  # held from line to line, while the other thread has its turn
            before = len(done)
            assert before == len(done)
            done.append(i)

    lockstep(__file__, patience=0.2)(task, 4)
    assert sorted(done) == [0, 1, 2, 3]
