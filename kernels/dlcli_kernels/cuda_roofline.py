"""The roofline of a CUDA device, by kernels of our own and, for tensor cores, by PyTorch's GEMM.

float32: independent multiply-adds in registers. Memory: copies and reads of 512 MiB, far beyond the
L2 cache. tf32 and bfloat16 have a compute roof only where PyTorch is installed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .raw import Source, running_on
from .roofline import Roofline
from .spec import Spec
from .timing import measure

SOURCE = Source(__name__, "cuda_roofline.cu")
CHAINS = 16  # of multiply-adds per thread: more than the latency of one takes to cover
THREADS = 256
BLOCKS = 8  # per multiprocessor: as many threads as it holds
STEPS = 4096
BUFFER = 1 << 29  # bytes
SIDE = 8192  # of the matrices whose product is a tensor core's roof


def measure_device(
    target: Any, clock: Any, precision: str, *, size: int = BUFFER, steps: int = STEPS
) -> Roofline:
    """The roofline of `target` by `clock`. size: bytes of each buffer; steps: of each chain.

    The rate of float32 is always measured, that of tensor cores where `precision` is theirs.
    """
    blocks = BLOCKS * target.multiprocessors
    threads, quads = blocks * THREADS, size // 16
    source = target.put(np.ones(4 * quads, np.float32))
    copy = target.empty(Spec((4 * quads,), np.dtype(np.float32)))
    sums = target.empty(Spec((threads,), np.dtype(np.float32)))
    fma, copy4, read4 = (
        SOURCE.kernel(name, CHAINS=CHAINS) for name in ("fma_chains", "copy4", "read4")
    )
    functions = {
        "fma": lambda: fma(blocks, THREADS, sums, 0.999, 0.001, steps),
        "copy": lambda: copy4(blocks, THREADS, copy, source, quads),
        "read": lambda: read4(blocks, THREADS, sums, source, quads),
    }
    with running_on(target):
        samples = measure(functions, repeats=6, warmup=2, min_time=0, clock=clock)
    best = {name: float(sample.times.min()) for name, sample in samples.items()}
    rates = {"float32": 2 * CHAINS * steps * threads / best["fma"]}
    moved = {"copy": 32 * quads / best["copy"], "read": 16 * quads / best["read"]}
    return Roofline(rates | _tensor_cores(clock, precision), moved)


def _tensor_cores(clock: Any, precision: str) -> dict[str, float]:
    """tf32 or bfloat16 by the vendor's best; nothing without PyTorch for CUDA."""
    from .bench_vendor import gemm

    product = gemm(precision, SIDE) if precision in ("tf32", "bfloat16") else None
    if product is None:
        return {}
    sample = measure({"": product}, repeats=6, warmup=2, min_time=0, clock=clock)[""]
    return {precision: 2 * SIDE**3 / float(sample.times.min())}
