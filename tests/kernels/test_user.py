"""Kernel files of the user's own: loaded, launched as they say, and refused with file and line."""

from importlib import resources
from types import SimpleNamespace

import numpy as np
import pytest
from dlcli_kernels import check, emulate, raw, registry, user
from dlcli_kernels.check_compare import specs_of
from dlcli_kernels.user import BadKernelFile

CUDA = """
extern "C" __global__ void __launch_bounds__(256) mine(float* out, const float* a,
        const float* b, int m, /* of rows, */ int n, int k, int act) {
    int i = blockIdx.x * BLOCK + threadIdx.x;  // extern "C" __global__ void none(int a)
    if (i >= m * n) return;
    float sum = 0;
    for (int j = 0; j < k; j++) sum += a[i / n * k + j] * b[j * n + i % n];
    out[i] = act && sum < 0 ? 0.0f : sum;
}
"""
TOML = """\
op = "matmul"
kernel = "mine"
grid = ["ceil_div(m * n, BLOCK)"]
block = ["BLOCK"]
args = ["out", "a", "b", "m", "n", "k", "act"]
supports = ["not ta and not tb", "bias is None", "act in [None, 'relu']"]

[sizes]
m = "out.shape[0]"
n = "out.shape[1]"
k = "a.shape[1]"

[constants]
BLOCK = 64
"""
PYTHON = """\
DEVICE = "cpu"

def supports(op, *ins, **attrs):
    return not attrs.get("ta")

def matmul(out, a, b, bias, *, ta=False, tb=False, act=None):
    raise ZeroDivisionError
"""


@pytest.fixture
def load(tmp_path):
    """Writes a kernel file and loads it; takes its variants back afterwards."""
    loaded = []

    def write_and_load(name, text, toml=None):
        path = tmp_path / name
        path.write_text(text)
        if toml is not None:
            path.with_suffix(".toml").write_text(toml)
        found = user.load(path)
        loaded.extend(found)
        return found

    yield write_and_load
    for variant in loaded:
        registry.forget(variant)


@pytest.fixture
def refused(load):
    """Loads a file that cannot be used, and returns what is said."""

    def expect(*arguments):
        with pytest.raises(BadKernelFile) as caught:
            load(*arguments)
        return f"{caught.value} | {caught.value.why} | {caught.value.hint}"

    return expect


def test_a_file_of_python_is_a_variant_of_every_op_that_it_names(load):
    (mine,) = load("my_product.py", PYTHON)
    assert (mine.name, mine.device, mine.op.name) == ("my_product", "cpu", "matmul")
    assert mine in registry.variants(mine.op)
    assert mine in registry.variants(mine.op, "cpu")
    assert mine not in registry.variants(mine.op, "cuda")
    assert registry.variant(mine.op, "my_product") is mine
    matrix = specs_of([np.ones((2, 2), np.float32)] * 2 + [None])
    assert mine.supports(matrix, {"ta": False})
    assert not mine.supports(matrix, {"ta": True})


def test_a_variant_that_is_taken_back_is_unknown_again(load):
    (mine,) = load("my_product.py", PYTHON)
    registry.forget(mine)
    assert mine not in registry.variants(mine.op)
    registry.add(mine)


def test_a_user_s_variant_never_runs_by_default(load):
    load("cpu_aaa.py", PYTHON)
    matrix = specs_of([np.ones((2, 2), np.float32)] * 2 + [None])
    assert registry.resolve(registry.op("matmul"), "cpu", matrix, {}).name == "cpu_blas"


def test_the_device_is_said_by_the_constant_or_the_name(load, refused):
    text = PYTHON.replace('DEVICE = "cpu"\n', "")
    assert load("cuda_mine.py", text)[0].device == "cuda"
    assert "does not say where it runs" in refused("my_product.py", text)
    assert "DEVICE is 'gpu'" in refused("mine.py", 'DEVICE = "gpu"\n' + text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\ndef matmul(:\n", "mine.py:2: "),
        ("x = 1\n\ny = z\n", "mine.py:3: NameError: name 'z' is not defined"),
        ("import cupy.nowhere\n", "mine.py:1: ModuleNotFoundError"),
        ('DEVICE = "cpu"\ndef matmull(out): ...\n', "did you mean 'matmul'?"),
        ('DEVICE = "cpu"\n', "none of its functions is named after an op"),
        (
            'DEVICE = "cpu"\n\ndef matmul(out, a, b, *, ta, tb, act): ...\n',
            "mine.py:3: matmul: too many positional arguments | "
            "it is called as matmul(out, a, b, bias, *, ta, tb, act)",
        ),
        ('DEVICE = "cpu"\ndef matmul(out, a, b, bias, *, ta): ...\n', "unexpected keyword"),
    ],
)
def test_a_file_of_python_that_cannot_be_used_is_said_with_its_line(refused, text, said):
    assert said in refused("mine.py", text)


def test_a_name_that_is_taken_another_ending_and_no_file_are_refused(load, refused, tmp_path):
    assert "has a variant 'cpu_blas' already" in refused("cpu_blas.py", PYTHON)
    load("mine.py", PYTHON)
    assert "another kernel file of this name" in refused("mine.py", PYTHON)
    assert "ends in .py or .cu" in refused("mine.txt", "")
    with pytest.raises(BadKernelFile, match="no such file"):
        user.load(tmp_path / "absent.py")
    (tmp_path / "latin.py").write_bytes(b"# \xff")
    with pytest.raises(BadKernelFile, match=r"latin\.py"):
        user.load(tmp_path / "latin.py")


# --- CUDA C++ -------------------------------------------------------------------------------------


@pytest.fixture
def launches():
    """Every launch inside, instead of being carried out."""
    calls = []
    target = SimpleNamespace(arch="sm_90", multiprocessors=1, orders=("",), launch=calls.append)
    with raw.running_on(target):
        yield calls


def product(m=33, k=7, n=20):
    return [np.zeros(s, np.float32) for s in ((m, n), (m, k), (k, n))]


def test_a_cu_file_is_launched_as_its_toml_says(load, launches):
    (mine,) = load("mine.cu", CUDA, TOML)
    out, a, b = product()
    mine.run(out, a, b, None, act="relu")
    mine.run(out, a, b, None)
    first, second = launches
    assert (first.kernel.label(), first.grid, first.block) == (
        "mine[BLOCK=64]",
        (11, 1, 1),
        (64, 1, 1),
    )
    assert first.args[0] is out
    assert first.args[3:] == (33, 20, 7, 1)
    assert second.args[3:] == (33, 20, 7, 0)
    assert mine.device == "cuda"


def test_it_takes_what_its_conditions_and_precisions_say(load, launches):
    (mine,) = load("mine.cu", CUDA, TOML)
    out, a, b = product()
    assert mine.supports(specs_of([a, b, None]), {})
    assert not mine.supports(specs_of([a, b, None]), {"act": "tanh"})
    assert not mine.supports(specs_of([a, b, np.zeros(20, np.float32)]), {})
    assert not mine.supports(specs_of([a.astype(float), b.astype(float), None]), {})


def test_the_lines_may_stand_at_the_top_of_the_cu_file(load):
    (mine,) = load("mine.cu", f"/*dlcli\n{TOML}*/\n{CUDA}")
    assert mine.op.name == "matmul"


def test_shared_memory_types_and_several_dimensions_are_passed_on(load, launches):
    toml = TOML.replace("[sizes]", 'shared = "4 * BLOCK"\ncooperative = true\n[sizes]')
    toml = toml.replace('grid = ["', 'grid = [2, "n", "').replace('"k",', '"int64(k)",')
    (mine,) = load("mine.cu", CUDA, toml)
    mine.run(*product(), None)
    (call,) = launches
    assert (call.shared, call.cooperative, call.grid) == (256, True, (2, 20, 11))
    assert isinstance(call.args[5], np.int64)


def test_a_declared_precision_is_the_variant_s(load):
    (mine,) = load("mine.cu", CUDA, 'precisions = ["tf32"]\n' + TOML)
    assert mine.precision == "tf32"
    assert mine.supports(specs_of([*product()[1:], None]), {})


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('op = "matmul"', 'op = "matmull"', "mine.toml:1: op: there is no op 'matmull' | did you"),
        ('op = "matmul"', 'op = "matmul', "mine.toml:1: "),
        ('op = "matmul"\n', "", "mine.toml: the key 'op' is missing"),
        ("block =", "blok =", "mine.toml:4: blok: there is no such key | did you mean 'block'?"),
        ('"BLOCK"]\nargs', "true]\nargs", "mine.toml:4: block: True is neither"),
        ('kernel = "mine"', 'kernel = "min"', "mine.toml:2: kernel: mine.cu has no kernel 'min'"),
        ('kernel = "mine"', "kernel = 3", "mine.toml:2: kernel: 3 is not of the kind"),
        ("m * n, BLOCK", "m * nn, BLOCK", "mine.toml:3: grid: there is no 'nn' here: did you"),
        ('"b", "m"', '"b"', "mine.toml:5: args: 6 arguments for a kernel with 7 parameters"),
        ('"a", "b"', '"a", "m"', "mine.toml:5: args: 'm' stands for 'const float* b', an array"),
        ('"k", "act"', '"k", "b"', "mine.toml:5: args: 'b' stands for 'int act', a number"),
        ('"out", "a"', '"bias", "a"', "mine.toml:5: args: the output 'out' is not among them"),
        ('grid = ["', 'grid = [1, 1, 1, "', "mine.toml:3: grid: it has 4 entries"),
        ("a.shape[1]", "a.shap[1]", "mine.toml:11: sizes.k: '.shap': did you mean 'shape'?"),
        ("BLOCK = 64", "B = 64", "mine.toml:14: constants.B: a #define is of at least two"),
        ("m = ", "act = ", "mine.toml:9: sizes.act: the name is taken"),
        ("supports", 'precisions = ["fp32"]\nsupports', "mine.toml:6: precisions: there is no"),
    ],
)
def test_a_mistake_in_the_toml_is_said_with_its_line(refused, old, new, said):
    assert old in TOML
    assert said in refused("mine.cu", CUDA, TOML.replace(old, new, 1))


def test_lines_in_the_cu_file_are_counted_from_its_top(refused):
    said = refused("mine.cu", f"\n/*dlcli\n{TOML.replace('block =', 'blok =')}*/\n{CUDA}")
    assert "mine.cu:6: blok" in said
    assert "says nowhere how it is launched" in refused("other.cu", CUDA)


def test_a_kernel_that_is_not_extern_c_is_not_found(refused):
    said = refused(
        "mine.cu", CUDA.replace('extern "C" __global__ void __', "__global__ void __"), TOML
    )
    assert 'there is no extern "C" __global__ void' in said


def test_an_expression_without_a_value_names_the_kernel_s_failure(load, launches):
    (mine,) = load("mine.cu", CUDA, TOML.replace('m = "out.shape[0]"', 'm = "out.shape[5]"'))
    with pytest.raises(ValueError, match=r"'out.shape\[5\]' has no value here"):
        mine.run(*product(), None)


# --- the templates --------------------------------------------------------------------------------

TEMPLATES = resources.files("dlcli_kernels") / "templates"
CU_FILES = sorted(f.name for f in TEMPLATES.iterdir() if f.name.endswith(".cu"))
CPU_FILES = sorted(f.name for f in TEMPLATES.iterdir() if f.name.startswith("cpu_"))


@pytest.mark.emulator
@pytest.mark.skipif(bool(emulate.problem()), reason=emulate.problem() or "-")
@pytest.mark.parametrize("name", CU_FILES)
def test_a_template_of_cuda_is_right_in_every_case(load, name):
    toml = (TEMPLATES / name.replace(".cu", ".toml")).read_text()
    (mine,) = load(f"my_{name}", (TEMPLATES / name).read_text(), toml)
    with raw.running_on(emulate.Emulator()):
        results = [check.verify(mine.op, mine, c, seed=i) for i, c in enumerate(mine.op.cases)]
    assert [str(r) for r in results if not r.ok or r.reason] == []


@pytest.mark.parametrize("name", CPU_FILES)
def test_a_template_for_the_cpu_is_right_in_every_case(load, name):
    (mine,) = load(f"my_{name}", (TEMPLATES / name).read_text())
    cases = enumerate(mine.op.cases)
    results = [check.verify(mine.op, mine, c, p, seed=i) for i, c in cases for p in ("float32",)]
    assert [str(r) for r in results if not r.ok] == []
    assert sum(not r.reason for r in results) > 5
