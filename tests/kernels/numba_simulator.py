"""Verifies the kernels in Numba, and broken copies of them, in Numba's simulator: a program of its
own, since a process has the simulator or has it not. Its output is JSON:

    {"verified": [[op, case, precision, reason or ""], …], "mutants": {mutant: reason or ""}}
"""

import json
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
from dlcli_kernels import registry
from dlcli_kernels.attention.dot import operands as attention_operands
from dlcli_kernels.attention.masked import some_lengths
from dlcli_kernels.check import make_inputs, verify
from dlcli_kernels.check_compare import specs_of
from dlcli_kernels.conv.cases import SHAPES, dgrad_case, forward_case, wgrad_case
from dlcli_kernels.cuda_numba_simulator import Simulator
from dlcli_kernels.matmul.op import operands
from dlcli_kernels.raw import running_on
from dlcli_kernels.spec import case, normal

UNIT, BARE = (1, 1), ((0, 0), (0, 0))
WIDE = (1, 2, 3, 34, 35, 1, 2, UNIT, BARE, UNIT, 1)  # more channels than a tile has
LONG = (1, 17, 16, 1, 2, 1, 1, UNIT, BARE, UNIT, 1)  # more pixels than a range of wgrad has
TALL = SHAPES[7]  # 75 pixels: three tiles, the last of which is not full; one tap
FULL_TILES = (1, 8, 4, 32, 64, 1, 1, UNIT, BARE, UNIT, 1)  # no tile or strip has an end to heed
FULL_FILTERS = (1, 8, 4, 31, 32, 1, 1, UNIT, BARE, UNIT, 1)  # nor with the column of the bias
SMALL = 6000  # operations of a case: every mode of a convolution, within a tile or two

# op, variant, those of the op's own cases that run (all, some, those of so few operations), further
# ones. Left out of the op's own cases is what takes seconds here: large ones, and of those that are
# alike. A tile and a strip is all that has an end in these kernels, and further ones have each end.
CHOSEN = [
    (
        "matmul",
        "cuda_numba_tiled",
        [*range(0, 40, 5), 16, 35, 40, 41, 43, 45],
        [case(**operands(66, 65, 9, True, True), bias=normal(65), act="relu")],
    ),
    (
        "conv2d",
        "cuda_numba_direct",
        SMALL,
        [
            *(forward_case(shape, act=None) for shape in (TALL, FULL_TILES)),
            forward_case(WIDE, act="hard_tanh"),
            *(
                forward_case((1, 1, 9, 1, 2, 1, 1, *LONG[7:]), act=a)
                for a in ("relu6", "leaky_relu_0.2", "elu", "selu", "sigmoid", "softplus")
            ),
        ],
    ),
    (
        "conv2d_dgrad",
        "cuda_numba_direct",
        SMALL,
        [*map(dgrad_case, (TALL, FULL_TILES, WIDE))],
    ),
    (
        "conv2d_wgrad",
        "cuda_numba_direct",
        SMALL,
        [*map(wgrad_case, (TALL, FULL_FILTERS, WIDE, LONG))],
    ),
    ("maxpool2d", "cuda_numba", None, []),
    ("maxpool2d_grad", "cuda_numba", None, []),
    ("avgpool2d", "cuda_numba", None, []),
    ("avgpool2d_grad", "cuda_numba", None, []),
    ("lstm_cell", "cuda_numba", None, []),
    ("lstm_cell_grad", "cuda_numba", None, []),
    ("gru_cell", "cuda_numba", None, []),
    ("gru_cell_grad", "cuda_numba", None, []),
    ("rnn_cell", "cuda_numba", None, []),
    ("rnn_cell_grad", "cuda_numba", None, []),
    (
        "attention",
        "cuda_numba",
        [1, 3, 5, 6, 7, 8, 16, 20, 21, 25, 27, 29],
        [case(**attention_operands(1, 66, 40, 1, 3), causal=True)],
    ),
]

BARRIER = "            cuda.syncthreads()"
FULL, READ = f"{BARRIER}  # the strips are complete\n", f"{BARRIER}  # nobody reads them any more\n"
MATMUL, CONV = ("matmul", "cuda_numba_tiled"), ("conv2d", "cuda_numba_direct")
POOL, LSTM = ("maxpool2d", "cuda_numba"), ("lstm_cell", "cuda_numba")
GRU_GRAD, RNN_GRAD = ("gru_cell_grad", "cuda_numba"), ("rnn_cell_grad", "cuda_numba")
ATTENTION, LONG_ROWS = ("attention", "cuda_numba"), case(**attention_operands(1, 5, 40, 1, 3))
PADDED = case(**attention_operands(3, 2, 5, 1, 3), lengths=some_lengths(3, 5))
PRODUCT = case(**operands(9, 11, 17, False, True), bias=normal(11))
# what was broken: op and variant, the text that is replaced (at its first place), by what
MUTANTS = {
    "matmul without its first barrier": (*MATMUL, PRODUCT, FULL, ""),
    "matmul without its second barrier": (*MATMUL, PRODUCT, READ, ""),
    "matmul with a barrier for some": (
        *MATMUL,
        PRODUCT,
        FULL,
        f"            if down:\n    {FULL}",
    ),
    "matmul with sums that begin anywhere": (*MATMUL, PRODUCT, "acc[i, j] = zero", "pass"),
    "matmul that reads beyond the last row": (*MATMUL, PRODUCT, "m < M and first", "first"),
    "matmul that writes beyond the last column": (*MATMUL, PRODUCT, "M and n < N:", "M:"),
    "matmul that forgets the last terms": (*MATMUL, PRODUCT, "range(0, K,", "range(0, K - DEPTH,"),
    "convolution without its first barrier": (*CONV, forward_case(WIDE, act=None), FULL, ""),
    "convolution without its second barrier": (*CONV, forward_case(WIDE, act=None), READ, ""),
    "convolution that reads its padding": (*CONV, None, "0 <= h < g.H and ", ""),
    "maximum that loses NaN": (*POOL, None, " or value != value", ""),
    "attention that keeps what it found under a smaller maximum": (
        *ATTENTION,
        LONG_ROWS,
        "mean[c] *= share",
        "pass",
    ),
    "attention without its last barrier": (
        *ATTENTION,
        LONG_ROWS,
        "            cuda.syncthreads()  # nobody reads it any more\n",
        "",
    ),
    "attention to padding": (*ATTENTION, PADDED, "count = min(max(lengths[n], 0), S)", "count = S"),
    "cell without its last unit": (*LSTM, None, "at < size", "at < size - 1"),
    "cell whose reset gate has no part in a gradient": (*GRU_GRAD, None, "d_n * r", "d_n"),
    "cell whose gradient ignores its tanh": (*RNN_GRAD, None, "(one - h[at] * h[at])", "one"),
}


def broken(op, name, old, new):
    """The variant `name` of an op with a piece of its source replaced."""
    whole = registry.variant(op, name)
    text = Path(whole.module.__file__).read_text()
    assert old in text, f"{name} has no {old!r}"
    module = ModuleType(f"{whole.module.__name__}_broken")
    module.__package__ = whole.module.__package__
    exec(compile(text.replace(old, new, 1), whole.module.__file__, "exec"), vars(module))
    return registry.Variant(op, name, module)


def chosen_of(op, which):
    """The op's own cases at these places, or of at most so many operations."""
    if isinstance(which, list):
        return [op.cases[i] for i in which]

    def operations(tried):
        ins = make_inputs(op, tried, np.random.default_rng(0), np.dtype(np.float32))
        return op.work(specs_of(ins), {k: v for k, v in tried.attrs.items() if k in op.attrs})[0]

    return [tried for tried in op.cases if operations(tried) <= which]


def verified():
    """[op, case, precision, reason] of every chosen case; the last of each op in float64 too."""
    for name, variant, which, further in CHOSEN:
        op = registry.op(name)
        own = op.cases if which is None else chosen_of(op, which)
        chosen = [(c, "float32") for c in (*own, *further)]
        for tried, precision in [*chosen, (chosen[-1][0], "float64")]:
            begun = time.perf_counter()
            result = verify(op, registry.variant(op, variant), tried, precision, seed=1)
            took = time.perf_counter() - begun
            print(f"{took:6.2f} s  {result}", file=sys.stderr)
            yield name, tried.label(), precision, result.reason


def killed():
    """mutant -> why it was rejected."""
    for mutant, (name, variant, tried, old, new) in MUTANTS.items():
        op = registry.op(name)
        cases = op.cases[1:4] if tried is None else [tried]
        mutated = broken(op, variant, old, new)
        reasons = (verify(op, mutated, c, "float32", seed=1).reason for c in cases)
        yield mutant, next(filter(None, reasons), "")


if __name__ == "__main__":
    with running_on(Simulator()):
        print(json.dumps({"verified": list(verified()), "mutants": dict(killed())}))
