"""The BLAS that compiled kernels call: found beside NumPy, without SciPy, or said to be missing."""

import ctypes
import subprocess
import sys

import numpy as np
import pytest
from dlcli_kernels import cpu_gemm
from numpy.random import mtrand

FLOAT = ctypes.POINTER(ctypes.c_float)


def number(value):
    return ctypes.byref(ctypes.c_int64(value))


def test_the_address_is_that_of_a_product():
    a, b = np.arange(6, dtype=np.float32), np.arange(12, dtype=np.float32)
    c = np.full(8, np.nan, np.float32)
    one, zero = ctypes.c_float(1), ctypes.c_float(0)
    places = [array.ctypes.data_as(FLOAT) for array in (a, b, c)]
    gemm = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 13)(cpu_gemm.address("sgemm"))
    flag = ctypes.create_string_buffer(b"n")
    sizes = [ctypes.byref(ctypes.c_int64(n)) for n in (2, 4, 3)]
    pointers = (flag, flag, *sizes, ctypes.byref(one), places[0], number(2), places[1], number(3))
    given = (*pointers, ctypes.byref(zero), places[2], number(2))
    gemm(*[ctypes.cast(pointer, ctypes.c_void_p) for pointer in given])
    columns = a.reshape(2, 3, order="F") @ b.reshape(3, 4, order="F")  # as Fortran has them
    np.testing.assert_array_equal(c.reshape(2, 4, order="F"), columns)


def test_a_numpy_without_blas_is_an_error_that_says_what_to_install(monkeypatch):
    monkeypatch.setattr(cpu_gemm, "NAMES", ("nobody_{}_has_this",))
    with pytest.raises(ImportError, match=r"no BLAS with dgemm .* --force-reinstall numpy"):
        cpu_gemm.address("dgemm")


def test_a_library_without_it_is_passed_over_for_the_next(monkeypatch):
    found, (core, *_) = cpu_gemm.address("sgemm"), cpu_gemm._libraries()
    monkeypatch.setattr(cpu_gemm, "_libraries", lambda: [mtrand.__file__])
    with pytest.raises(ImportError):
        cpu_gemm.address("sgemm")
    monkeypatch.setattr(cpu_gemm, "_libraries", lambda: [mtrand.__file__, core])
    assert cpu_gemm.address("sgemm") == found


PROGRAM = """
import sys
sys.modules["scipy"] = None  # an import of it fails
import numpy as np
from dlcli.engine import tape
from dlcli.engine.tensor import Tensor
a = np.arange(6.0, dtype=np.float32).reshape(2, 3)
found = tape.apply("matmul", Tensor(a), Tensor(a), None, ta=False, tb=True, act=None)
print(found.numpy().tolist())
"""


def test_a_product_needs_no_scipy():
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\nsys.path[:0] = {sys.path!r}\n{PROGRAM}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("[[5.0, 14.0], [14.0, 50.0]]\n", 0), done.stderr
