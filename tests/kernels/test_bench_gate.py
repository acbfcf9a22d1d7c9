"""The gate before a time: outputs compared whole, or in rows that stand for the rest."""

import numpy as np
import pytest
from dlcli_kernels import registry
from dlcli_kernels.bench import attributes, inputs
from dlcli_kernels.bench_gate import Failed, Gate
from dlcli_kernels.bench_sizes import shapes_of
from dlcli_kernels.check_compare import specs_of


def gate_and_inputs(name, sizes, affordable=1e9, seed=3):
    op = registry.op(name)
    (shape,) = shapes_of(op, [sizes])
    ins, attrs = inputs(op, shape, "float32", seed), attributes(op, shape)
    tol = op.tolerance["float32"]
    return Gate(op, specs_of(ins), attrs, tol, seed=seed, affordable=affordable), ins, op, attrs


def outputs(gate, ins, op, attrs):
    found = op.reference(*(None if a is None else a.astype(np.float64) for a in ins), **attrs)
    found = found if isinstance(found, tuple) else (found,)
    return {n: f.astype(np.float32) for n, f in zip(gate.names, found, strict=True)}


def test_a_small_case_is_compared_whole():
    gate, ins, op, attrs = gate_and_inputs("matmul", "M=9,N=4,K=5")
    assert gate.coverage() == "all"
    assert gate.compare(outputs(gate, ins, op, attrs), gate.expected(ins)) < 1


@pytest.mark.parametrize(
    ("name", "sizes", "extent"),
    [
        ("matmul", "M=40,N=8,K=8", 40),
        ("matmul", "M=8,N=80,K=8", 80),
        ("conv2d", "N=12,H=4,W=4,C=2,K=3", 12),
        ("conv2d_wgrad", "N=3,H=4,W=4,C=2,K=20", 20),
        ("conv2d_pool_wgrad", "N=3,H=4,W=4,C=2,K=20", 20),
        ("softmax", "N=30,K=6", 30),
    ],
)
def test_a_large_case_is_compared_in_some_rows(name, sizes, extent):
    whole, ins, op, attrs = gate_and_inputs(name, sizes)
    flops, moved = op.work(specs_of(ins), attrs)
    affordable = max(flops, 30 * moved / 4) / 4
    gate, *_ = gate_and_inputs(name, sizes, affordable)
    assert gate.coverage().endswith(f"of {extent} rows")
    assert {0, extent - 1} <= set(gate.rows)
    assert gate.rows.size < extent
    found = outputs(whole, ins, op, attrs)
    assert gate.compare(found, gate.expected(ins)) < 1
    for array in found.values():
        array[...] += 1
    with pytest.raises(Failed):
        gate.compare(found, gate.expected(ins))


def test_a_wrong_last_row_is_always_seen():
    gate, ins, op, attrs = gate_and_inputs("matmul", "M=50,N=8,K=8", affordable=500)
    found = outputs(gate, ins, op, attrs)
    found["out"][-1, -1] += 1
    with pytest.raises(Failed, match="out"):
        gate.compare(found, gate.expected(ins))


def test_a_sample_of_what_depends_on_its_place_begins_at_the_first():
    op = registry.op("dropout")
    case = op.bench[0]
    from dlcli_kernels.bench_sizes import Shape

    ins = inputs(op, Shape(case), "float32", 0)
    attrs = attributes(op, Shape(case))
    tol = op.tolerance["float32"]
    gate = Gate(op, specs_of(ins), attrs, tol, seed=0, affordable=1e4)
    assert np.array_equal(gate.rows, np.arange(gate.rows.size))
    assert gate.expected(ins)["out"].shape[0] == gate.rows.size


def test_a_sum_over_everything_is_compared_whole_whatever_it_costs():
    gate, ins, op, attrs = gate_and_inputs("sum", "N=1000", affordable=10)
    assert gate.coverage() == "all"
    assert gate.compare(outputs(gate, ins, op, attrs), gate.expected(ins)) < 1


def test_a_weight_gradient_of_several_groups_is_not_cut_by_its_filters():
    from dlcli_kernels.conv.costs import sample_wgrad

    assert sample_wgrad(groups=1) is not None
    assert sample_wgrad(groups=2) is None


def test_operands_updated_in_place_are_compared_too():
    gate, ins, _, _ = gate_and_inputs("add_to", "N=8")
    want = gate.expected(ins)
    assert np.allclose(want["target"], ins[0].astype(np.float64) + ins[1])
    with pytest.raises(Failed, match="target"):
        gate.compare({"target": ins[0]}, want)


def test_what_is_not_written_shows_outside_of_the_sample_too():
    gate, ins, op, attrs = gate_and_inputs("matmul", "M=400,N=8,K=8", affordable=2000)
    found = outputs(gate, ins, op, attrs)
    missed = next(i for i in range(400) if i not in gate.rows)
    found["out"][missed, 3] = np.nan
    with pytest.raises(Failed, match=rf"out\[\({missed}, 3\)\] = nan, 1 of 3200"):
        gate.compare(found, gate.expected(ins))


def test_a_sample_of_very_many_rows_is_bounded_and_has_both_ends():
    gate, *_ = gate_and_inputs("add", "N=9000000", affordable=3e8)
    assert 1000 < gate.rows.size <= 1 << 17
    ends = [*range(512), *range(9_000_000 - 512, 9_000_000)]
    assert np.isin(ends, gate.rows).all()
