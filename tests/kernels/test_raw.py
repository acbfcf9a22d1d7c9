"""Every CUDA C++ kernel, in the emulator: all cases of its op, in every order of threads."""

import pytest
from dlcli_kernels import check, emulate, registry
from dlcli_kernels.emulate import Emulator
from dlcli_kernels.raw import running_on

pytestmark = [
    pytest.mark.emulator,
    pytest.mark.skipif(bool(emulate.problem()), reason=emulate.problem() or "-"),
]
VARIANTS = [
    (op, variant)
    for op in registry.ops().values()
    for variant in registry.variants(op, "cuda")
    if variant.name.startswith("cuda_raw_")
]


def precisions(op, variant):
    """What the variant computes in: its own word, or those for which it is preferred."""
    preferred = [p for (device, p), names in op.prefer.items() if variant.name in names]
    return (
        [variant.precision]
        if variant.precision
        else set(preferred) & set(op.tolerance) or ["float32"]
    )


@pytest.mark.parametrize(
    ("op", "variant"), VARIANTS, ids=[f"{op.name}-{variant.name}" for op, variant in VARIANTS]
)
def test_a_raw_kernel_is_right_in_every_order_of_threads(op, variant):
    emulator, verified, failures = Emulator(), 0, []
    with running_on(emulator):
        for precision in precisions(op, variant):
            for seed, case in enumerate(op.cases):
                result = check.verify(op, variant, case, precision, seed=seed)
                verified += result.reason != "not supported"
                if not result.ok:
                    failures.append(str(result))
    assert not failures, "\n".join(failures)
    assert verified >= min(3, len(op.cases)), f"it supports {verified} cases of {op.name}"
    assert emulator.launches >= verified


def test_every_op_with_a_cpu_kernel_has_a_raw_kernel_that_runs_by_default():
    without = [
        op.name
        for op in registry.ops().values()
        if not any(
            name.startswith("cuda_raw_")
            for precision in ("float32", "float64", "uint32", "int64")
            for name in op.prefer.get(("cuda", precision), ())
        )
    ]
    assert without == []
