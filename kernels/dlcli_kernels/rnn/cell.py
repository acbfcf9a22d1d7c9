"""One step of a vanilla recurrent layer: from its pre-activations to the next state; its gradient.

zx + zh comes in two parts, the input's product with its bias and the recurrent product: they are
made by different matmuls, and adding them here saves a pass over memory.
"""

from ..elementwise.activations import ACTIVATIONS, activate
from ..spec import Op, Tol, case, normal, uniform

ACTS = ("tanh", "relu")
SIZES = [(1, 7), (3, 5), (7, 13), (1, 129), (67, 1), (5, 64), (0, 4), (4, 0)]
BENCH = [(32, 128), (128, 128), (64, 256)]
PREFER = {("cpu", p): ("cpu_numba",) for p in ("float32", "float64")}
ON_CUDA = PREFER | {("cuda", "float32"): ("cuda_raw_fused",)}
CELL_CUT = dict.fromkeys(("zx", "zh", "h", "dh", "dz"), 0)
CELL = {
    "float32": Tol(2e-6, 5e-7, why="a sum of two, tanh, and 1 − h² of numbers of the size of 1"),
    "float64": Tol(5e-15, 1e-15, why="the same in double precision"),
}


def check_act(op, act):
    """ValueError unless a layer can have this activation."""
    if act not in ACTS:
        raise ValueError(f"{op}: act is tanh or relu, not {act!r}")


def check(op, act, **operands):
    """ValueError unless the operands (None: an absent one) are (N, H) and of one shape."""
    check_act(op, act)
    shapes = {name: spec.shape for name, spec in operands.items() if spec is not None}
    if len(set(shapes.values())) > 1 or any(len(shape) != 2 for shape in shapes.values()):
        raise ValueError(f"{op}: operands (N, H) of one shape are needed, not {shapes}")


def infer_cell(zx, zh, *, act="tanh"):
    check("rnn_cell", act, zx=zx, zh=zh)
    return {"h": zx}


def cell(zx, zh, *, act="tanh"):
    return activate(zx + zh, act)


def cell_gradient(call, ins, outs, douts, needed, *, act="tanh"):
    """zx and zh have one gradient: only their sum is used."""
    dz = call("rnn_cell_grad", douts.h, outs.h, act=act)
    return {"zx": dz, "zh": dz}


def infer_cell_grad(dh, h, *, act="tanh"):
    check("rnn_cell_grad", act, dh=dh, h=h)
    return {"dz": h}


def cell_grad(dh, h, *, act="tanh"):
    return ACTIVATIONS[act].grad(h, dh)


def operands(n, h, layout="C"):
    return {"zx": normal(n, h, layout=layout), "zh": normal(n, h, layout=layout)}


def after_a_step(n, h, act):
    """Operands of rnn_cell_grad that belong together: what a step made, and a cotangent."""

    def make(rng, dtype):
        z, dh = (rng.standard_normal((n, h)).astype(dtype) for _ in range(2))
        return {"dh": dh, "h": activate(z, act)}

    return case(f"N={n} H={h}", make=make, act=act)


RNN_CELL = Op(
    "rnn_cell",
    infer_cell,
    cell,
    cell_gradient,
    cut=CELL_CUT,
    tolerance=CELL,
    cases=[case(**operands(*size), act=act) for size in SIZES for act in ACTS]
    + [case(**operands(6, 8, layout), act="tanh") for layout in ("F", "strided", "reversed")]
    + [
        case("saturated", zx=uniform(-90, 90, 9, 11), zh=uniform(-2, 2, 9, 11), act="tanh"),
        case("small", zx=uniform(-1e-3, 1e-3, 5, 7), zh=uniform(-1e-3, 1e-3, 5, 7), act="tanh"),
    ],
    bench=[case(**operands(*size), act="tanh") for size in BENCH],
    sized=lambda N=128, H=128: case(**operands(N, H), act="tanh"),
    prefer=ON_CUDA,
)

RNN_CELL_GRAD = Op(
    "rnn_cell_grad",
    infer_cell_grad,
    cell_grad,
    cut=CELL_CUT,
    tolerance=CELL,
    cases=[after_a_step(*size, act) for size in SIZES for act in ACTS],
    bench=[after_a_step(*size, "tanh") for size in BENCH],
    sized=lambda N=128, H=128: after_a_step(N, H, "tanh"),
    prefer=ON_CUDA,
)
