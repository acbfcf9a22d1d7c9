"""Shapes from the command line: sizes by letter, labels, sweeps, and what is wrong with them."""

import inspect

import numpy as np
import pytest
from dlcli_kernels import registry
from dlcli_kernels.bench import attributes, inputs
from dlcli_kernels.bench_sizes import BadShape, Shape, defaults, shapes_of, swept
from dlcli_kernels.check_compare import specs_of

MATMUL = registry.op("matmul")
SIZED = [op for op in registry.ops().values() if op.sized is not None]


def shape_of(case):
    return {name: arg.shape for name, arg in case.args.items()}


def test_sizes_become_a_case_and_the_others_have_defaults():
    (shape,) = shapes_of(MATMUL, ["M=3,K=5"])
    assert shape_of(shape.case) == {"a": (3, 5), "b": (5, defaults(MATMUL)["N"])}
    assert shape.sizes == {"M": 3, "K": 5}


def test_without_any_shape_the_ops_own_are_taken():
    assert shapes_of(MATMUL) == [Shape(case) for case in MATMUL.bench]


def test_a_part_of_a_label_names_the_ops_own_shapes():
    assert [s.case.name for s in shapes_of(MATMUL, ["dense"])] == [
        "dense 576→64",
        "dense 576→64 dw",
    ]
    assert [s.case.name for s in shapes_of(MATMUL, ["dense 576→64"])] == ["dense 576→64"]


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("M=256..8192*2", [256, 512, 1024, 2048, 4096, 8192]),
        ("M=3..100*10", [3, 30]),
        ("M=1..9+2", [1, 3, 5, 7, 9]),
        ("M=7..7*2", [7]),
        ("M=5,3,9", [5, 3, 9]),
        ("M=12", [12]),
    ],
)
def test_a_sweep_is_a_series_of_sizes(text, points):
    assert swept(MATMUL, text) == [{"M": point} for point in points]


def test_a_sweep_may_vary_letters_as_one_and_the_rest_is_given_by_sizes():
    shapes = shapes_of(MATMUL, ["K=7"], "M,N=2..4*2")
    assert [shape_of(s.case)["a"] for s in shapes] == [(2, 7), (4, 7)]
    assert [s.sizes for s in shapes] == [{"M": 2, "N": 2}, {"M": 4, "N": 4}]


@pytest.mark.parametrize(
    ("given", "sweep", "said"),
    [
        (["m=4"], "", "no size 'm'"),
        (["M="], "", "'' in 'M=' is not allowed"),
        (["M=0"], "", "'0' in 'M=0'"),
        (["M=-4"], "", "'-4'"),
        (["M=9999999999999999"], "", "not allowed"),
        (["M=4,N"], "", "'N' is no size"),
        (["nowhere"], "", "no shape 'nowhere'"),
        ([], "M", "no sweep"),
        ([], "M=8..2*2", "no end"),
        ([], "M=1..8*1", "no end"),
        ([], "M=1..1000+1", "1000 points"),
        ([], "Q=1..8*2", "no size 'Q'"),
        (["dense"], "M=1..8*2", "a sweep varies sizes"),
    ],
)
def test_what_is_no_shape_is_said(given, sweep, said):
    with pytest.raises(BadShape) as caught:
        shapes_of(MATMUL, given, sweep)
    assert said in str(caught.value)
    assert caught.value.why or caught.value.known


def test_an_op_without_sizes_says_which_shapes_it_has():
    plain = next(op for op in registry.ops().values() if op.sized is None and op.bench)
    with pytest.raises(BadShape, match="takes no sizes") as caught:
        shapes_of(plain, ["N=4"])
    assert plain.bench[0].label() in caught.value.why


@pytest.mark.parametrize("op", SIZED, ids=lambda op: op.name)
def test_every_sized_op_makes_operands_that_fit_it(op):
    small = dict.fromkeys(inspect.signature(op.sized).parameters, 4)
    (shape,) = shapes_of(op, [",".join(f"{k}={v}" for k, v in small.items())])
    ins = inputs(op, shape, "float32", 0)
    flops, moved = op.work(specs_of(ins), attributes(op, shape))
    assert flops >= 0
    assert moved >= max(a.nbytes for a in ins if a is not None)


def work(op, **sizes):
    (shape,) = shapes_of(op, [",".join(f"{k}={v}" for k, v in sizes.items())])
    return op.work(specs_of(inputs(op, shape, "float32", 0)), attributes(op, shape))


def test_a_product_of_matrices_counts_multiplications_additions_and_each_operand_once():
    assert work(MATMUL, M=2, N=3, K=5) == (2 * 2 * 3 * 5, 4 * (2 * 5 + 5 * 3 + 2 * 3))


def test_a_convolution_and_both_gradients_cost_the_same():
    sizes = {"N": 2, "H": 6, "W": 5, "C": 3, "K": 4, "R": 3, "S": 3}
    expected = 2 * 2 * 6 * 5 * 4 * 3 * 3 * 3
    for name in ("conv2d", "conv2d_dgrad", "conv2d_wgrad"):
        assert work(registry.op(name), **sizes)[0] == expected


def test_a_gradient_through_a_pooled_map_costs_a_quarter():
    sizes = {"N": 2, "H": 8, "W": 8, "C": 3, "K": 4, "R": 3, "S": 3}
    whole = work(registry.op("conv2d"), **sizes)[0]
    assert work(registry.op("conv2d_pool"), **sizes)[0] == whole
    assert work(registry.op("conv2d_pool_wgrad"), **sizes)[0] == whole / 4


def test_what_is_updated_in_place_is_read_and_written():
    assert work(registry.op("add_to"), N=100) == (0, 3 * 400)
    assert work(registry.op("assign"), N=100) == (0, 2 * 400)
    assert work(registry.op("fill"), N=100) == (0, 400)


def test_operands_that_are_not_the_kernels_choice_are_contiguous():
    (shape,) = shapes_of(MATMUL, ["M=2,N=2,K=2"])
    assert all(a.flags.c_contiguous for a in inputs(MATMUL, shape, "float64", 0) if a is not None)
    assert inputs(MATMUL, shape, "float64", 0)[0].dtype == np.float64
