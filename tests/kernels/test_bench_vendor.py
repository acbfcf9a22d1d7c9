"""What a vendor is asked to do is what the op does: BLAS by NumPy, the rest by PyTorch."""

import pytest
from dlcli_kernels import registry
from dlcli_kernels.bench import attributes, inputs
from dlcli_kernels.bench_gate import Gate
from dlcli_kernels.bench_pytorch import PYTORCH
from dlcli_kernels.bench_sizes import Shape, shapes_of
from dlcli_kernels.bench_vendor import vendor_of
from dlcli_kernels.check_compare import specs_of
from dlcli_kernels.spec import Tol

SAME = Tol(1e-4, 1e-4, why="float32 sums of some hundred terms, in another order")


def error_of(op, shape, precision="float32"):
    """The vendor's worst error on a case as a share of `SAME`; None without a vendor."""
    ins, attrs = inputs(op, shape, precision, 0), attributes(op, shape)
    vendor = vendor_of(op, ins, attrs, precision, device="cpu", threads=1)
    if vendor is None:
        return None
    vendor.begin()
    found = vendor.results(vendor.call())
    vendor.end()
    gate = Gate(op, specs_of(ins), attrs, SAME, seed=0)
    want = gate.expected(ins)
    assert found
    return gate.compare(found, {name: want[name] for name in found})


@pytest.mark.parametrize("case", registry.op("matmul").cases, ids=lambda c: c.label())
def test_blas_computes_the_product_with_its_epilogue(case):
    assert error_of(registry.op("matmul"), Shape(case)) <= 1


SIZES = {
    "conv2d": "N=2,H=6,W=5,C=3,K=4",
    "conv2d_dgrad": "N=2,H=6,W=5,C=3,K=4",
    "conv2d_wgrad": "N=2,H=6,W=5,C=3,K=4",
    "conv2d_pool": "N=2,H=6,W=6,C=3,K=4",
    "act": "N=50",
    "add": "N=50",
    "mul": "N=50",
    "div": "N=50",
    "sum": "N=50",
    "softmax": "N=4,K=7",
    "log_softmax": "N=4,K=7",
}


@pytest.mark.oracle
@pytest.mark.parametrize("name", SIZES)
def test_pytorch_computes_what_the_op_does(name):
    pytest.importorskip("torch")
    (shape,) = shapes_of(registry.op(name), [SIZES[name]])
    assert error_of(registry.op(name), shape) <= 1


@pytest.mark.oracle
@pytest.mark.parametrize("name", sorted(set(PYTORCH) - {"matmul", "lstm_sequence"}))
def test_pytorch_takes_the_small_cases_of_every_op_that_it_is_asked_for(name):
    pytest.importorskip("torch")
    op = registry.op(name)
    errors = [error_of(op, Shape(c)) for c in op.cases if c.smooth and not _is_empty(c)]
    known = [error for error in errors if error is not None]
    assert known
    assert max(known) <= 1


def _is_empty(case):
    return any(0 in arg.shape for arg in case.args.values() if arg is not None)


def test_what_no_vendor_does_has_none():
    op = registry.op("dropout")
    shape = Shape(op.bench[0])
    ins = inputs(op, shape, "float32", 0)
    attrs = attributes(op, shape)
    assert vendor_of(op, ins, attrs, "float32", device="cpu", threads=1) is None


def test_a_product_in_float64_is_blas_too():
    (shape,) = shapes_of(registry.op("matmul"), ["M=5,N=6,K=7"])
    assert error_of(registry.op("matmul"), shape, "float64") <= 1e-6
