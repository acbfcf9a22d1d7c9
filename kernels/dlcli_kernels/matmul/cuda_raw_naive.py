"""One thread per element of the result: the rung that the others are measured against."""

from ..elementwise.activations import NUMBERS
from ..raw import Source
from .op import extents

SOURCE = Source(__name__, "cuda_raw_naive.cu")
BLOCK = (32, 8)  # a warp takes 32 neighbours of one row


def supports(op, a, b, bias=None, *, ta=False, tb=False, act=None):
    return a.dtype == "float32"


def matmul(out, a, b, bias, *, ta=False, tb=False, act=None):
    m, n, k = extents(a, b, ta, tb)
    a_strides = (1, m) if ta else (k, 1)
    b_strides = (1, k) if tb else (n, 1)
    SOURCE.kernel("matmul_naive")(
        (-(-n // BLOCK[0]), -(-m // BLOCK[1])),
        BLOCK,
        out, a, b, bias, m, n, k, *a_strides, *b_strides, NUMBERS[act],
    )  # fmt: skip
