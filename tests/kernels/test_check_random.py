"""Random cases: other extents, of the same op, that fit each other."""

import numpy as np
import pytest
from dlcli_kernels import check, registry
from dlcli_kernels.check_random import MOST_ELEMENTS, MOST_EXTENT, random_case
from dlcli_kernels.spec import Op, Tol, case, integers, normal

OPS = registry.ops()


def drawn(op, count=6, seed=5):
    rng = np.random.default_rng(seed)
    return [random_case(op, rng) for _ in range(count)]


@pytest.mark.parametrize("op", OPS.values(), ids=lambda op: op.name)
def test_the_reference_of_every_op_takes_its_random_cases(op):
    reference = registry.variant(op, "reference")
    results = [check.verify(op, reference, c, "float64", seed=i) for i, c in enumerate(drawn(op))]
    assert [str(r) for r in results if not r.ok] == []


def test_most_cases_of_a_product_have_new_extents():
    cases = drawn(OPS["matmul"], 40)
    own = {c.label() for c in OPS["matmul"].cases}
    new = [c for c in cases if c.label() not in own]
    assert len({c.label() for c in new}) > 20
    assert any("resized" in c.name for c in new)
    sizes = {extent for c in new for arg in c.args.values() for extent in arg.shape}
    assert max(sizes) > MOST_EXTENT // 2


def test_the_same_seed_draws_the_same_cases():
    labels = [[c.label() for c in drawn(OPS["conv2d"], seed=7)] for _ in range(2)]
    assert labels[0] == labels[1]


def test_what_integers_index_keeps_its_extent():
    def infer(x, y):
        return {"out": y}

    labels = case(x=normal(23, 10), y=integers(0, 10, 23))
    op = Op("labelled", infer, None, tolerance={"float32": Tol(0, 0, "-")}, cases=[labels])
    for found in drawn(op, 20):
        rows, classes = found.args["x"].shape
        assert classes == 10
        assert found.args["y"].shape == (rows,)


def test_a_case_that_makes_its_operands_keeps_its_extents():
    op = OPS["softmax_grad"]
    assert {c.label() for c in drawn(op)} <= {c.label() for c in op.cases}


def test_no_operand_gets_too_large():
    for op in (OPS["conv2d"], OPS["matmul"], OPS["sum"]):
        for found in drawn(op, 20):
            if "resized" in found.name:
                sizes = [np.prod(arg.shape) for arg in found.args.values()]
                assert max(sizes) <= MOST_ELEMENTS
