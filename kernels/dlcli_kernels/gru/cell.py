"""One step of a GRU: from the products of x and of h to the next state; its gradient.

zx (N, 3H) is the input's product with its bias, zh (N, 3H) the recurrent one with its own: they
stand apart, since the reset gate scales the third part of zh alone.
"""

import numpy as np

from ..elementwise.activations import sigmoid
from ..spec import Op, Tol, case, normal, uniform

SIZES = [(1, 7), (3, 5), (7, 13), (1, 129), (67, 1), (5, 64), (0, 4), (4, 0)]
BENCH = [(32, 128), (128, 128), (64, 256)]
PREFER = {("cpu", p): ("cpu_numba",) for p in ("float32", "float64")}
CELL_CUDA = PREFER | {("cuda", "float32"): ("cuda_raw_fused",)}
NAMES = ("zx", "zh", "h", "h_next", "gates", "dh_next", "dzx", "dzh", "dh")
CELL_CUT = dict.fromkeys(NAMES, 0)
CELL = {
    "float32": Tol(4e-6, 1e-6, why="a dozen roundings, and those of exp, between z and h"),
    "float64": Tol(1e-14, 2e-15, why="the same in double precision"),
}
CELL_GRADIENT = {
    "float32": Tol(4e-6, 1e-6, why="1 − gate² is a difference of numbers of the size of 1"),
    "float64": Tol(1e-14, 2e-15, why="the same in double precision"),
}


def step(zx, zh, h):
    """(h_next, gates) of a step: zx and zh (N, 3H) are the products of x and of h with their
    biases; gates (N, 4H) are r, z, n and q.
    """
    (xr, xz, xn), (hr, hz, q) = np.split(zx, 3, axis=-1), np.split(zh, 3, axis=-1)
    r, z = sigmoid(xr + hr), sigmoid(xz + hz)
    n = np.tanh(xn + r * q)
    return (1 - z) * n + z * h, np.concatenate((r, z, n, q), axis=-1)


def step_grad(dh, gates, h):
    """(dz (N, 3H), dq, dh of the step before without the products) of one step."""
    r, z, n, q = np.split(gates, 4, axis=-1)
    dn = dh * (1 - z) * (1 - n**2)
    dz = dh * (h - n) * z * (1 - z)
    dr = dn * q * r * (1 - r)
    return np.concatenate((dr, dz, dn), axis=-1), dn * r, dh * z


def check(op, h, parts, **operands):
    """ValueError unless h is (N, H) and each of the operands (N, parts·H)."""
    if len(h.shape) != 2:
        raise ValueError(f"{op}: h (N, H) is needed, not {h.shape}")
    for name, spec in operands.items():
        want = (h.shape[0], parts[name] * h.shape[1])
        if spec is not None and spec.shape != want:
            raise ValueError(f"{op}: {name} is {want}, not {spec.shape}")


def infer_cell(zx, zh, h):
    check("gru_cell", h, {"zx": 3, "zh": 3}, zx=zx, zh=zh)
    n, units = h.shape
    return {"h_next": h, "gates": h.like(n, 4 * units)}


def cell_gradient(call, ins, outs, douts, needed):
    """What h gives to the products comes back through zh."""
    dzx, dzh, dh = call("gru_cell_grad", douts.h_next, outs.gates, ins.h)
    return {"zx": dzx, "zh": dzh, "h": dh}


def infer_cell_grad(dh_next, gates, h):
    check("gru_cell_grad", h, {"dh_next": 1, "gates": 4}, dh_next=dh_next, gates=gates)
    wide = h.like(h.shape[0], 3 * h.shape[1])
    return {"dzx": wide, "dzh": wide, "dh": h}


def cell_grad(dh_next, gates, h):
    dzx, dq, dh = step_grad(dh_next, gates, h)
    return dzx, np.concatenate((dzx[:, : 2 * h.shape[1]], dq), axis=-1), dh


def one_unit(**shapes):
    """Operands of a single unit: positive, or its sums may be nearly 0 and no others in the rms."""
    return {name: uniform(0.2, 1.5, *shape) for name, shape in shapes.items()}


def operands(n, h, layout="C"):
    shapes = {"zx": (n, 3 * h), "zh": (n, 3 * h), "h": (n, h)}
    return {name: normal(*shape, layout=layout) for name, shape in shapes.items()}


def after_a_step(n, h):
    """Operands of gru_cell_grad that belong together: what a step saved, and a cotangent.

    Those of a single unit are positive, as in `one_unit`.
    """

    def make(rng, dtype):
        zx, zh, state, dh = (rng.standard_normal((n, k * h)).astype(dtype) for k in (3, 3, 1, 1))
        if n * h == 1:
            zx, zh, state, dh = abs(zx), abs(zh), abs(state), abs(dh)
        return {"dh_next": dh, "gates": step(zx, zh, state)[1], "h": state}

    return case(f"N={n} H={h}", make=make)


GRU_CELL = Op(
    "gru_cell",
    infer_cell,
    step,
    cell_gradient,
    optional=("gates",),
    cut=CELL_CUT,
    tolerance=CELL,
    cases=[case(**operands(*size)) for size in SIZES]
    + [case("one unit", **one_unit(zx=(1, 3), zh=(1, 3), h=(1, 1)))]
    + [case(**operands(6, 8, layout)) for layout in ("F", "strided", "reversed")]
    + [
        case(
            "saturated",
            zx=uniform(-200, 200, 9, 33),
            zh=uniform(-2, 2, 9, 33),
            h=uniform(-1, 1, 9, 11),
        )
    ],
    bench=[case(**operands(*size)) for size in BENCH],
    sized=lambda N=128, H=128: case(**operands(N, H)),
    prefer=CELL_CUDA,
)

GRU_CELL_GRAD = Op(
    "gru_cell_grad",
    infer_cell_grad,
    cell_grad,
    cut=CELL_CUT,
    tolerance=CELL_GRADIENT,
    cases=[after_a_step(*size) for size in [(1, 1), *SIZES]],
    bench=[after_a_step(*size) for size in BENCH],
    sized=lambda N=128, H=128: after_a_step(N, H),
    prefer=CELL_CUDA,
    precision_of="gates",
)
