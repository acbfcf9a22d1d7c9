"""Passes the gradient of relu at zero, where its reference does not."""

import numpy as np
from dlcli_kernels.elementwise.activations import ACTIVATIONS


def act_grad(out, saved, dout, *, act):
    gradient = ACTIVATIONS[act].grad(saved, dout)
    out[...] = np.where(saved == 0, dout, gradient) if act == "relu" else gradient
