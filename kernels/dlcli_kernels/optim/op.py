"""Optimiser steps on flat buffers: one run over one array for all the parameters of a group.

p (parameters), g (gradients) and the states m, v, avg are 1-D arrays of one layout. What changes
from step to step is a buffer of one element: lr and step (the number of this step, from 1) in
float64, halt in int32. A step with halt[0] ≠ 0 changes nothing: a NaN never touches a weight.

Every step first adds the penalties: g + weight_decay·p (L2) or, decoupled, p·(1 - lr·weight_decay)
(Loshchilov & Hutter 2019), and g + l1·sign(p). The formulas are those of torch.optim, in p's
precision, with scalars in float64 until they meet an array. Clipping is in `clip.py`.
"""

import numpy as np

from ..spec import Op, case, integers, normal, uniform
from .clip import (  # noqa: F401  (ops of this family)
    CHECK_FINITE,
    CLIP_BY_NORM,
    CLIP_BY_VALUE,
    COUNT_STEP,
    SUM_OF_SQUARES,
)
from .rows import infer_adam as infer_adam_rows
from .rows import infer_momentum as infer_momentum_rows
from .rows import infer_sgd as infer_sgd_rows
from .rows import rows_op
from .shared import (
    CNN,
    CUT,
    HALTED,
    LARGE,
    LENGTHS,
    PREFER,
    RUNNING,
    TOLERANCE,
    check_buffers,
    damaged,
    grain,
)


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
    """m ← μ·m + (1 - dampening)·g, in the first step m ← g; p ← p - lr·m.

    Nesterov: p ← p - lr·(g + μ·m).
    """
    if halt[0] == 0:
        rate = float(lr[0])
        g = penalised(p, g, rate, weight_decay, l1, decoupled)
        m[...] = g if step[0] == 1 else momentum * m + (1 - dampening) * g
        p -= rate * (g + momentum * m if nesterov else m)


# --- RMSprop and Adam -----------------------------------------------------------------------------


def infer_rmsprop(
    p, g, v, m, avg, lr, halt,
    *, alpha=0.99, eps=1e-8, momentum=0.0, centered=False,
    weight_decay=0.0, l1=0.0, decoupled=False,
):  # fmt: skip
    check_buffers("rmsprop_step", p, g, v, m, avg, scalars=(lr, halt))
    if (m is None) != (momentum == 0) or (avg is None) == centered:
        raise ValueError("rmsprop_step: m is there with momentum, avg is there when centered")
    return {}


def rmsprop(
    p, g, v, m, avg, lr, halt,
    *, alpha=0.99, eps=1e-8, momentum=0.0, centered=False,
    weight_decay=0.0, l1=0.0, decoupled=False,
):  # fmt: skip
    """v ← α·v + (1-α)·g²; d = g / (√v + ε), centred √(v - avg²); p ← p - lr·d (Hinton 2012).

    With momentum: m ← μ·m + d; p ← p - lr·m. Centred: avg ← α·avg + (1-α)·g (Graves 2013).
    """
    if halt[0] == 0:
        rate = float(lr[0])
        g = penalised(p, g, rate, weight_decay, l1, decoupled)
        v[...] = alpha * v + (1 - alpha) * g * g
        spread = v
        if centered:
            avg[...] = alpha * avg + (1 - alpha) * g
            spread = np.maximum(v - avg * avg, 0)  # a variance: below 0 by rounding alone
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
    """Kingma & Ba 2015, algorithm 1; decoupled: AdamW. step[0] is t, which corrects the bias."""
    if halt[0] == 0:
        rate, t = float(lr[0]), float(step[0])
        g = penalised(p, g, rate, weight_decay, l1, decoupled)
        m[...] = beta1 * m + (1 - beta1) * g
        v[...] = beta2 * v + (1 - beta2) * g * g
        root = np.sqrt(v) / (1 - beta2**t) ** 0.5 + eps
        p -= rate / (1 - beta1**t) * m / root


# --- cases ----------------------------------------------------------------------------------------

RATE = uniform(0.001, 0.1, 1, dtype=np.float64)
PENALTIES = [
    {"weight_decay": 0.1, "l1": 0.01, "decoupled": False},
    {"weight_decay": 0.1, "l1": 0.01, "decoupled": True},
    {"weight_decay": 0.1},
    {"l1": 0.05},
]


def number(t):
    """The buffer of the step's number."""
    return integers(t, t + 1, 1, dtype=np.float64)


def step_cases(operands, settings):
    """Every length; every setting with every penalty; damaged gradients, halted and not."""
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
MANY = 1 << 20  # parameters where no size is given
STEP = {
    "cut": CUT,
    "grain": grain,
    "tolerance": TOLERANCE,
    "prefer": PREFER,
    "precision_of": "p",
    "wide": ("lr", "step"),
}

SGD = Op(
    "sgd_step",
    infer_sgd,
    sgd,
    inout=("p",),
    cases=step_cases(sgd_operands, [{}]),
    sized=lambda N=MANY: case(**sgd_operands(N)),
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
    sized=lambda N=MANY: case(**momentum_operands(N), momentum=0.9),
    bench=step_bench(momentum_operands, {"momentum": 0.9}),
    **STEP,
)

RMSPROP = Op(
    "rmsprop_step",
    infer_rmsprop,
    rmsprop,
    inout=("p", "v", "m", "avg"),
    cases=step_cases(rmsprop_operands, RMSPROPS),
    sized=lambda N=MANY: case(**rmsprop_operands(N)),
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
    sized=lambda N=MANY: case(**adam_operands(N)),
    bench=step_bench(adam_operands, {}, {"weight_decay": 0.01, "decoupled": True}),
    **STEP,
)

# --- steps on rows (rows.py) ----------------------------------------------------------------------

SGD_ROWS = rows_op(
    "sgd_rows_step",
    infer_sgd_rows,
    lambda p, g, lr, step, halt: sgd(p, g, lr, halt),
    (),
    [{}],
)
MOMENTUM_ROWS = rows_op(
    "momentum_rows_step", infer_momentum_rows, momentum_reference, ("m",), MOMENTA
)
ADAM_ROWS = rows_op("adam_rows_step", infer_adam_rows, adam, ("m", "v"), ADAMS)
