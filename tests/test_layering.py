"""Who may import whom: every import of the sources, also inside functions, is in this table.

The edges are read from the syntax trees; nothing is imported for it. What `dlcli --help` loads is
looked up in a process of its own.
"""

import ast
import json
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE_ROOTS = (ROOT, ROOT / "kernels")
PACKAGES = {"dlcli": ROOT / "dlcli", "dlcli_kernels": ROOT / "kernels" / "dlcli_kernels"}
PROJECT = {*PACKAGES, "tests", "bench"}

# Layers by the pattern of their files, the first that fits; what each may import of the project
# (by the first words of a module's name), and of third parties.
DEVICES = {"cupy", "cuda", "ml_dtypes"}
COMPUTED = {"numpy", "numba", "llvmlite", "threadpoolctl", "platformdirs", *DEVICES}
EVERYTHING = {"dlcli", "dlcli_kernels"}
LAYERS = {
    "dlcli_kernels/*/cpu_*.py": ({"dlcli_kernels"}, COMPUTED),
    "dlcli_kernels/*/cuda_*.py": ({"dlcli_kernels"}, COMPUTED),
    "dlcli_kernels/cpu*.py": ({"dlcli_kernels"}, COMPUTED),
    "dlcli_kernels/cuda*.py": ({"dlcli_kernels"}, COMPUTED),
    "dlcli_kernels/cache.py": ({"dlcli_kernels"}, {"platformdirs"}),
    "dlcli_kernels/timing.py": ({"dlcli_kernels"}, {"numpy", "cupy"}),
    "dlcli_kernels/bench_vendor.py": (
        {"dlcli_kernels"},
        {"numpy", "cupy", "torch", "threadpoolctl"},  # whom kernels are compared with
    ),
    "dlcli_kernels/emulate/*.py": ({"dlcli_kernels"}, COMPUTED),
    "dlcli_kernels/*.py": ({"dlcli_kernels"}, {"numpy"}),
    "dlcli/__init__.py": (set(), set()),
    "dlcli/__main__.py": ({"dlcli.cli.main"}, set()),
    "dlcli/errors.py": (set(), set()),
    "dlcli/engine/device.py": (
        {"dlcli.engine", "dlcli.errors", "dlcli_kernels"},
        {"numpy", "cupy"},
    ),
    "dlcli/engine/*.py": ({"dlcli.engine", "dlcli.errors", "dlcli_kernels"}, {"numpy"}),
    "dlcli/nn/*.py": (
        {"dlcli.nn", "dlcli.engine", "dlcli.errors", "dlcli_kernels.philox"},
        {"numpy"},
    ),
    "dlcli/optim.py": ({"dlcli.engine", "dlcli.errors"}, {"numpy"}),
    "dlcli/schedule.py": ({"dlcli.errors"}, {"numpy"}),
    "dlcli/models/*.py": ({"dlcli.models", "dlcli.nn", "dlcli.engine", "dlcli.errors"}, {"numpy"}),
    "dlcli/data/*.py": (
        {"dlcli.data", "dlcli.errors", "dlcli_kernels.philox"},
        {"numpy", "PIL", "filelock", "platformdirs"},
    ),
    "dlcli/train/*.py": (
        {
            "dlcli.train",
            "dlcli.engine",
            "dlcli.optim",
            "dlcli.schedule",
            "dlcli.data",
            "dlcli.errors",
        },
        {"numpy", "safetensors", "filelock", "tomli_w"},
    ),
    "dlcli/cli/output.py": (EVERYTHING, {"click", "rich"}),
    "dlcli/cli/plot*.py": (EVERYTHING, {"click", "numpy", "matplotlib"}),
    "dlcli/cli/*.py": (EVERYTHING, {"click", "numpy", "PIL", "tomli_w", "platformdirs"}),
}
# Single edges beyond the table, each with its reason.
EXCEPTIONS = {
    (
        "dlcli_kernels/launch.py",
        "dlcli_kernels.cpu",
    ): "scratch memory, when a CPU kernel wants some",
    ("dlcli_kernels/check_data.py", "ml_dtypes"): "the dtype of bfloat16 operands",
    ("dlcli_kernels/cuda_numba.py", "numba_cuda"): "the home of numba.cuda; missing, it is named",
    ("dlcli/nn/functional.py", "dlcli_kernels.elementwise.activations"): "which can be fused",
    ("dlcli/optim.py", "dlcli_kernels.registry"): "the names of an optimiser op's operands",
    ("dlcli/train/language_model.py", "dlcli_kernels.philox"): "by which text is generated",
    ("dlcli/cli/doctor.py", "threadpoolctl"): "reports the BLAS that Numba calls",
}
LAST_RESORT = "dlcli/cli/main.py"  # where a bug becomes a short message and exit code 1


def sources():
    """Every source file, by its path within its source root: `dlcli/cli/main.py`."""
    for package in PACKAGES.values():
        for path in sorted(package.rglob("*.py")):
            yield path.relative_to(package.parent).as_posix(), path.read_text()


def is_module(name):
    """Whether `a.b.c` is a module or package of the project."""
    stem = Path(*name.split("."))
    return any((root / stem).is_dir() or (root / f"{stem}.py").is_file() for root in SOURCE_ROOTS)


def imports(file, text):
    """(line, full name of the module) of every import in a source file, relative ones resolved.

    `from package import name` is the module `package.name` where that is one of the project's.
    """
    package = file.removesuffix(".py").split("/")[:-1]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            for alias in node.names:
                full = f"{module}.{alias.name}"
                inside = module.split(".")[0] in PROJECT and is_module(full)
                yield node.lineno, full if inside else module


def begins_with(module, prefixes):
    return any(module == p or module.startswith(f"{p}.") for p in prefixes)


def layer_of(file):
    """(of the project, of third parties): what a file may import."""
    for pattern, allowed in LAYERS.items():
        if fnmatch(file, pattern):
            return allowed
    raise AssertionError(f"{file} belongs to no layer")


def violations(file, text):
    """Every import of a file that its layer does not allow, as `file:line imports module`."""
    ours, theirs = layer_of(file)
    package = file.split("/")[0]
    for line, module in imports(file, text):
        top = module.split(".")[0]
        if top in sys.stdlib_module_names or (file, module) in EXCEPTIONS or module == package:
            continue
        if not (begins_with(module, ours) if top in PROJECT else top in theirs):
            yield f"{file}:{line} imports {module}"


def test_every_import_is_in_the_table():
    assert [edge for file, text in sources() for edge in violations(file, text)] == []


def test_every_exception_is_needed():
    used = {(file, module) for file, text in sources() for _, module in imports(file, text)}
    assert set(EXCEPTIONS) <= used


def test_the_kernel_library_imports_numba_in_files_of_the_cpu_and_in_one_tier_of_cuda():
    """A contract, a reference and the checker need NumPy and nothing else; what a kernel of the
    readable CUDA tier needs of numba.cuda, it has from `cuda_numba.py`.
    """
    users = {
        file
        for file, text in sources()
        if file.startswith("dlcli_kernels/")
        for _, module in imports(file, text)
        if module.split(".")[0] in {"numba", "llvmlite"}
    }
    numba_cuda = {"dlcli_kernels/cuda_numba.py", "dlcli_kernels/cuda_numba_simulator.py"}
    assert users > numba_cuda
    assert all(Path(file).name.startswith("cpu") for file in users - numba_cuda)


@pytest.mark.parametrize(
    ("file", "text", "edge"),
    [
        ("dlcli/nn/linear.py", "import numba", "numba"),
        ("dlcli/nn/linear.py", "def f():\n    from ..train import loop", "dlcli.train.loop"),
        ("dlcli/nn/linear.py", "from .. import optim", "dlcli.optim"),
        ("dlcli/nn/linear.py", "import dlcli_kernels.spec", "dlcli_kernels.spec"),
        ("dlcli/data/mnist.py", "from dlcli_kernels import registry", "dlcli_kernels.registry"),
        ("dlcli/data/mnist.py", "from dlcli_kernels.registry import op", "dlcli_kernels.registry"),
        ("dlcli/train/loop.py", "from dlcli.models import cnn", "dlcli.models.cnn"),
        ("dlcli/train/loop.py", "if True:\n    import click", "click"),
        ("dlcli/cli/eval.py", "import rich.table", "rich.table"),
        ("dlcli/cli/eval.py", "from matplotlib import pyplot", "matplotlib"),
        ("dlcli/errors.py", "import dlcli.engine", "dlcli.engine"),
        ("dlcli/engine/tape.py", "import cupy", "cupy"),
        ("dlcli/engine/tape.py", "from tests import conftest", "tests.conftest"),
        ("dlcli/cli/eval.py", "import bench", "bench"),
        ("dlcli_kernels/spec.py", "import numba", "numba"),
        ("dlcli_kernels/matmul/op.py", "from ..cpu import kernel\nimport llvmlite", "llvmlite"),
        ("dlcli_kernels/matmul/cpu_blas.py", "import dlcli.errors", "dlcli.errors"),
    ],
)
def test_a_planted_edge_is_found(file, text, edge):
    assert [found.split(" imports ")[1] for found in violations(file, text)] == [edge]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (
            "dlcli/nn/linear.py",
            "import math\nimport numpy as np\nfrom ..engine.tensor import Tensor",
        ),
        ("dlcli/data/mnist.py", "from dlcli_kernels import philox\nfrom PIL import Image"),
        ("dlcli_kernels/matmul/cpu_blas.py", "from numba import njit\nfrom ..cpu import kernel"),
        ("dlcli/cli/main.py", "import click\nfrom dlcli import __version__\nfrom . import output"),
    ],
)
def test_an_edge_of_the_table_is_accepted(file, text):
    assert list(violations(file, text)) == []


def test_no_source_file_catches_everything():
    """`except:` and `except Exception:` hide what nobody thought of."""
    found = []
    for file, text in sources():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ExceptHandler):
                caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
                names = [ast.unparse(c) if c is not None else "everything" for c in caught]
                if {"everything", "Exception"} & set(names):
                    found.append(file)
    assert found in ([], [LAST_RESORT])


def test_a_handler_of_every_exception_passes_it_on():
    """`except BaseException` cleans up and raises, or carries it to another thread and says so."""
    for file, text in sources():
        lines = text.splitlines()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ExceptHandler) and "BaseException" in ast.unparse(node):
                raises = any(isinstance(n, ast.Raise) for n in ast.walk(node))
                assert raises or "#" in lines[node.lineno - 1], f"{file}:{node.lineno}"


def test_every_source_file_says_first_what_it_is():
    bare = [
        file
        for file, text in sources()
        if text.strip() and not (ast.get_docstring(ast.parse(text)) or "").strip()
    ]
    assert bare == []


def modules_loaded_by(program):
    """The top-level modules that a program has loaded when it ends."""
    program += (
        "\nimport sys, json\nprint(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    )
    paths = [str(root) for root in SOURCE_ROOTS]
    start = f"import sys\nsys.path[:0] = {paths!r}\n"
    done = subprocess.run(
        [sys.executable, "-c", start + program], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


HELP = """
import contextlib, io
from dlcli.cli.main import main
said = io.StringIO()
with contextlib.redirect_stdout(said):
    try:
        code = main(["--help"])
    except SystemExit as end:
        code = end.code
assert not code, code
assert "train" in said.getvalue()
"""


@pytest.mark.parametrize("program", ["import dlcli", HELP], ids=["import dlcli", "dlcli --help"])
def test_starting_loads_no_heavy_library(program):
    heavy = {"numpy", "numba", "scipy", "cupy", "rich", "matplotlib", "sklearn", "PIL"}
    loaded = modules_loaded_by(program)
    assert "dlcli" in loaded
    assert not heavy & loaded
