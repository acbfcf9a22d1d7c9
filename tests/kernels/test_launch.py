"""A call made ready: the same bits for any number of threads, and any array that NumPy can make."""

import numpy as np
import pytest
from dlcli_kernels import cpu_pool, registry
from dlcli_kernels.check_data import make_inputs
from dlcli_kernels.launch import MOST_PARTIALS, MOST_RANGES, Launch, serial
from dlcli_kernels.spec import Op, Spec

RNG = np.random.default_rng


@pytest.fixture(scope="module")
def pools():
    pools = {n: cpu_pool.Pool(n) for n in (1, 2, 3)}
    yield pools
    for pool in pools.values():
        pool.close()


def launch(op, ins, *, rows=None, optional=True, variant=None, **attrs):
    """A launch of the variant that runs by default."""
    specs = [None if a is None else Spec.of(a) for a in ins]
    chosen = variant or registry.resolve(op, "cpu", specs, attrs)
    return Launch(op, chosen, specs, attrs, rows=rows, optional=optional)


def outputs(ready, ins, runner=serial):
    outs = ready.allocate(lambda spec: np.full(spec.shape, 77, spec.dtype))
    ready.run(outs, ins, runner)
    return outs


def run(name, *ins, runner=serial, rows=None, **attrs):
    """The single output of an op; operands that are not given are absent."""
    op = registry.op(name)
    ins = (*ins, *[None] * (len(op.inputs) - len(ins)))
    ready = launch(op, ins, rows=rows, **attrs)
    return outputs(ready, ins, runner)[0]


# --- threads and ranges ---------------------------------------------------------------------------

SHARED = [  # ops with ranges, with partial sums, with optional and inout operands, with an offset
    "act",
    "adam_step",
    "conv2d",
    "conv2d_wgrad",
    "dropout",
    "layernorm_grad",
    "matmul",
    "maxpool2d",
    "sum",
]


@pytest.mark.parametrize("name", SHARED)
def test_results_have_the_same_bits_for_any_number_of_threads(name, pools):
    op = registry.op(name)
    case = max(op.cases, key=lambda c: sum(np.prod(a.shape) for a in c.args.values() if a))
    attrs = {k: v for k, v in case.attrs.items() if k in op.attrs}
    ins = make_inputs(op, case, RNG(0), np.dtype(np.float32))
    for rows in (None, 1, 2, 5):
        found = []
        for pool in (pools[1], pools[2], pools[2], pools[3]):
            given = [a.copy() if n in op.inout else a for n, a in zip(op.inputs, ins, strict=True)]
            outs = outputs(launch(op, given, rows=rows, **attrs), given, pool.run)
            updated = [a for n, a in zip(op.inputs, given, strict=True) if n in op.inout]
            found.append([a.tobytes() for a in (*outs, *updated) if a is not None])
        assert found[1:] == found[:1] * 3, f"{rows} rows per range"


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 50, 99])
def test_ranges_cover_every_row_once_in_order(rows):
    x = np.zeros((50, 3), np.float32)
    ranges = launch(registry.op("add"), (x, x), rows=rows).ranges
    assert [i for lo, hi in ranges for i in range(lo, hi)] == list(range(50))


def test_ranges_depend_on_the_operands_alone_and_are_not_too_many():
    for n in (1, 100, 10_000, 1_000_000):
        x = np.zeros((n, 4), np.float32)
        assert (
            launch(registry.op("add"), (x, x)).ranges == launch(registry.op("add"), (x, x)).ranges
        )
        assert len(launch(registry.op("add"), (x, x)).ranges) <= MOST_RANGES
        assert len(launch(registry.op("sum"), (x,), axes=(0,)).ranges) <= MOST_PARTIALS


def test_partial_sums_are_added_in_the_order_of_the_ranges():
    """1 is lost beside 2²⁴ in float32: the order of the sums shows."""
    x = np.array([[2.0**24], [1], [1], [-(2.0**24)]], np.float32)
    backwards = lambda task, count: [task(i) for i in reversed(range(count))]  # noqa: E731
    assert run("sum", x, axes=(0,), rows=1) == run("sum", x, axes=(0,), rows=1, runner=backwards)
    assert run("sum", x, axes=(0,), rows=1) == np.float32(2**24 + 1) - np.float32(2**24) + 0


def test_operands_that_are_cut_must_agree_in_length():
    uneven = Op("uneven", lambda x, y: {"out": x}, np.add, cut={"x": 0, "y": 0, "out": 0})
    reference = registry.variant(uneven, "reference")
    with pytest.raises(ValueError, match=r"uneven: .*\[2, 3\]"):
        launch(uneven, (np.zeros(3), np.zeros(2)), variant=reference)


def test_optional_outputs_are_made_only_on_demand():
    op, x = registry.op("maxpool2d"), RNG(0).standard_normal((2, 6, 6, 3)).astype(np.float32)
    attrs = {"window": (2, 2), "stride": (2, 2), "padding": ((0, 0), (0, 0))}
    with_index = outputs(launch(op, (x,), **attrs), (x,))
    without = outputs(launch(op, (x,), optional=False, **attrs), (x,))
    assert without[1] is None
    assert with_index[1].shape == (2, 3, 3, 3)
    assert np.array_equal(without[0], with_index[0])


def test_a_launch_runs_any_number_of_times_on_arrays_of_its_signature():
    x, y = (RNG(i).standard_normal((5, 3)).astype(np.float32) for i in (0, 1))
    ready = launch(registry.op("add"), (x, y))
    for a, b in ((x, y), (y, y), (x, x)):
        assert np.array_equal(outputs(ready, (a, b))[0], a + b)


# --- arrays of every kind -------------------------------------------------------------------------


def unaligned(array):
    """The same values one byte off any boundary."""
    raw = np.zeros(array.nbytes + 1, np.uint8)
    moved = raw[1:].view(array.dtype).reshape(array.shape)
    moved[...] = array
    assert not moved.flags.aligned
    return moved


def read_only(array):
    copy = array.copy()
    copy.flags.writeable = False
    return copy


FORMS = {
    "plain": lambda a: a,
    "transposed in memory": np.asfortranarray,
    "every other element": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "negative strides": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "unaligned": unaligned,
    "read-only": read_only,
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "a column broadcast": lambda a: np.broadcast_to(a[:, :1], a.shape),
}


@pytest.mark.parametrize("rows", [None, 2])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_operands_may_lie_in_memory_as_they_like(form, dtype, rows, pools):
    a, b = (RNG(i).standard_normal((9, 9)).astype(dtype) for i in (0, 1))
    x, y = FORMS[form](a), FORMS[form](b)
    plain = [np.array(v, dtype=dtype) for v in (x, y)]
    before = [np.array(v) for v in (x, y)]
    for name in ("matmul", "add"):
        got = run(name, x, y, rows=rows, runner=pools[2].run)
        assert np.array_equal(got, run(name, *plain, rows=rows))
        assert got.dtype == dtype
    for given, kept in zip((x, y), before, strict=True):
        assert np.array_equal(given, kept)


@pytest.mark.parametrize("name", ["add", "matmul"])
def test_an_operand_may_be_given_twice(name):
    x = RNG(0).standard_normal((6, 6)).astype(np.float32)
    assert np.array_equal(run(name, x, x), run(name, x, x.copy()))


@pytest.mark.parametrize(
    ("name", "shapes", "attrs", "shape"),
    [
        ("add", [(0, 4), (0, 4)], {}, (0, 4)),
        ("add", [(), ()], {}, ()),
        ("matmul", [(0, 4), (4, 3)], {}, (0, 3)),
        ("matmul", [(2, 0), (0, 3)], {}, (2, 3)),
        ("matmul", [(1, 1), (1, 1)], {}, (1, 1)),
        ("sum", [(0, 4)], {"axes": (0,)}, (4,)),
        ("sum", [(3, 0)], {"axes": (1,)}, (3,)),
    ],
)
def test_empty_operands_give_empty_results_or_zeros(name, shapes, attrs, shape, pools):
    ins = [np.ones(s, np.float32) for s in shapes]
    got = run(name, *ins, runner=pools[2].run, **attrs)
    empty = any(0 in s for s in shapes)
    assert got.shape == shape
    assert np.array_equal(got, np.full(shape, 0 if empty else len(shapes) if name == "add" else 1))


def test_infer_refuses_operands_that_do_not_fit_and_says_which():
    with pytest.raises(ValueError, match="2×3 and 4×5"):
        run("matmul", np.zeros((2, 3)), np.zeros((4, 5)))
    with pytest.raises(ValueError, match=r"\(3,\)"):
        run("matmul", np.zeros((2, 3)), np.zeros((3, 5)), np.zeros(3))
    with pytest.raises(ValueError, match="unknown activation 'relv'"):
        run("act", np.zeros(3), act="relv")
