"""What kernels use: all of ours within their budgets, and the machinery that says so."""

import re
from pathlib import Path
from types import ModuleType

import pytest
from dlcli_kernels import cuda_budget, cuda_compile, registry
from dlcli_kernels.cuda_budget import HARDWARE, Recorder, Row
from dlcli_kernels.raw import Source, running_on
from dlcli_kernels.registry import Variant

FAMILIES = cuda_budget.families()
VARIANTS = [(family, name) for family, names in FAMILIES.items() for name in names]
needs_nvrtc = [
    pytest.mark.nvrtc,
    pytest.mark.skipif(bool(cuda_compile.problem()), reason=cuda_compile.problem()),
]
TOY = """
#ifndef TILE
#define TILE 1
#endif
extern "C" __global__ void toy(float* out, const float* a, int n) {
    __shared__ float s[TILE * 64];
    s[threadIdx.x] = a[threadIdx.x];
    __syncthreads();
    out[threadIdx.x] = s[n];
}
"""


@pytest.mark.nvrtc
@pytest.mark.skipif(bool(cuda_compile.problem()), reason=cuda_compile.problem())
@pytest.mark.parametrize(("family", "variant"), VARIANTS, ids=lambda name: name)
def test_every_raw_kernel_compiles_for_every_architecture_within_its_budget(family, variant):
    rows = cuda_budget.measure(family, variant)
    assert rows, "no case launches a kernel"
    budget = cuda_budget.read(family)
    same = budget["nvrtc"] == cuda_budget.compiler()
    limits = budget["variants"].get(variant, {})
    assert cuda_budget.excesses(family, rows, limits, same) == []


def test_budgets_are_those_of_the_compiler_that_the_tests_install():
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    (pinned,) = re.findall(r'"nvidia-cuda-nvrtc==(\d+\.\d+)\.\*"', project)
    for family in FAMILIES:
        budget = cuda_budget.read(family)
        assert budget["nvrtc"] == pinned
        assert set(budget["variants"]) == set(FAMILIES[family])


def toy_variant(folder, archs=("sm_80", "sm_90", "sm_100")):
    """A variant of matmul whose kernel depends on the shapes and on the device."""
    (folder / "cuda_raw_toy.cu").write_text(TOY)
    source = Source("", "cuda_raw_toy.cu", archs, str(folder))
    module = ModuleType("cuda_raw_toy")

    def supports(op, a, b, bias=None, **attrs):
        return a.dtype == "float32" and bias is None

    def matmul(out, a, b, bias, *, ta=False, tb=False, act=None):
        tile = 2 if out.shape[0] > 500 else 1
        source.kernel("toy", TILE=tile)((out.size, 1), 32 * tile, out, a, 0, shared=64 * tile)

    vars(module).update(SOURCE=source, supports=supports, matmul=matmul)
    return Variant(registry.op("matmul"), "cuda_raw_toy", module)


@pytest.fixture
def toy(tmp_path):
    variant = toy_variant(tmp_path)
    registry.add(variant)
    yield variant
    registry.forget(variant)


def test_host_code_shows_every_kernel_that_cases_and_benchmarks_launch(toy):
    used = cuda_budget.kernels_of(toy.op, toy, "sm_90")
    labels = {kernel.label(): how for kernel, how in used.items()}
    assert labels == {"toy[TILE=1]": (32, 64), "toy[TILE=2]": (64, 128)}


def test_the_largest_block_and_the_most_shared_memory_of_a_kernel_count(tmp_path):
    kernel = toy_variant(tmp_path).module.SOURCE.kernel("toy")
    with running_on(Recorder("sm_90")) as recorder:
        kernel(1, 64, None, shared=4096)
        kernel(1, (32, 8), None, shared=0)
        kernel((0, 3), 1024, None, shared=99999)  # an empty grid launches nothing
    assert recorder.used == {kernel: (256, 4096)}


def test_a_recorder_shows_host_code_the_device_that_it_stands_for():
    assert Recorder("sm_80").multiprocessors == 108
    assert Recorder("sm_90").multiprocessors == 132
    assert Recorder("sm_90").arch == "sm_90"


class TestMeasuring:
    pytestmark = needs_nvrtc

    def test_each_kernel_has_a_row_for_each_architecture(self, toy):
        rows = cuda_budget.measure("matmul", "cuda_raw_toy")
        assert [(row.kernel, row.arch) for row in rows] == [
            (kernel, arch) for kernel in ("toy[TILE=1]", "toy[TILE=2]") for arch in HARDWARE
        ]
        assert {row.shared for row in rows} == {256 + 64, 512 + 128}  # static and dynamic
        assert all(8 <= row.registers <= 24 for row in rows)

    def test_its_own_budget_allows_it_and_any_growth_is_named(self, toy):
        rows = cuda_budget.measure("matmul", "cuda_raw_toy")
        budget = cuda_budget.budget_of(rows)
        assert cuda_budget.excesses("matmul", rows, budget, True) == []
        for field in cuda_budget.FIELDS:
            less = {k: {**v, field: v[field] - 1} for k, v in budget.items()}
            found = cuda_budget.excesses("matmul", rows, less, True)
            assert len(found) == 2
            assert f"toy[TILE=1] uses {budget['toy[TILE=1]'][field]} of {field}" in found[0]
            assert found[0].endswith("python bench/budget.py --write matmul")

    def test_a_variant_for_hopper_alone_has_rows_for_hopper_alone(self, tmp_path):
        variant = toy_variant(tmp_path, archs=("sm_90a",))
        registry.add(variant)
        try:
            rows = cuda_budget.measure("matmul", "cuda_raw_toy")
        finally:
            registry.forget(variant)
        assert {row.arch for row in rows} == {"sm_90a"}


def row(**given):
    how = {"threads": 256, "registers": 32, "spills": 0, "stack": 0, "shared": 0, **given}
    return Row("cuda_raw_toy", "toy", how.pop("arch", "sm_90"), **how)


@pytest.mark.parametrize(
    ("how", "blocks", "occupancy"),
    [
        ({}, 8, 1.0),
        ({"registers": 128}, 2, 0.25),
        ({"registers": 129}, 1, 0.125),  # handed out in eights: 136
        ({"registers": 255, "threads": 128}, 2, 0.125),
        ({"threads": 1024, "registers": 64}, 1, 0.5),
        ({"threads": 1024, "registers": 65}, 0, 0.0),
        ({"threads": 1056}, 0, 0.0),
        ({"threads": 32, "registers": 16}, 32, 0.5),  # no more than 32 blocks
        ({"threads": 48}, 32, 1.0),  # a started warp counts whole
        ({"shared": 100 << 10}, 2, 0.25),
        ({"shared": 100 << 10, "arch": "sm_80"}, 1, 0.125),
        ({"shared": 227 << 10, "arch": "sm_90a"}, 1, 0.125),
        ({"shared": (227 << 10) + 1}, 0, 0.0),
        ({"shared": 164 << 10, "arch": "sm_80"}, 0, 0.0),
    ],
)
def test_occupancy_follows_from_registers_threads_and_shared_memory(how, blocks, occupancy):
    assert row(**how).blocks == blocks
    assert row(**how).occupancy == occupancy


def test_what_cannot_be_launched_or_is_advised_against_is_a_fault():
    assert row().faults() == []
    (fault,) = row(threads=1024, registers=100).faults()
    assert "on sm_90: a block of 1024 threads with 100 registers each" in fault
    (fault,) = row(advice=("wgmma is serialized",)).faults()
    assert fault == "cuda_raw_toy: toy on sm_90: wgmma is serialized"


def test_kernels_without_a_budget_and_budgets_without_a_kernel_are_named():
    budget = {"gone": dict.fromkeys(cuda_budget.FIELDS, 99)}
    found = cuda_budget.excesses("matmul", [row()], budget, True)
    assert [why.split(";")[0] for why in found] == [
        "toy has no budget",
        "gone has a budget and is launched no more",
    ]


def test_registers_of_another_compiler_are_not_compared_but_spills_are():
    budget = {"toy": {"registers": 30, "spills": 0, "stack": 0, "shared": 0}}
    assert cuda_budget.excesses("matmul", [row(registers=32, stack=8)], budget, False) == []
    (found,) = cuda_budget.excesses("matmul", [row(spills=4)], budget, False)
    assert "toy uses 4 of spills, its budget is 0" in found


def test_the_worst_architecture_makes_the_budget():
    rows = [row(registers=40), row(registers=32, spills=8, arch="sm_80")]
    assert cuda_budget.budget_of(rows) == {
        "toy": {"registers": 40, "spills": 8, "stack": 0, "shared": 0}
    }
