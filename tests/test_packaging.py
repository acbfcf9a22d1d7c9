"""What is installed is what is here: dependencies, version, command, contents; the tree's rules."""

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import dlcli

ROOT = Path(__file__).resolve().parents[1]
PROJECT = (ROOT / "pyproject.toml").read_text()
CONFIGURATION = tomllib.loads(PROJECT)
MOST_LINES = 350  # a file longer than this does more than one thing


def tracked(*suffixes):
    """The files of the project with one of these suffixes (all, with none)."""
    folders = [ROOT / name for name in ("dlcli", "kernels", "tests", "bench", ".ci")]
    files = [f for f in ROOT.iterdir() if f.is_file()]
    for folder in folders:
        files += [f for f in folder.rglob("*") if f.is_file() and "__pycache__" not in f.parts]
    return sorted(f for f in files if not suffixes or f.suffix in suffixes)


def requirements():
    """Every line of pyproject.toml that names a requirement."""
    project = CONFIGURATION["project"]
    extras = project["optional-dependencies"].values()
    return [*project["dependencies"], *(r for extra in extras for r in extra)]


@pytest.mark.parametrize("requirement", requirements())
def test_every_dependency_is_justified_in_its_line(requirement):
    lines = [line for line in PROJECT.splitlines() if f'"{requirement}"' in line]
    assert lines
    assert all(re.search(r"\s#\s*\S.{9,}", line) for line in lines), lines


def test_the_version_is_that_of_the_package():
    assert CONFIGURATION["project"]["dynamic"] == ["version"]
    assert CONFIGURATION["tool"]["hatch"]["version"]["path"] == "dlcli/__init__.py"
    assert re.fullmatch(r"\d+\.\d+\.\d+", dlcli.__version__)
    assert f"## {dlcli.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_command_calls_a_function_that_exists():
    for target in CONFIGURATION["project"]["scripts"].values():
        module, name = target.split(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_the_licence_is_the_whole_apache_2_0():
    text = (ROOT / "LICENSE").read_text()
    assert CONFIGURATION["project"]["license"] == "Apache-2.0"
    for part in ("Version 2.0, January 2004", "9. Accepting Warranty", "END OF TERMS", "APPENDIX"):
        assert part in text


def test_the_readme_has_both_set_up_commands_where_ci_looks_for_them():
    readme = (ROOT / "README.md").read_text()
    for marker, calls in (("main-command", "dlcli train cnn"), ("test-command", "pytest")):
        command = re.search(rf"<!-- {marker} -->\s*```sh\n(.*?)\n```", readme, re.DOTALL)
        assert command is not None, marker
        assert calls in command[1]
        assert "python3 -m venv" in command[1]


def test_every_package_of_the_sources_has_an_init_file_and_the_kernels_root_has_none():
    assert not (ROOT / "kernels" / "__init__.py").exists()
    for package in (ROOT / "dlcli", ROOT / "kernels" / "dlcli_kernels"):
        for folder in {f.parent for f in package.rglob("*.py")}:
            assert (folder / "__init__.py").is_file(), folder


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The names in the wheel, built without isolation from a copy of the sources."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed here; .ci/run builds and installs the wheel")
    folder = tmp_path_factory.mktemp("build")
    for name in ("dlcli", "kernels"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "out")],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    import zipfile

    (built,) = (folder / "out").glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        return set(archive.namelist())


def test_the_wheel_has_every_source_file_and_both_packages_at_its_top(wheel):
    ours = {
        f.relative_to(root).as_posix()
        for root, package in ((ROOT, "dlcli"), (ROOT / "kernels", "dlcli_kernels"))
        for f in (root / package).rglob("*")
        if f.is_file() and "__pycache__" not in f.parts
    }
    assert any(name.endswith("/op.py") for name in ours)
    assert ours <= wheel
    tops = {name.split("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"dlcli", "dlcli_kernels"}


# --- the tree -------------------------------------------------------------------------------------


def test_no_file_is_longer_than_it_should_be():
    files = tracked(".py", ".cu", ".cuh", ".h", ".cpp")
    long = {f.relative_to(ROOT).as_posix(): len(f.read_text().splitlines()) for f in files}
    assert {name: n for name, n in long.items() if n > MOST_LINES} == {}


def test_no_file_names_a_place_on_one_machine():
    """Built from pieces, so that it does not find itself."""
    places = "|".join(
        (*(f"{name}/" for name in ("wo" + "rk", "fa" + "rm", "ro" + "ot")), "tm" + "p/[a-z]")
    )
    absolute = re.compile(rf"(^|[^.A-Za-z0-9_/])/({places})", re.MULTILINE)
    found = []
    for file in tracked(".py", ".md", ".toml", ".yaml", ".cu", ".cuh", ".h", ".cpp", ""):
        for line in file.read_text(errors="replace").splitlines():
            if absolute.search(line):
                found.append(f"{file.relative_to(ROOT)}: {line.strip()}")
    assert found == []


def test_every_test_asserts_something():
    """By an assertion, an expected exception, or a function of the tests that asserts."""
    silent = []
    checks = {"raises", "warns", "fails", "approx"}
    for file in tracked(".py"):
        if not file.name.startswith("test_"):
            continue
        tree = ast.parse(file.read_text())
        functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
        asserting = {
            f.name for f in functions if any(isinstance(n, ast.Assert) for n in ast.walk(f))
        }
        for function in functions:
            if function.name.startswith("test_") and function.name not in asserting:
                called = {
                    n.func.attr if isinstance(n.func, ast.Attribute) else getattr(n.func, "id", "")
                    for n in ast.walk(function)
                    if isinstance(n, ast.Call)
                }
                if not any(c in asserting | checks or c.startswith("assert") for c in called):
                    silent.append(f"{file.relative_to(ROOT)}: {function.name}")
    assert silent == []


# --- the rules of tests/conftest.py ---------------------------------------------------------------

SKIPS = """
import pytest

@pytest.mark.oracle
def test_skipped():
    pytest.skip("no oracle")
"""


def run_tests(folder, **environment):
    """Runs pytest on SKIPS, with this project's conftest.py, in a folder of its own."""
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    (folder / "test_skips.py").write_text(SKIPS)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n  oracle: needs the oracle\n")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DLCLI_", "PYTEST_"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_skipped_test_is_no_failure_by_itself(tmp_path):
    done = run_tests(tmp_path)
    assert (done.returncode, "1 skipped" in done.stdout) == (0, True), done.stdout + done.stderr


@pytest.mark.oracle
def test_a_required_test_that_is_skipped_fails(tmp_path):
    pytest.importorskip("torch")
    done = run_tests(tmp_path, DLCLI_REQUIRE="oracle")
    assert (done.returncode, "no oracle" in done.stdout) == (1, True), done.stdout + done.stderr


def test_a_requirement_that_cannot_be_met_or_is_unknown_ends_the_tests(tmp_path):
    done = run_tests(tmp_path, DLCLI_REQUIRE="real_data")
    assert (done.returncode, "real_data tests need" in done.stderr) == (4, True), done.stderr
    done = run_tests(tmp_path, DLCLI_REQUIRE="orakle")
    assert (done.returncode, "is none of oracle, " in done.stderr) == (4, True), done.stderr
