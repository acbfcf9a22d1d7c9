"""Every variant of every op against its float64 reference, and every gradient against differences
of the reference.
"""

import pytest
from dlcli_kernels import check, registry

OPS = registry.ops()
VARIANTS = [
    pytest.param(op, variant, id=f"{op.name}-{variant.name}")
    for op in OPS.values()
    for variant in [*registry.variants(op, "cpu"), registry.variant(op, "reference")]
]


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(("op", "variant"), VARIANTS)
def test_a_variant_equals_its_reference_in_every_case(op, variant, precision):
    results = [
        check.verify(op, variant, case, precision, seed=i) for i, case in enumerate(op.cases)
    ]
    failed = [str(r) for r in results if not r.ok]
    assert not failed, "\n".join(failed)
    assert any(r.reason != "not supported" for r in results)


@pytest.mark.parametrize("op", [op for op in OPS.values() if op.grad], ids=lambda op: op.name)
def test_a_gradient_equals_central_differences_of_the_reference(op):
    smooth = [case for case in op.cases if case.smooth]
    assert smooth
    for i, case in enumerate(smooth):
        assert check.gradient_error(op, case, seed=i) < 1e-6, case.label()


def test_every_op_has_cases_and_a_reasoned_tolerance():
    for op in OPS.values():
        assert op.cases, op.name
        assert all(op.tolerance[p].why for p in ("float32", "float64")), op.name


@pytest.mark.parametrize("op", [op for op in OPS.values() if op.decompose], ids=lambda op: op.name)
def test_a_fused_op_equals_its_decomposition_into_plain_ops(op):
    for i, case in enumerate(op.cases):
        assert check.decompose_error(op, case, seed=i) < 1e-12, case.label()
