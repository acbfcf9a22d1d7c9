"""Convolution and its gradients as tiled products in float32 whose operands are read in place: for
every geometry, and the fastest where a group has more than a few channels.

The main loop is that of `include/gemm.cuh`: strips of both operands in shared memory by
asynchronous copies, 8 × 8 or 8 × 4 results of a thread in registers. dgrad takes the pixels of x by
phase of the stride, so that no product with a hole of the map is made. Where a product has too few
tiles for the device its terms are cut into parts, added in a second pass in a fixed order; so is
the sum over pixels of wgrad. Windows of four pixels are pooled in registers; others, and gradients
through pooling, take one more pass over the map.

The tile and the number of parts are those that the estimate of `matmul/tiles.py` finds cheapest.
Chosen by analysis; not measured.
"""

from ..matmul.tiles import Tile, split_for
from ..raw import Source, target
from ..tuned import choose
from .raw_geometry import blocks
from .raw_passes import wide
from .raw_products import Plan, Products, fused

SOURCE = Source(__name__, "cuda_raw_implicit_gemm.cu")
GRADS = Source(__name__, "raw_implicit_gemm_grad.cu")

TILES = (  # as in matmul/tiles.py, with more registers: addresses take some
    Tile(128, 128, 8, 8, 16, 2, 1, 2),
    Tile(128, 64, 8, 8, 16, 2, 1, 3),
    Tile(64, 64, 8, 4, 32, 2, 2, 2),
    Tile(64, 32, 8, 4, 32, 2, 4, 2),
    Tile(32, 32, 8, 4, 32, 3, 4, 4),
)
OPS = (
    "conv2d", "conv2d_dgrad", "conv2d_wgrad",
    "conv2d_pool", "conv2d_pool_dgrad", "conv2d_pool_wgrad",
)  # fmt: skip
TUNE = {op: [{"tile": i} for i in range(-1, len(TILES))] for op in OPS}  # -1: by the estimate


def cut(name, g, size):
    """Tile and parts by the estimate, or the tile that was tuned."""
    only = choose(name, "cuda_raw_implicit_gemm", TUNE[name][0])["tile"]
    tiles = TILES if only < 0 else TILES[only : only + 1]
    most = (1,) if fused(name, g) else ()
    rows, multiprocessors = size.m * size.layers, target().multiprocessors
    split = split_for(rows, size.n, size.terms, multiprocessors, tiles, *most)
    tile, constants = split.tile, split.tile._asdict()
    if name.endswith("grad"):
        width = wide(g.Cg, *([g.Kg] if name.endswith("wgrad") else []))
        constants["COPY_WIDTH"] = width
        if width == 1 and tile == TILES[0]:
            constants["BLOCKS"] = 1  # more addresses than half of the registers hold
    count = blocks(size.m, tile.TILE_M) * blocks(size.n, tile.TILE_N)
    return Plan(split.parts, count, tile.threads, constants)


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
