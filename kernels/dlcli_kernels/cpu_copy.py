"""Arrays filled and copied by a kernel: a launch whose variant assigns in Python cannot be written
down (`cpu_record.py`).
"""

from .cpu_compile import kernel


@kernel
def fill(to, value):
    """Every element of an array of any shape and strides ← value."""
    to[...] = value


@kernel
def assign(to, of):
    """to ← of, arrays of one shape, of any strides."""
    to[...] = of
