"""The checker itself: every deliberately broken kernel is rejected, every right one accepted."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from dlcli_kernels import check, check_data, registry
from dlcli_kernels.check_compare import choose_places
from dlcli_kernels.lockstep import lockstep
from dlcli_kernels.registry import Variant
from dlcli_kernels.spec import Op, Tol, case, normal, zeros

BROKEN = Path(__file__).parent / "broken"
EXACT = Tol(1e-6, 0.0, why="tests of the checker")


def load(path):
    """A fresh module of a file: what a kernel keeps from one test does not reach the next."""
    spec = importlib.util.spec_from_file_location(f"kernels_under_test.{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def names_of(path):
    """The ops that a file implements."""
    names = [name for name in registry.ops() if hasattr(load(path), name)]
    assert names, f"{path.name} implements no op"
    return names


def verifications(path, name):
    """The results of one op's cases, one after the other, at both precisions."""
    for precision in ("float32", "float64"):
        module = load(path)
        own = {op.name: op for op in getattr(module, "OPS", [])}
        op = own.get(name) or registry.op(name)
        variant = Variant(op, f"cpu_{path.stem}", module)
        for i, c in enumerate(op.cases):
            yield check.verify(op, variant, c, precision, seed=i)


SHOWS = {  # the part of the checker that must find it, where a wrong value alone would not
    "act_caches_by_address": "in the same arrays",
    "act_grad_gives_ties_to_the_left": "ties and zeros",
    "act_overflows": "non-finite",
    "act_spoils_the_next_range": "last first",
    "act_turns_nan_into_zero": "NaN lost",
    "act_writes_before_its_output": "out: written outside",
    "act_writes_past_its_output": "out: written outside",
    "add_ignores_its_range": "in ranges of",
    "add_runs_once": "in ranges of",
    "add_shares_a_buffer": "by turns",
    "add_shares_a_module_array": "threads share it",
    "dropout_ignores_start": "in ranges of",
    "matmul_copies_the_reference": "non-finite",
    "matmul_keeps_its_first_result": "in the same arrays",
    "matmul_reads_past_its_input": "non-finite",
    "matmul_reads_unwritten_scratch": "non-finite",
    "matmul_restores_its_input": "by turns",
    "matmul_tail_unwritten": "non-finite",
    "matmul_writes_its_input": "an input was modified",
    "matmul_writes_past_its_scratch": "scratch: written outside",
    "max_ignores_nan": "NaN lost",
    "maxpool2d_loses_nan": "NaN lost",
    "maxpool2d_takes_the_last_of_ties": "argmax",
    "sgd_step_ignores_halt": "non-finite",
    "sum_adds_to_partial_results": "non-finite",
    "sum_skips_nan": "NaN lost",
}


@pytest.mark.parametrize("path", sorted(BROKEN.glob("*.py")), ids=lambda p: p.stem)
def test_a_broken_kernel_is_rejected(path):
    shows = SHOWS.get(path.stem, "times the tolerance")
    for name in names_of(path):
        rejected = any(shows in r.reason for r in verifications(path, name) if not r.ok)
        assert rejected, f"{name}: {load(path).__doc__}"


@pytest.mark.parametrize("path", sorted(BROKEN.glob("controls/*.py")), ids=lambda p: p.stem)
def test_a_right_kernel_is_accepted(path):
    for name in names_of(path):
        assert [str(r) for r in verifications(path, name) if not r.ok] == []


def test_every_reason_that_is_expected_belongs_to_a_broken_kernel():
    assert set(SHOWS) <= {path.stem for path in BROKEN.glob("*.py")}


# --- comparing ------------------------------------------------------------------------------------


def test_an_element_passes_up_to_its_tolerance_and_not_beyond():
    tol = Tol(rtol=0.0, atol=0.1, why="a tenth of the root mean square")
    want = np.array([3.0, 4.0, 0.0, 0.0])  # root mean square 2.5
    assert check.compare("out", want + 0.2, want, tol) == pytest.approx(0.8)
    with pytest.raises(check.Failed, match=r"out\[\(1,\)\] = .*4\.3.*expected .*4\.0.*1\.2 times"):
        check.compare("out", want + np.array([0, 0.3, 0, 0]), want, tol)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 7.0])
@pytest.mark.parametrize("right", [np.nan, np.inf, -np.inf, 7.0])
def test_nan_and_infinity_must_stand_where_the_reference_has_them(right, wrong):
    got, want = np.array([1.0, wrong]), np.array([1.0, right])
    if np.array_equal(got, want, equal_nan=True):
        assert check.compare("out", got, want, EXACT) == 0
    else:
        with pytest.raises(check.Failed, match=r"out\[\(1,\)\]"):
            check.compare("out", got, want, EXACT)


def test_large_values_do_not_hide_errors_by_overflow():
    want = np.array([1e200, 1e200])
    with pytest.raises(check.Failed, match="times the tolerance"):
        check.compare("out", want * [1, 2], want, Tol(1e-6, 1e-6, why=""))


def test_a_result_of_zero_is_not_excused_by_an_expectation_of_zeros():
    with pytest.raises(check.Failed, match="times the tolerance"):
        check.compare("out", np.array([0.0, 1e-30]), np.zeros(2), Tol(1e-6, 1e-6, why=""))


def test_shapes_and_integers_are_compared_exactly():
    with pytest.raises(check.Failed, match="shape"):
        check.compare("out", np.ones((2, 1)), np.ones((1, 2)), EXACT)
    with pytest.raises(check.Failed, match=r"= 3, expected 2 \(1 of 2 differ\)"):
        check.compare("argmax", np.array([1, 3]), np.array([1, 2]), EXACT)


# --- operands -------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["C", "F", "strided", "reversed"])
@pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 3, 4)])
def test_a_layout_changes_the_strides_and_not_the_values(layout, shape):
    values = np.arange(float(np.prod(shape))).reshape(shape)
    placed = check_data.place(values, layout)
    assert np.array_equal(placed, values)
    assert not np.shares_memory(placed, values)
    contiguous = layout == "C" or (layout == "F" and len(shape) == 1)
    assert placed.flags.c_contiguous == contiguous


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8"])
@pytest.mark.parametrize("at", [-1, 0, 5, 6])
def test_a_write_beside_an_array_breaks_its_bands(dtype, at):
    guarded = check_data.Guarded((6,), np.dtype(dtype))
    guarded.raw[check_data.BAND + at] = 1
    assert guarded.intact() == (0 <= at < 6)


def test_unwritten_memory_is_nan_or_a_sentinel():
    assert np.isnan(check_data.Guarded((3,), np.dtype("float32")).array).all()
    assert (check_data.Guarded((3,), np.dtype("uint8")).array == check_data.SENTINEL).all()


def test_a_case_that_names_an_unknown_operand_is_an_error():
    add = registry.op("add")
    wrong = case(x=normal(2), y=normal(2), z=normal(2))
    with pytest.raises(ValueError, match=r"add .*\['z'\]"):
        check_data.make_inputs(add, wrong, np.random.default_rng(0), np.dtype("float32"))


def test_operands_are_drawn_anew_and_a_seed_repeats_them():
    add = registry.op("add")

    def draw(seed):
        rng = np.random.default_rng(seed)
        return check_data.make_inputs(add, add.cases[-2], rng, np.dtype("float32"))

    assert np.array_equal(draw(1), draw(1))
    assert not np.array_equal(draw(None), draw(None))


def test_what_a_variant_does_not_support_is_said_and_not_run():
    class Picky:
        @staticmethod
        def supports(op, *ins, **attrs):
            return False

    op = registry.op("add")
    result = check.verify(op, Variant(op, "cpu_picky", Picky), op.cases[0])
    assert (result.ok, result.reason) == (True, "not supported")


# --- gradients and decompositions -----------------------------------------------------------------


def infer(x, w):
    return {"out": x}


def cubic(x, w):
    return w * x**3


def cubic_op(grad, decompose=None):
    return Op("cubic", infer, cubic, grad, decompose, cases=[case(x=normal(7), w=normal(7))])


def right(call, ins, outs, douts, needed):
    return {"x": 3 * ins.w * ins.x**2 * douts.out, "w": ins.x**3 * douts.out}


def test_a_right_gradient_passes():
    op = cubic_op(right)
    assert check.gradient_error(op, op.cases[0]) < 1e-8


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda ins, dx, dw: {"x": -dx, "w": dw}, id="wrong sign"),
        pytest.param(lambda ins, dx, dw: {"x": dx, "w": dw * 1.01}, id="one per cent too large"),
        pytest.param(lambda ins, dx, dw: {"x": dx, "w": dw[::-1]}, id="reversed"),
        pytest.param(lambda ins, dx, dw: {"x": dx * (ins.x > 0), "w": dw}, id="half of it missing"),
        pytest.param(lambda ins, dx, dw: {"x": dx, "w": np.zeros(7)}, id="zero"),
    ],
)
def test_a_wrong_gradient_fails(wrong):
    def grad(call, ins, outs, douts, needed):
        dx, dw = right(call, ins, outs, douts, needed).values()
        return wrong(ins, dx, dw)

    op = cubic_op(grad)
    assert check.gradient_error(op, op.cases[0]) > 1e-3


def test_a_forgotten_gradient_and_one_of_another_shape_fail():
    def forgets(*args, **attrs):
        return {"x": right(*args)["x"]}

    def reshapes(*args, **attrs):
        return {"x": right(*args)["x"].reshape(7, 1), "w": None}

    with pytest.raises(check.Failed, match="says nothing about w"):
        check.gradient_error(cubic_op(forgets), case(x=normal(7), w=normal(7)))
    with pytest.raises(check.Failed, match="has shape"):
        check.gradient_error(cubic_op(reshapes), case(x=normal(7), w=normal(7)))


def test_a_decomposition_is_compared_with_the_reference():
    def parts(call, x, w):
        return call("mul", w, call("mul", x, call("mul", x, x)))

    def one_factor_short(call, x, w):
        return call("mul", w, call("mul", x, x))

    op, wrong = cubic_op(None, parts), cubic_op(None, one_factor_short)
    assert check.decompose_error(op, op.cases[0]) < 1e-12
    assert check.decompose_error(wrong, op.cases[0]) > 1e-3


@pytest.mark.parametrize("op", [op for op in registry.ops().values() if op.decompose], ids=repr)
def test_every_decomposition_equals_its_reference(op):
    for i, c in enumerate(op.cases):
        assert check.decompose_error(op, c, seed=i) < 1e-9, c.label()


# --- taking turns ---------------------------------------------------------------------------------


def test_two_threads_take_turns_at_every_line():
    trail = []

    def task(i):
        trail.append((i, "first"))
        trail.append((i, "second"))

    lockstep(__file__)(task, 2)
    assert trail == [(0, "first"), (1, "first"), (0, "second"), (1, "second")]


def test_taking_turns_runs_every_range_and_carries_exceptions():
    seen = []
    lockstep("no file")(seen.append, 7)
    assert sorted(seen) == list(range(7))

    def task(i):
        if i == 2:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        lockstep(__file__)(task, 5)


def test_accumulators_are_not_spoiled_with_nan():
    op = Op("accumulate", lambda x, total: {}, lambda x, total: None)
    c = case(x=normal(4), total=zeros(4))
    ins = check_data.make_inputs(op, c, np.random.default_rng(0), np.dtype("float32"))
    assert set(choose_places(op, c, np.random.default_rng(0), ins)) == {"x"}
