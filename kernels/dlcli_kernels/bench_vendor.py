"""The vendor's way to do what an op does, to compare with: BLAS, cuBLAS, and PyTorch's kernels.

Matrix products go to the BLAS behind NumPy, or to cuBLAS through CuPy; everything else to PyTorch
(oneDNN, cuDNN) where it is installed, TF32 off. Arrays are handed over without a copy, NHWC as
channels_last (`bench_pytorch.py`). The vendor gets the whole call on as many threads as we have,
and its result is compared with the reference as ours is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from .bench_pytorch import PYTORCH
from .elementwise.activations import activate
from .spec import Op

FLOATS = ("float32", "float64")


@dataclass(frozen=True)
class Vendor:
    """One call of a vendor's on fixed operands.

    name: whose it is. call: does it. results: what `call` returned as NumPy arrays by output name.
    begin, end: set its number of threads and give the cores back to ours, outside the timed window.
    """

    name: str
    call: Callable[[], Any]
    results: Callable[[Any], dict[str, np.ndarray]]
    begin: Callable[[], None] = lambda: None
    end: Callable[[], None] = lambda: None


def vendor_of(
    op: Op,
    ins: Sequence[Any],
    attrs: Mapping[str, Any],
    precision: str,
    *,
    device: str,
    threads: int,
) -> Vendor | None:
    """The vendor's call for these operands, or None: there is none for the op, or for these."""
    named = dict(zip(op.inputs, ins, strict=True))
    if op.name == "matmul" and precision in FLOATS:
        return _blas(named, attrs, threads) if device == "cpu" else _cublas(named, attrs)
    return _pytorch(op.name, named, attrs, precision, device, threads)


# --- BLAS -----------------------------------------------------------------------------------------


@cache
def _pools() -> list[Any]:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas").lib_controllers


def blas_threads(count: int) -> None:
    """Holds every BLAS that is loaded to `count` threads; costs some microseconds."""
    for library in _pools():
        library.set_num_threads(count)


def _blas(named: Mapping[str, Any], attrs: Mapping[str, Any], threads: int) -> Vendor:
    a, b, bias = named["a"], named["b"], named["bias"]
    a, b = a.T if attrs.get("ta") else a, b.T if attrs.get("tb") else b
    act, out = attrs.get("act"), np.empty((a.shape[0], b.shape[1]), a.dtype)

    def call() -> np.ndarray:
        np.matmul(a, b, out=out)
        if bias is not None:
            np.add(out, bias, out=out)
        if act == "relu":
            np.maximum(out, 0, out=out)
        elif act is not None:
            out[...] = activate(out, act)
        return out

    def begin() -> None:
        blas_threads(threads)

    def end() -> None:
        blas_threads(1)

    return Vendor("NumPy's BLAS", call, lambda found: {"out": found}, begin, end)


def _cublas(named: Mapping[str, Any], attrs: Mapping[str, Any]) -> Vendor | None:
    """By CuPy, whose TF32 is off unless CUPY_TF32 is set."""
    import cupy

    a, b, bias = named["a"], named["b"], named["bias"]
    a, b = a.T if attrs.get("ta") else a, b.T if attrs.get("tb") else b
    act, out = attrs.get("act"), cupy.empty((a.shape[0], b.shape[1]), a.dtype)
    functions = {"relu": lambda y: cupy.maximum(y, 0, out=y), "tanh": lambda y: cupy.tanh(y, out=y)}

    def call() -> Any:
        cupy.matmul(a, b, out=out)
        if bias is not None:
            cupy.add(out, bias, out=out)
        if act is not None:
            functions[act](out)
        return out

    if act is not None and act not in functions:
        return None
    return Vendor("cuBLAS", call, lambda found: {"out": cupy.asnumpy(found)})


# --- PyTorch -------------------------------------------------------------------------------------


def _pytorch(
    name: str,
    named: Mapping[str, Any],
    attrs: Mapping[str, Any],
    precision: str,
    device: str,
    threads: int,
) -> Vendor | None:
    if name not in PYTORCH or (device == "cpu" and precision not in FLOATS):
        return None
    try:
        import torch
    except ImportError:
        return None
    if device == "cuda" and not torch.cuda.is_available():
        return None
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    if device == "cpu":
        torch.set_num_threads(threads)
    tensors = {
        k: None if a is None else torch.from_numpy(a) if device == "cpu" else torch.from_dlpack(a)
        for k, a in named.items()
    }
    call = PYTORCH[name](torch, tensors, attrs)
    if not call:
        return None
    stream = _stream(torch) if device == "cuda" else None

    def run() -> Any:
        with torch.inference_mode(), torch.cuda.stream(stream):
            return call()

    def results(found: Any) -> dict[str, np.ndarray]:
        return {key: value.contiguous().cpu().numpy() for key, value in found.items()}

    return Vendor(f"PyTorch {torch.__version__.partition('+')[0]}", run, results)


def _stream(torch: Any) -> Any:
    """CuPy's current stream as PyTorch sees it: events on it then time PyTorch's kernels."""
    import cupy

    return torch.cuda.ExternalStream(cupy.cuda.get_current_stream().ptr)


def gemm(precision: str, side: int) -> Callable[[], Any] | None:
    """PyTorch's product of two square matrices of random numbers on the GPU, in tf32 or bfloat16.

    None without PyTorch for CUDA.
    """
    try:
        import torch
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    a, b = (torch.randn(side, side, device="cuda", dtype=dtype) for _ in range(2))
    stream, out = _stream(torch), torch.empty_like(a)

    def call() -> Any:
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        with torch.cuda.stream(stream):
            return torch.matmul(a, b, out=out)

    return call
