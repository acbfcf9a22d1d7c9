"""A launch per step, each the recurrent product and the gates in one kernel: for any number of
units.

The kernel of `cuda_raw_cooperative` without its barrier; the weights come from memory, or the L2
cache, in each step, and a step costs a launch. The last resort of the sequence ops. Chosen by
analysis; not measured.
"""

from .raw_steps import SOURCE, THREADS, fits, kernel, prepare, sizes_of  # noqa: F401

MOST_ROWS = 65_535  # blocks along y


def supports(op, *ins, **attrs):
    return op in ("lstm_sequence", "lstm_sequence_grad") and fits(op, *ins)


def workspace(op, *ins, **attrs):
    return sizes_of(op, *ins).scratch


def _run(name, s, steps, *args):
    step = kernel(name)
    for i in range(steps):
        step((s.slices, min(s.tiles, MOST_ROWS)), THREADS, *args, i, i + 1, shared=s.shared(False))


def lstm_sequence(
    out, h_last, c_last, gates, cells, zx, h0, c0, w, lengths, *, reverse=False, scratch
):
    s = sizes_of("lstm_sequence", zx)
    made = prepare(s, scratch, w, (h_last, c_last), (h0, c0))
    _run(
        "lstm_steps", s, s.t, out, h_last, c_last, gates, cells, *made, zx, lengths,
        s.n, s.t, s.h, s.pitch, int(reverse),
    )  # fmt: skip


def lstm_sequence_grad(
    dz, dh0, dc0, dout, dh_last, dc_last, gates, cells, c0, w, lengths, *, reverse=False, scratch
):
    s = sizes_of("lstm_sequence_grad", dout, dh_last, dc_last, gates)
    made = prepare(s, scratch, w, (dh0, dc0), (dh_last, dc_last))
    _run(
        "lstm_steps_grad", s, s.t + 1, dz, dh0, dc0, *made, dout, gates, cells, c0, lengths,
        s.n, s.t, s.h, s.pitch, int(reverse),
    )  # fmt: skip
