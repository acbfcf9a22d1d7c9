"""All steps of a vanilla recurrent layer in one op; its gradients.

    h[n, t] = act(zx[n, t] + h[n, t−1] · wᵀ)
    dz[n, t] = act′ · (dout[n, t] + dz[n, t+1] · w);   dw = Σ dz[n, t]ᵀ · h[n, t−1]

The input products with their bias, zx (N, T, H), are one matmul before; w (H, H) is W_hh.
`lengths` and `reverse` are those of `lstm_sequence`: row n has lengths[n] steps, at the front,
whichever way it runs; past them out and dz are 0 and the state is carried unchanged.
"""

import numpy as np

from ..elementwise.activations import ACTIVATIONS, activate
from ..lstm.sequence import grain, live, runs, some_lengths, steps
from ..lstm.sequence_grad import before
from ..spec import Op, Tol, case, normal, uniform
from .cell import ACTS, PREFER, check_act

# N, T, H
SIZES = [(1, 1, 7), (3, 1, 5), (2, 3, 4), (5, 7, 11), (37, 4, 3), (0, 3, 2), (3, 0, 2), (2, 3, 0)]
LARGE = [(2, 2, 127), (9, 2, 128), (1, 1, 129), (131, 2, 5), (197, 1, 3)]
LENGTHS = [(7, 5, 3), (5, 1, 2), (1, 4, 6), (19, 6, 9), (0, 3, 2)]
LARGE_LENGTHS = [(4, 2, 128), (17, 2, 68)]  # the second: two tiles of sequences, nine of units
RUNS, RUNS_WITH_LENGTHS = runs(SIZES, LARGE), runs(LENGTHS, LARGE_LENGTHS)
RUNS_OF = {"tanh": RUNS, "relu": runs([], [*SIZES, LARGE[3]])}
BENCH = [(32, 28, 128), (128, 28, 128), (32, 200, 128)]
BENCH += [(16, 8, 1536)]  # more units than multiprocessors can hold the weights of
WHOLE = PREFER | {("cuda", "float32"): ("cuda_raw_persistent", "cuda_raw_tiles")}
ROWS = ("zx", "h0", "lengths", "out", "h_last", "dout", "dh_last", "dz", "dh0")
CUT = dict.fromkeys(ROWS, 0)  # by sequences: each needs the whole of w
STEPS = {
    "float32": Tol(1e-5, 3e-6, why="products of H terms, and what a step passes on to the next"),
    "float64": Tol(2e-14, 6e-15, why="the same in double precision"),
}
WEIGHTS = {
    "float32": Tol(1e-5, 2e-6, why="a sum of N·T products in blocks, as in matmul"),
    "float64": Tol(1e-12, 1e-14, why="the same in double precision"),
}


def check(op, z, w, lengths, act="tanh", sequences=(), states=()):
    """(N, T, H) of z (N, T, H) and w (H, H); ValueError if an operand does not fit them.

    sequences: what must be (N, T, H); states: what must be (N, H). None is absent.
    """
    if len(z.shape) != 3 or w.shape != (z.shape[2], z.shape[2]):
        raise ValueError(f"{op}: (N, T, H) and (H, H) are needed, not {z.shape} and {w.shape}")
    n, t, h = z.shape
    for group, shape in ((sequences, (n, t, h)), (states, (n, h))):
        found = [s.shape for s in group if s is not None and s.shape != shape]
        if found:
            raise ValueError(f"{op}: {shape} is needed, not {found[0]}")
    if lengths is not None and (lengths.shape != (n,) or lengths.dtype != np.int32):
        raise ValueError(f"{op}: lengths are ({n},) int32, not {lengths.shape} {lengths.dtype}")
    check_act(op, act)
    return n, t, h


def infer_sequence(zx, h0, w, lengths=None, *, act="tanh", reverse=False):
    check("rnn_sequence", zx, w, lengths, act, states=(h0,))
    return {"out": zx, "h_last": h0}


def sequence(zx, h0, w, lengths=None, *, act="tanh", reverse=False):
    """A step after the other; a row past its length keeps its state."""
    out, h = np.zeros_like(zx), h0
    for t in steps(zx.shape[1], reverse):
        within = live(t, lengths, zx)
        h_next = activate(zx[:, t] + h @ w.T, act)
        out[:, t] = np.where(within, h_next, 0)
        h = np.where(within, h_next, h)
    return out, h


def gradient(call, ins, outs, douts, needed, *, act="tanh", reverse=False):
    """dzx is dz; dw is one product over all steps."""
    operands = (douts.out, douts.h_last, outs.out, ins.w, ins.lengths)
    dz, dh0 = call("rnn_sequence_grad", *operands, act=act, reverse=reverse)
    grads = {"zx": dz, "h0": dh0}
    if "w" in needed:
        operands = (dz, outs.out, ins.h0, ins.lengths)
        grads["w"] = call("rnn_sequence_wgrad", *operands, reverse=reverse)
    return grads


def infer_grad(dout, dh_last, out, w, lengths=None, *, act="tanh", reverse=False):
    n, _, h = check("rnn_sequence_grad", out, w, lengths, act, (dout,), (dh_last,))
    return {"dz": out, "dh0": out.like(n, h)}


def sequence_grad(dout, dh_last, out, w, lengths=None, *, act="tanh", reverse=False):
    """An absent dout or dh_last is zero: that output was not used."""
    n, _, h = out.shape
    dh = np.zeros((n, h), out.dtype) if dh_last is None else dh_last
    dz = np.zeros_like(out)
    for t in steps(out.shape[1], not reverse):
        within = live(t, lengths, out)
        above = 0 if dout is None else dout[:, t]
        dz_t = ACTIVATIONS[act].grad(out[:, t], dh + above)
        dz[:, t] = np.where(within, dz_t, 0)
        dh = np.where(within, dz_t @ w, dh)
    return dz, dh


def infer_wgrad(dz, out, h0, lengths=None, *, reverse=False):
    h = out.shape[-1] if out.shape else 0
    square = out.like(h, h)
    check("rnn_sequence_wgrad", dz, square, lengths, sequences=(out,), states=(h0,))
    return {"dw": square}


def sequence_wgrad(dz, out, h0, lengths=None, *, reverse=False):
    """The sum of the outer products of dz and the h before, over the steps within the lengths."""
    dw = np.zeros((dz.shape[2], out.shape[2]), dz.dtype)
    for t in range(dz.shape[1]):
        within = live(t, lengths, dz)
        h = before(out, h0, t, lengths, reverse)
        dw += np.where(within, dz[:, t], 0).T @ np.where(within, h, 0)
    return dw


def grain_weights(dz, *others, **attrs):
    """Ranges of at least 64 rows of dw: each gathers the h before for itself."""
    return max(64, -(-dz.shape[2] // 64) * 16)


def flops(n, t, h):
    """Of the products with w, in the pass that makes them or either of its gradients."""
    return 2 * n * t * h * h


def operands(n, t, h, layout="C"):
    bound = max(h, 1) ** -0.5  # of weights as a layer begins with them
    shapes = {"zx": normal(n, t, h, layout=layout), "h0": normal(n, h)}
    return shapes | {"w": uniform(-bound, bound, h, h)}


def positive(n, t, h):
    """A single unit: positive, or its sums may be nearly 0 and no others in the rms."""
    return {
        "zx": uniform(0.2, 1.5, n, t, h),
        "h0": uniform(0.2, 1.5, n, h),
        "w": uniform(0.2, 1.0, h, h),
    }


def after_a_run(n, t, h, act, reverse, with_lengths=False, absent=()):
    """Operands of rnn_sequence_grad that belong together: what a run gave, and cotangents."""

    def make(rng, dtype):
        def random(*shape):
            values = rng.standard_normal(shape).astype(dtype)
            return abs(values) if n * h == 1 else values

        w = random(h, h) * dtype.type(max(h, 1) ** -0.5)
        lengths = rng.integers(0, t + 1, n).astype(np.int32) if with_lengths else None
        out, _ = sequence(random(n, t, h), random(n, h), w, lengths, act=act, reverse=reverse)
        made = {"out": out, "w": w, "lengths": lengths}
        made |= {"dout": random(n, t, h), "dh_last": random(n, h)}
        return {k: a for k, a in made.items() if a is not None and k not in absent}

    return make


def run_case(n, t, h, act="tanh", reverse=False, **how):
    """A case of rnn_sequence_grad; `how` is for `after_a_run`."""
    words = [f"N={n} T={t} H={h}", *("lengths" for _ in how if _ == "with_lengths")]
    words += [f"without {name}" for name in how.get("absent", ())]
    made = after_a_run(n, t, h, act, reverse, **how)
    return case(" ".join(words), make=made, act=act, reverse=reverse)


def step_operands(n, t, h, layout="C"):
    return {"dz": normal(n, t, h), "out": normal(n, t, h, layout=layout), "h0": normal(n, h)}


RNN_SEQUENCE = Op(
    "rnn_sequence",
    infer_sequence,
    sequence,
    gradient,
    cut=CUT,
    grain=grain,
    tolerance=STEPS,
    cases=[
        case(**operands(*s), act=act, reverse=reverse)
        for act, sizes in RUNS_OF.items()
        for *s, reverse in sizes
    ]
    + [case("one unit", **positive(1, 2, 1), act=act, reverse=False) for act in ACTS]
    + [
        case(**operands(n, t, h), lengths=some_lengths(n, t), act="tanh", reverse=reverse)
        for n, t, h, reverse in RUNS_WITH_LENGTHS
    ]
    + [case(**operands(5, 3, 4, layout), act="relu") for layout in ("F", "strided", "reversed")],
    bench=[case(**operands(*s), act="tanh", reverse=False) for s in BENCH],
    flops=lambda zx, h0, w, lengths=None, **attrs: flops(*zx.shape),
    sized=lambda N=128, T=28, H=128: case(**operands(N, T, H), act="tanh", reverse=False),
    prefer=WHOLE,
)

RNN_SEQUENCE_GRAD = Op(
    "rnn_sequence_grad",
    infer_grad,
    sequence_grad,
    cut=CUT | {"out": 0},
    grain=grain,
    tolerance=STEPS,
    cases=[
        run_case(*s, act, reverse)
        for act, sizes in RUNS_OF.items()
        for *s, reverse in [(1, 1, 1, False), *sizes]
    ]
    + [run_case(*s, "tanh", r, with_lengths=True) for *s, r in RUNS_WITH_LENGTHS]
    + [run_case(5, 3, 4, absent=absent) for absent in (("dout",), ("dh_last",))],
    bench=[run_case(*s) for s in BENCH],
    flops=lambda dout, dh_last, out, *others, **attrs: flops(*out.shape),
    sized=lambda N=128, T=28, H=128: run_case(N, T, H),
    prefer=WHOLE,
    precision_of="out",
)

RNN_SEQUENCE_WGRAD = Op(
    "rnn_sequence_wgrad",
    infer_wgrad,
    sequence_wgrad,
    cut={"dz": 2, "dw": 0},  # by rows of dw: nothing has to be added
    grain=grain_weights,
    tolerance=WEIGHTS,
    cases=[case(**step_operands(*s), reverse=r) for *s, r in [(1, 1, 1, False), *RUNS]]
    + [
        case(**step_operands(n, t, h), lengths=some_lengths(n, t), reverse=r)
        for n, t, h, r in RUNS_WITH_LENGTHS
    ]
    + [case(**step_operands(4, 3, 5, layout), reverse=False) for layout in ("F", "strided")],
    bench=[case(**step_operands(*s), reverse=False) for s in BENCH],
    flops=lambda dz, *others, **attrs: flops(*dz.shape),
    sized=lambda N=128, T=28, H=128: case(**step_operands(N, T, H), reverse=False),
    prefer=PREFER | {("cuda", "float32"): ("cuda_raw_product",)},
)
