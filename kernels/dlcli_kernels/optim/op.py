"""Optimiser steps and gradient clipping on flat buffers: one run over one array for all the parameters of a group.

p (parameters), g (gradients) and the states m, v, avg are 1-D arrays of one layout. What changes from step to step is a buffer of one
element: lr, step (the number of this step, from 1), halt. A step with halt[0] ≠ 0 changes nothing, so that a NaN never touches a weight.

Every step first adds the penalties: g + weight_decay·p (L2) or, decoupled, p·(1 - lr·weight_decay) (Loshchilov & Hutter 2019), and
g + l1·sign(p). The formulas are PyTorch's (torch.optim), computed in p's precision with the scalars in float64 up to the last.
"""

import numpy as np

from ..spec import Op, Spec, Tol, case, integers, normal, uniform, zeros

STATE = ("p", "g", "m", "v", "avg")
CUT = dict.fromkeys(STATE, 0)
TOLERANCE = {
    "float32": Tol(2e-6, 1e-6, why="about ten roundings of one element, one root, one quotient"),
    "float64": Tol(4e-15, 2e-15, why="the same in double precision"),
}
PREFER = {("cpu", p): ("cpu_numba",) for p in ("float32", "float64")}


def check_buffers(op, p, *state, scalars):
    """ValueError unless p and the states given are of one flat shape and each scalar is a buffer of one element."""
    shapes = [s.shape for s in (p, *state) if s is not None]
    if len(p.shape) != 1 or any(shape != p.shape for shape in shapes):
        raise ValueError(f"{op}: flat buffers of one length are needed, not {shapes}")
    if any(s.shape != (1,) for s in scalars):
        raise ValueError(f"{op}: lr, step and halt are buffers of one element")


def grain(p, *others, **attrs):
    """2 to 16 equal ranges of at least 32,768 elements: a range costs a few microseconds of calls, as much as 10,000 elements."""
    ranges = min(max(p.size >> 15, 1), 16)
    return -(-p.size // ranges)


def penalised(p, g, lr, weight_decay, l1, decoupled):
    """The gradient with its penalties; decoupled decay shrinks p in place."""
    if decoupled:
        p *= 1 - lr * weight_decay
    else:
        g = g + weight_decay * p
    return g + l1 * np.sign(p)


# --- SGD ------------------------------------------------------------------------------------------


def infer_sgd(p, g, lr, halt, *, weight_decay=0.0, l1=0.0, decoupled=False):
    check_buffers("sgd_step", p, g, scalars=(lr, halt))
    return {}


def sgd(p, g, lr, halt, *, weight_decay=0.0, l1=0.0, decoupled=False):
    """p ← p - lr·g."""
    if halt[0] == 0:
        rate = float(lr[0])
        p -= rate * penalised(p, g, rate, weight_decay, l1, decoupled)


def infer_momentum(
    p, g, m, lr, step, halt,
    *, momentum, dampening=0.0, nesterov=False, weight_decay=0.0, l1=0.0, decoupled=False,
):  # fmt: skip
    check_buffers("momentum_step", p, g, m, scalars=(lr, step, halt))
    return {}


def momentum_reference(
    p, g, m, lr, step, halt,
    *, momentum, dampening=0.0, nesterov=False, weight_decay=0.0, l1=0.0, decoupled=False,
):  # fmt: skip
    """m ← μ·m + (1 - dampening)·g, in the first step m ← g; p ← p - lr·m, or lr·(g + μ·m) (Nesterov)."""
    if halt[0] == 0:
        rate = float(lr[0])
        g = penalised(p, g, rate, weight_decay, l1, decoupled)
        m[...] = g if step[0] == 1 else momentum * m + (1 - dampening) * g
        p -= rate * (g + momentum * m if nesterov else m)


# --- RMSprop and Adam -----------------------------------------------------------------------------


def infer_rmsprop(
    p, g, v, m, avg, lr, halt,
    *, alpha=0.99, eps=1e-8, momentum=0.0, centered=False, weight_decay=0.0, l1=0.0, decoupled=False,
):  # fmt: skip
    check_buffers("rmsprop_step", p, g, v, m, avg, scalars=(lr, halt))
    if (m is None) != (momentum == 0) or (avg is None) == centered:
        raise ValueError("rmsprop_step: m is there with momentum, avg is there when centered")
    return {}


def rmsprop(
    p, g, v, m, avg, lr, halt,
    *, alpha=0.99, eps=1e-8, momentum=0.0, centered=False, weight_decay=0.0, l1=0.0, decoupled=False,
):  # fmt: skip
    """v ← α·v + (1-α)·g²; d = g / (√v + ε), centred √(v - avg²); p ← p - lr·d, or m ← μ·m + d and p ← p - lr·m."""
    if halt[0] == 0:
        rate = float(lr[0])
        g = penalised(p, g, rate, weight_decay, l1, decoupled)
        v[...] = alpha * v + (1 - alpha) * g * g
        spread = v
        if centered:
            avg[...] = alpha * avg + (1 - alpha) * g
            spread = v - avg * avg
        d = g / (np.sqrt(spread) + eps)
        if momentum:
            m[...] = momentum * m + d
            d = m
        p -= rate * d


def infer_adam(
    p, g, m, v, lr, step, halt,
    *, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, l1=0.0, decoupled=False,
):  # fmt: skip
    check_buffers("adam_step", p, g, m, v, scalars=(lr, step, halt))
    return {}


def adam(
    p, g, m, v, lr, step, halt,
    *, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, l1=0.0, decoupled=False,
):  # fmt: skip
    """Kingma & Ba 2015, algorithm 1; decoupled: AdamW. step[0] is t, which corrects the bias of m and v towards zero."""
    if halt[0] == 0:
        rate, t = float(lr[0]), float(step[0])
        g = penalised(p, g, rate, weight_decay, l1, decoupled)
        m[...] = beta1 * m + (1 - beta1) * g
        v[...] = beta2 * v + (1 - beta2) * g * g
        root = np.sqrt(v) / (1 - beta2**t) ** 0.5 + eps
        p -= rate / (1 - beta1**t) * m / root


# --- clipping -------------------------------------------------------------------------------------


def infer_sum_of_squares(g):
    return {"out": Spec((1,), np.dtype(np.float64))}


def sum_of_squares(g):
    """Σ gᵢ² in float64; its root is the norm."""
    return np.sum(np.square(g, dtype=np.float64)).reshape(1)


def infer_check_finite(x, halt):
    return {}


def check_finite(x, halt):
    """Sets halt[0] to 1 if an element of x is NaN or infinite; never clears it."""
    if not np.isfinite(x).all():
        halt[0] = 1


def infer_clip_by_norm(g, sum_of_squares, halt, *, max_norm):
    check_buffers("clip_by_norm", g, scalars=(sum_of_squares, halt))
    return {}


def clip_by_norm(g, sum_of_squares, halt, *, max_norm):
    """g ← g · min(1, max_norm / (‖g‖ + 10⁻⁶)), as torch.nn.utils.clip_grad_norm_."""
    if halt[0] == 0:
        g *= float(np.minimum(max_norm / (np.sqrt(sum_of_squares[0]) + 1e-6), 1.0))


def infer_clip_by_value(g, *, limit):
    check_buffers("clip_by_value", g, scalars=())
    return {}


def clip_by_value(g, *, limit):
    """g ← g held within ±limit; a NaN stays."""
    np.clip(g, -limit, limit, out=g)


# --- cases ----------------------------------------------------------------------------------------

LENGTHS = (1, 2, 7, 64, 131, 4099, 0)
PENALTIES = [
    {"weight_decay": 0.1, "l1": 0.01, "decoupled": False},
    {"weight_decay": 0.1, "l1": 0.01, "decoupled": True},
    {"weight_decay": 0.1},
    {"l1": 0.05},
]
CNN, LARGE = 93_322, 25_000_000  # the parameters of the `cnn` model; well past every cache
RATE = uniform(0.001, 0.1, 1, dtype=np.float64)
RUNNING, HALTED = zeros(1, dtype=np.int32), integers(1, 3, 1, dtype=np.int32)


def number(t):
    """The buffer of the step's number."""
    return integers(t, t + 1, 1, dtype=np.float64)


def damaged(rng, dtype):
    """A gradient with NaN and infinity in it."""
    g = rng.standard_normal(37).astype(dtype)
    g[[0, 5, 36]] = np.nan, np.inf, -np.inf
    return {"g": g}


def step_cases(operands, settings):
    """Every length; every setting with every penalty; a halted step with a damaged gradient; a damaged one that is not halted."""
    cases = [case(**operands(n), **settings[0]) for n in LENGTHS]
    cases += [case(**operands(29, **s), **s, **r) for s in settings for r in PENALTIES]
    halted = {"halt": HALTED, "decoupled": True, "weight_decay": 0.1}
    cases += [case("halted", damaged, **{**operands(37, **s), **s, **halted}) for s in settings]
    return [*cases, case("damaged", damaged, **operands(37), **settings[0])]


def sgd_operands(n, **settings):
    return {"p": normal(n), "g": normal(n), "lr": RATE, "halt": RUNNING}


def momentum_operands(n, **settings):
    return {**sgd_operands(n), "m": normal(n), "step": number(4)}


def rmsprop_operands(n, momentum=0.0, centered=False, **settings):
    states = {"v": uniform(1.0, 2.0, n)}  # above avg², as the moments of any gradient are
    states |= {"m": normal(n)} if momentum else {}
    states |= {"avg": uniform(-0.9, 0.9, n)} if centered else {}
    return {**sgd_operands(n), **states}


def adam_operands(n, **settings):
    return {**momentum_operands(n), "v": uniform(0.0, 2.0, n)}


def step_bench(operands, *settings):
    return [case(**operands(n, **s), **s) for n in (CNN, LARGE) for s in settings]


MOMENTA = [
    {"momentum": 0.9, "dampening": d, "nesterov": n} for d in (0.0, 0.3) for n in (False, True)
]
RMSPROPS = [
    {"alpha": 0.9, "eps": 1e-3, "momentum": m, "centered": c}
    for m in (0.0, 0.8)
    for c in (False, True)
]
ADAMS = [{}, {"beta1": 0.5, "beta2": 0.9, "eps": 1e-3}]
STEP = {"cut": CUT, "grain": grain, "tolerance": TOLERANCE, "prefer": PREFER, "precision_of": "p"}

SGD = Op(
    "sgd_step",
    infer_sgd,
    sgd,
    inout=("p",),
    cases=step_cases(sgd_operands, [{}]),
    bench=step_bench(sgd_operands, {}),
    **STEP,
)

MOMENTUM = Op(
    "momentum_step",
    infer_momentum,
    momentum_reference,
    inout=("p", "m"),
    cases=step_cases(momentum_operands, MOMENTA)
    + [case("first", **momentum_operands(19) | {"step": number(1)}, **s) for s in MOMENTA],
    bench=step_bench(momentum_operands, {"momentum": 0.9}),
    **STEP,
)

RMSPROP = Op(
    "rmsprop_step",
    infer_rmsprop,
    rmsprop,
    inout=("p", "v", "m", "avg"),
    cases=step_cases(rmsprop_operands, RMSPROPS),
    bench=step_bench(rmsprop_operands, {}, {"momentum": 0.9, "centered": True}),
    **STEP,
)

ADAM = Op(
    "adam_step",
    infer_adam,
    adam,
    inout=("p", "m", "v"),
    cases=step_cases(adam_operands, ADAMS)
    + [case(**adam_operands(19) | {"step": number(t)}) for t in (1, 2, 100_000)],
    bench=step_bench(adam_operands, {}, {"weight_decay": 0.01, "decoupled": True}),
    **STEP,
)

SUM_OF_SQUARES = Op(
    "sum_of_squares",
    infer_sum_of_squares,
    sum_of_squares,
    cut={"g": 0},
    partial=("out",),
    grain=lambda g: max(1 << 16, -(-g.size // 8)),
    tolerance=dict.fromkeys(TOLERANCE, Tol(1e-14, 0.0, why="products and sums are in float64")),
    cases=[case(g=normal(n)) for n in LENGTHS]
    + [case(g=normal(40, layout="strided"))]
    + [case("large", g=uniform(1e18, 1e20, 50)), case("damaged", damaged, g=normal(37))],
    bench=[case(g=normal(n)) for n in (CNN, LARGE)],
    prefer=PREFER,
)

CHECK_FINITE = Op(
    "check_finite",
    infer_check_finite,
    check_finite,
    inout=("halt",),
    tolerance=dict.fromkeys(TOLERANCE, Tol(0.0, 0.0, why="a flag is exact")),
    cases=[case(x=normal(*s), halt=h) for s in ((1,), (5, 3), (0,), ()) for h in (RUNNING, HALTED)]
    + [
        case("infinite", lambda rng, dtype: {"x": np.array([1, x, 0], dtype)}, x=normal(3), halt=h)
        for x in (np.inf, -np.inf, np.nan)
        for h in (RUNNING, HALTED)
    ],
    bench=[case(x=normal(1), halt=RUNNING)],
    prefer=PREFER,
)

CLIP_BY_NORM = Op(
    "clip_by_norm",
    infer_clip_by_norm,
    clip_by_norm,
    inout=("g",),
    cut={"g": 0},
    grain=grain,
    tolerance=TOLERANCE,
    cases=[
        case(g=normal(n), sum_of_squares=uniform(0.1, 9.0, 1, dtype=np.float64), halt=h, max_norm=x)
        for n in LENGTHS
        for h in (RUNNING, HALTED)
        for x in (0.01, 1.0, 100.0)
    ],
    bench=[
        case(
            g=normal(n),
            sum_of_squares=uniform(4.0, 9.0, 1, dtype=np.float64),
            halt=RUNNING,
            max_norm=1.0,
        )
        for n in (CNN, LARGE)
    ],
    prefer=PREFER,
)

CLIP_BY_VALUE = Op(
    "clip_by_value",
    infer_clip_by_value,
    clip_by_value,
    inout=("g",),
    cut={"g": 0},
    grain=grain,
    tolerance=dict.fromkeys(TOLERANCE, Tol(1e-7, 0.0, why="the limit is rounded to the precision")),
    cases=[case(g=normal(n), limit=0.7) for n in LENGTHS]
    + [case("damaged", damaged, g=normal(37), limit=0.7)],
    bench=[case(g=normal(n), limit=0.5) for n in (CNN, LARGE)],
    prefer=PREFER,
)
