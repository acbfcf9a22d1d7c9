"""The readable CUDA tier without a GPU: verified in Numba's simulator, broken copies rejected, and
compiled for a GPU by the code path that a launch takes.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from dlcli_kernels import registry
from dlcli_kernels.check import make_inputs
from dlcli_kernels.check_compare import specs_of
from dlcli_kernels.elementwise.activations import EPILOGUES
from dlcli_kernels.launch import Launch
from dlcli_kernels.raw import LaunchError
from filelock import FileLock

pytestmark = pytest.mark.simulator
ROOT = Path(__file__).resolve().parents[2]


def variants():
    """(op, variant) of every kernel in Numba; none where numba-cuda is missing."""
    return [
        (op.name, variant.name)
        for op in registry.ops().values()
        for variant in registry.variants(op, "cuda")
        if variant.name.startswith("cuda_numba") and variant.module is not None
    ]


# --- in the simulator -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """What the program `numba_simulator.py` reports: it runs once, whichever workers ask."""
    pytest.importorskip("numba_cuda")
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of all workers of this run
    report = folder / "simulated.json"
    with FileLock(folder / "simulated.lock"):
        if not report.exists():
            report.write_text(run_simulator())
    return json.loads(report.read_text())


def run_simulator():
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "kernels" / "numba_simulator.py")],
        env={
            **os.environ,
            "NUMBA_ENABLE_CUDASIM": "1",
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "kernels"))),
        },
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_every_kernel_in_numba_agrees_with_its_reference(simulated):
    assert {op for op, *_ in simulated["verified"]} == {op for op, _ in variants()}
    assert [" ".join(found) for found in simulated["verified"] if found[3]] == []


def test_a_broken_copy_of_a_kernel_is_rejected(simulated):
    assert len(simulated["mutants"]) > 10
    assert [mutant for mutant, reason in simulated["mutants"].items() if not reason] == []


@pytest.mark.parametrize(
    ("mutant", "reason"),
    [
        ("matmul with a barrier for some", r"cuda_numba_tiled\.py:\d+ and"),
        ("matmul with a barrier for some", "a divergent barrier"),
        ("matmul that reads beyond the last row", r"cuda_numba_tiled\.py:\d+: IndexError"),
        ("matmul without its first barrier", "nan"),
    ],
)
def test_the_reason_says_what_and_where(simulated, mutant, reason):
    assert re.search(reason, simulated["mutants"][mutant])


# --- compiled for a GPU ---------------------------------------------------------------------------


@pytest.fixture
def compiled(monkeypatch):
    """The PTX of every kernel that a call of a variant launches, for compute capability 9.0."""
    pytest.importorskip("numba_cuda")
    pathfinder = pytest.importorskip("cuda.pathfinder")
    try:
        pathfinder.load_nvidia_dynamic_lib("nvvm")
    except pathfinder.DynamicLibNotFoundError:
        pytest.skip("libnvvm, which compiles what Numba makes, is not installed")
    from dlcli_kernels import cuda_numba
    from numba import cuda
    from numba.cuda import dispatcher, types
    from numba.cuda.typing.typeof import typeof

    device = SimpleNamespace(compute_capability=(9, 0))
    monkeypatch.setattr(dispatcher, "get_current_device", lambda: device)

    def compile_for(function, signature, **options):
        return cuda.compile_ptx(function.py_func, signature, cc=(9, 0), **options)[0]

    def call(name, variant, case, precision):
        op, found = registry.op(name), []

        def record(kernel, grid, block, *args):
            assert 0 < np.prod(block) <= 1024
            found.append(compile_for(kernel, types.void(*map(typeof, args))))

        monkeypatch.setattr(cuda_numba, "launch", record)
        ins = make_inputs(op, case, np.random.default_rng(0), np.dtype(precision))
        attrs = {k: v for k, v in case.attrs.items() if k in op.attrs}
        launch = Launch(op, registry.variant(op, variant), specs_of(ins), attrs)
        launch.run_whole(launch.allocate(empty), ins, empty)
        return found

    return SimpleNamespace(
        call=call,
        device=lambda function, real: compile_for(
            function, getattr(types, real)(getattr(types, real)), device=True
        ),
    )


def empty(spec):
    return np.empty(spec.shape, spec.dtype)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(("op", "variant"), variants())
def test_a_kernel_compiles_and_computes_in_registers_in_its_own_precision(
    compiled, op, variant, precision
):
    for ptx in compiled.call(op, variant, registry.op(op).cases[1], precision):
        assert "__local_depot" not in ptx  # arrays of a thread that are no registers
        if precision == "float32":
            assert ".f64" not in ptx


@pytest.mark.parametrize("op", ["matmul", "conv2d", "conv2d_dgrad", "conv2d_wgrad"])
def test_the_inner_loop_of_a_product_is_unrolled_and_reads_128_bits(compiled, op):
    variant, own = ("cuda_numba_tiled", 8) if op == "matmul" else ("cuda_numba_direct", 4)
    ptx = compiled.call(op, variant, registry.op(op).cases[1], "float32")[0]
    assert "ld.shared.f32" not in ptx
    assert ptx.count("ld.shared.v4.f32") * 2 * own == ptx.count("fma.rn.f32")


@pytest.mark.parametrize("act", sorted(EPILOGUES))
def test_an_activation_compiles_without_double_precision(compiled, act):
    from dlcli_kernels.cuda_numba import activation

    ptx = compiled.device(activation(act, np.float32), "float32")
    assert ".f64" not in ptx


def test_arrays_of_the_cpu_are_refused_outside_the_simulator():
    pytest.importorskip("numba_cuda")
    a = np.ones((2, 2), np.float32)
    with pytest.raises(LaunchError, match="need arrays of a GPU"):
        registry.variant(registry.op("matmul"), "cuda_numba_tiled").run(a, a, a, None)
