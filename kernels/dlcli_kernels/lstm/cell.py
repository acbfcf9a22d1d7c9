"""One step of an LSTM: from the pre-activations of the four gates to the next state; its gradient.

z = zx + zh comes in two parts, the input's product with its bias and the recurrent product: they
are made by different matmuls, and adding them here saves a pass over memory.
"""

import numpy as np

from ..elementwise.activations import sigmoid
from ..spec import Op, Tol, case, normal, uniform

SIZES = [(1, 7), (3, 5), (7, 13), (1, 129), (67, 1), (5, 64), (0, 4), (4, 0)]
BENCH = [(32, 128), (128, 128), (64, 256)]
PREFER = {("cpu", p): ("cpu_numba",) for p in ("float32", "float64")}
ON_CUDA = PREFER | {("cuda", "float32"): ("cuda_raw_fused",)}
CELL_CUT = dict.fromkeys(("zx", "zh", "c", "h", "c_next", "gates", "dh", "dc_next", "dz", "dc"), 0)
CELL = {
    "float32": Tol(4e-6, 1e-6, why="a dozen roundings, and those of exp, between z and h"),
    "float64": Tol(1e-14, 2e-15, why="the same in double precision"),
}
CELL_GRADIENT = {
    "float32": Tol(4e-6, 1e-6, why="1 − gate² is a difference of numbers of the size of 1"),
    "float64": Tol(1e-14, 2e-15, why="the same in double precision"),
}


def gates_of(z):
    """The activated gates i, f, g, o (…, H) of pre-activations z (…, 4H)."""
    i, f, g, o = np.split(z, 4, axis=-1)
    return sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)


def step(z, c):
    """(h, c_next, gates) from pre-activations (N, 4H) and the cells before (N, H)."""
    i, f, g, o = gates_of(z)
    c_next = f * c + i * g
    return o * np.tanh(c_next), c_next, np.concatenate((i, f, g, o), axis=-1)


def step_grad(dh, dc_next, gates, c, c_next):
    """(dz, dc) from the gradients of h and of c_next, all (N, H) but dz and gates (N, 4H)."""
    i, f, g, o = np.split(gates, 4, axis=-1)
    tanh_c = np.tanh(c_next)
    dc_next = dc_next + dh * o * (1 - tanh_c**2)
    di, df, dg, do = dc_next * g, dc_next * c, dc_next * i, dh * tanh_c
    parts = (di * i * (1 - i), df * f * (1 - f), dg * (1 - g**2), do * o * (1 - o))
    return np.concatenate(parts, axis=-1), dc_next * f


def units(op, **operands):
    """H; ValueError unless each operand is None or (N, H), or (N, 4H) if named z… or gates."""
    wide = {name: name.startswith("z") or name == "gates" for name in operands}
    shapes = {name: spec.shape for name, spec in operands.items() if spec is not None}
    if any(len(shape) != 2 for shape in shapes.values()):
        raise ValueError(f"{op}: operands (N, 4H) and (N, H) are needed, not {shapes}")
    n, h = next(shape for name, shape in shapes.items() if not wide[name])
    if any(shape != (n, 4 * h if wide[name] else h) for name, shape in shapes.items()):
        raise ValueError(f"{op}: {n} rows of {h} units, but operands {shapes}")
    return h


def infer_cell(zx, zh, c):
    units("lstm_cell", zx=zx, zh=zh, c=c)
    return {"h": c, "c_next": c, "gates": zx}


def cell(zx, zh, c):
    return step(zx + zh, c)


def cell_gradient(call, ins, outs, douts, needed):
    """zx and zh have one gradient: only their sum is used."""
    operands = (douts.h, douts.c_next, outs.gates, ins.c, outs.c_next)
    dz, dc = call("lstm_cell_grad", *operands)
    return {"zx": dz, "zh": dz, "c": dc}


def infer_cell_grad(dh, dc_next, gates, c, c_next):
    units("lstm_cell_grad", dh=dh, dc_next=dc_next, gates=gates, c=c, c_next=c_next)
    return {"dz": gates, "dc": c}


def cell_grad(dh, dc_next, gates, c, c_next):
    """An absent dh or dc_next is zero: that output was not used."""
    dh = np.zeros_like(c) if dh is None else dh
    dc_next = np.zeros_like(c) if dc_next is None else dc_next
    return step_grad(dh, dc_next, gates, c, c_next)


def cell_operands(n, h, layout="C"):
    return {
        "zx": normal(n, 4 * h, layout=layout),
        "zh": normal(n, 4 * h, layout=layout),
        "c": normal(n, h, layout=layout),
    }


def one_unit(**shapes):
    """Operands of a single unit: positive, or its sums may be nearly 0 and no others in the rms."""
    return {name: uniform(0.2, 1.5, *shape) for name, shape in shapes.items()}


def after_a_step(n, h, absent=()):
    """Operands of lstm_cell_grad that belong together: what a step saved, and cotangents.

    Those of a single unit are positive, as in `one_unit`.
    """

    def make(rng, dtype):
        z, c, dh, dc_next = (rng.standard_normal((n, k * h)).astype(dtype) for k in (4, 1, 1, 1))
        if n * h == 1:
            z, c, dh, dc_next = abs(z), abs(c), abs(dh), abs(dc_next)
        _, c_next, gates = step(z, c)
        made = {"dh": dh, "dc_next": dc_next, "gates": gates, "c": c, "c_next": c_next}
        return {name: array for name, array in made.items() if name not in absent}

    return make


LSTM_CELL = Op(
    "lstm_cell",
    infer_cell,
    cell,
    cell_gradient,
    optional=("gates",),
    cut=CELL_CUT,
    tolerance=CELL,
    cases=[case(**cell_operands(*size)) for size in SIZES]
    + [case("one unit", **one_unit(zx=(1, 4), zh=(1, 4), c=(1, 1)))]
    + [case(**cell_operands(6, 8, layout)) for layout in ("F", "strided", "reversed")]
    + [
        case(
            "saturated",
            zx=uniform(-200, 200, 9, 44),
            zh=uniform(-2, 2, 9, 44),
            c=uniform(-30, 30, 9, 11),
        ),
        case(
            "small",
            zx=uniform(-1e-3, 1e-3, 5, 28),
            zh=uniform(-1e-3, 1e-3, 5, 28),
            c=uniform(-1e-4, 1e-4, 5, 7),
        ),
    ],
    bench=[case(**cell_operands(*size)) for size in BENCH],
    sized=lambda N=128, H=128: case(**cell_operands(N, H)),
    prefer=ON_CUDA,
)

LSTM_CELL_GRAD = Op(
    "lstm_cell_grad",
    infer_cell_grad,
    cell_grad,
    cut=CELL_CUT,
    tolerance=CELL_GRADIENT,
    cases=[case(f"N={n} H={h}", make=after_a_step(n, h)) for n, h in [(1, 1), *SIZES]]
    + [
        case("without dh", make=after_a_step(5, 7, absent=("dh",))),
        case("without dc_next", make=after_a_step(5, 7, absent=("dc_next",))),
    ],
    bench=[case(f"N={n} H={h}", make=after_a_step(n, h)) for n, h in BENCH],
    sized=lambda N=128, H=128: case(f"N={N} H={H}", make=after_a_step(N, H)),
    prefer=ON_CUDA,
    precision_of="gates",
)
