"""Convolution and its gradients as products on tensor cores: float32 arrays, operands rounded to
tf32 when they are read from shared memory, sums in float32.

The loop of `include/gemm_mma.cuh` over the views that `cuda_raw_implicit_gemm` reads: copies of 16
bytes where channels are multiples of four, parts of the terms, phases of the stride as there.
Windows of four are pooled by exchange between lanes. Chosen by analysis; not measured.
"""

from ..matmul import mma
from ..raw import Source
from .raw_geometry import blocks
from .raw_passes import wide
from .raw_products import Plan, Products, fused

SOURCE = Source(__name__, "cuda_raw_tf32.cu")
GRADS = Source(__name__, "raw_tf32_grad.cu")
PRECISION = "tf32"
ITEMSIZE = 4


def cut(name, g, size):
    """Tiles of 128 where there are enough of them and channels come in fours, else of 64."""
    kind = name.rpartition("_")[2]
    a_deep, b_deep = kind != "wgrad", kind not in ("wgrad", "dgrad")
    a_channels = g.Cg if b_deep else g.Kg
    widths = {"A_WIDTH": wide(a_channels), "B_WIDTH": wide(g.Cg)}
    found = mma.cut_for(size.m * size.layers, size.n, size.terms, ITEMSIZE, min(widths.values()))
    tile = 64 if 1 in widths.values() else found.tile  # copies one by one take more registers
    parts = 1 if fused(name, g) else found.parts
    tiles = blocks(size.m, tile) * blocks(size.n, tile)
    shared = mma.shared(tile, a_deep, b_deep, ITEMSIZE)
    return Plan(parts, tiles, mma.THREADS, {"TILE": tile, **widths}, shared)


_products = Products(cut, SOURCE, GRADS)
supports, workspace = _products.supports, _products.workspace
conv2d, conv2d_dgrad, conv2d_wgrad = (
    _products.conv2d,
    _products.conv2d_dgrad,
    _products.conv2d_wgrad,
)
conv2d_pool, conv2d_pool_dgrad, conv2d_pool_wgrad = (
    _products.conv2d_pool,
    _products.conv2d_pool_dgrad,
    _products.conv2d_pool_wgrad,
)
