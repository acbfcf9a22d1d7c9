"""A call run once on the whole range, for a device that shares the work out itself; and which
variant a precision chooses.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from dlcli_kernels import registry
from dlcli_kernels.check_data import make_inputs
from dlcli_kernels.launch import Launch, address
from dlcli_kernels.registry import Variant
from dlcli_kernels.spec import Op, Spec


def at(offset, *shape, dtype=np.float32):
    """An array that begins `offset` bytes after a boundary of 64."""
    nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(nbytes + 128, np.uint8)
    begin = -memory.ctypes.data % 64 + offset
    return memory[begin : begin + nbytes].view(dtype).reshape(shape)


def whole(name, kernel, ins, *, workspace=None, optional=True, **attrs):
    """The outputs of `kernel` (outs…, ins…) as the variant of an op, run on the whole range."""
    op, specs = registry.op(name), [None if a is None else Spec.of(a) for a in ins]
    module = SimpleNamespace(**{name: kernel})
    if workspace is not None:
        module.workspace = lambda op, *ins, **attrs: workspace
    ready = Launch(op, Variant(op, "cuda_test", module), specs, attrs, optional=optional)
    outs = ready.allocate(lambda spec: np.full(spec.shape, 77, spec.dtype))
    ready.run_whole(outs, ins, lambda spec: at(0, *spec.shape, dtype=spec.dtype))
    return outs


@pytest.mark.parametrize(
    "name", ["adam_step", "conv2d_wgrad", "dropout", "matmul", "maxpool2d", "sum"]
)
def test_the_whole_range_at_once_is_what_one_range_of_all_rows_is(name):
    op = registry.op(name)
    case = max(op.cases, key=lambda c: sum(np.prod(a.shape) for a in c.args.values() if a))
    attrs = {k: v for k, v in case.attrs.items() if k in op.attrs}
    given = make_inputs(op, case, np.random.default_rng(0), np.dtype(np.float32))
    copies = [[None if a is None else np.array(a) for a in given] for _ in range(2)]
    specs = [None if a is None else Spec.of(a) for a in given]
    ready = Launch(op, registry.resolve(op, "cpu", specs, attrs), specs, attrs, rows=1 << 40)
    one, all_at_once = (
        ready.allocate(lambda spec: np.full(spec.shape, 77, spec.dtype)) for _ in "ab"
    )
    ready.run(one, copies[0])
    ready.run_whole(all_at_once, copies[1], lambda spec: np.empty(spec.shape, spec.dtype))
    for a, b in zip((*one, *copies[0]), (*all_at_once, *copies[1]), strict=True):
        assert (a is None and b is None) or a.tobytes() == b.tobytes()


@pytest.mark.parametrize("offset", [0, 4, 16, 60])
def test_every_operand_of_a_whole_range_is_contiguous_and_on_a_boundary_of_16_bytes(offset):
    x, strided = at(offset, 6, 4), np.zeros((6, 8), np.float32)[:, ::2]
    x[...], strided[...] = np.random.default_rng(0).standard_normal((2, 6, 4))
    seen = []

    def add(out, a, b):
        seen.extend((a, b))
        np.add(a, b, out=out)

    (out,) = whole("add", add, (x, strided))
    assert np.array_equal(out, x + strided)
    assert all(a.flags.c_contiguous and address(a) % 16 == 0 for a in seen)
    assert (seen[0] is x) == (offset % 16 == 0)  # nothing is copied in vain


@pytest.mark.parametrize("target", [at(4, 4), at(0, 8)[::2]], ids=["off a boundary", "strided"])
def test_an_operand_updated_in_place_is_never_replaced_by_a_copy(target):
    with pytest.raises(ValueError, match="fill: target is updated in place and must be contiguous"):
        whole("fill", lambda target, *, value: target.fill(value), (target,), value=1.0)
    assert not target.any()


def test_a_whole_range_starts_at_zero_and_gets_its_scratch_from_the_device():
    x, rng = np.ones((5, 3), np.float32), np.zeros(5, np.uint32)
    seen = {}

    def dropout(out, mask, x, rng, *, p, start, scratch):
        seen.update(start=start, scratch=scratch, mask=mask)
        out[...] = x

    scratch = Spec((7,), np.dtype(np.float64))
    (out, mask) = whole("dropout", dropout, (x, rng), workspace=scratch, optional=False, p=0.5)
    assert np.array_equal(out, x)
    assert mask is seen["mask"] is None
    assert seen["start"] == 0
    assert Spec.of(seen["scratch"]) == scratch


# --- the variant that runs ------------------------------------------------------------------------


def test_a_precision_s_variants_come_before_those_of_the_operands_own_dtype(monkeypatch):
    names = ("cuda_a", "cuda_b", "cuda_c")
    modules = {n: SimpleNamespace(add=None, supports=lambda *a, n=n: n != "cuda_a") for n in names}
    monkeypatch.setattr(registry, "load", lambda family, name: (modules[name], ""))
    add = registry.op("add")
    op = Op("add", add.infer, add.reference, prefer={
        ("cuda", "tf32"): ("cuda_a", "cuda_b"),
        ("cuda", "float32"): ("cuda_c",),
        ("cuda", "float64"): ("cuda_c",),
    })  # fmt: skip
    single, double = (Spec((3,), np.dtype(t)) for t in ("float32", "float64"))
    found = lambda spec, *precision: registry.resolve(op, "cuda", [spec, spec], {}, *precision).name  # noqa: E731
    assert found(single) == found(single, "float32") == "cuda_c"
    assert found(single, "tf32") == "cuda_b"  # the first that supports the operands
    modules["cuda_b"].supports = lambda *a: False
    assert found(single, "tf32") == "cuda_c"
    assert found(double, "tf32") == "cuda_c"  # tf32 is how float32 is computed, no more
