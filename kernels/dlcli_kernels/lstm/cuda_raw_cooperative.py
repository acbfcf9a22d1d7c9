"""All steps in one launch of blocks that run at once: each keeps the recurrent weights of 8 units
in its shared memory, and one barrier of the grid stands between two steps.

For more units than one block can hold: 8 to a multiprocessor, so about 1,000 at most (128 H bytes
of shared memory each). Left-over multiprocessors share the sequences. The matrix is read from
memory once per call and not once per step; a step costs its product and a barrier, about 1.5 µs.
Chosen by analysis; not measured.
"""

from ..raw import target
from .raw_steps import SOURCE, THREADS, fits, kernel, most_shared, prepare, sizes_of  # noqa: F401


def supports(op, *ins, **attrs):
    if op not in ("lstm_sequence", "lstm_sequence_grad") or not fits(op, *ins):
        return False
    s = sizes_of(op, *ins)
    return s.slices <= target().multiprocessors and s.shared(True) <= most_shared()


def workspace(op, *ins, **attrs):
    return sizes_of(op, *ins).scratch


def _run(name, s, steps, *args):
    """Launches all steps, or turns, on as many blocks as there are multiprocessors at most."""
    groups = min(s.tiles, target().multiprocessors // max(s.slices, 1))
    kernel(name, resident=True)(
        (s.slices, groups), THREADS, *args, 0, steps,
        shared=s.shared(True), cooperative=True,
    )  # fmt: skip


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
