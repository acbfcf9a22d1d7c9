"""What all elementwise ops have in common: cuts, shapes, tolerances, variants."""

from ..spec import Tol

ALL_CUT = dict.fromkeys(("x", "y", "saved", "dout", "target", "out"), 0)
SHAPES = [(1,), (7,), (3, 5), (2, 3, 4, 5), (0, 4), (31, 37), (4099,)]
BENCH = [(128, 26, 26, 32), (128, 11, 11, 64), (128, 64)]
POINTWISE = {
    "float32": Tol(2e-6, 2e-6, why="a few roundings of one element, and those of exp"),
    "float64": Tol(1e-13, 1e-13, why="a few roundings of one element"),
}


def cut_rows(*specs, **attrs):
    """Along the first axis; a scalar is one piece of work."""
    return ALL_CUT if specs[0].shape else None


PREFER = {
    **{("cpu", p): ("cpu_numba",) for p in ("float32", "float64")},
    ("cuda", "float32"): ("cuda_raw_vector",),
}
MANY = 1 << 20  # elements where no size is given


def infer_binary(x, y):
    if x.shape != y.shape:
        raise ValueError(f"operands of one shape are needed, not {x.shape} and {y.shape}")
    return {"out": x}
