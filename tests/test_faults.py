"""docs/faults.md: every fault has its line, every test that it names exists, every code occurs."""

import ast
import re
from pathlib import Path

from dlcli import errors
from dlcli.errors import DlcliError

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "faults.md").read_text()
ROW = re.compile(r"^\| (\d+) \| (.*) \| (.*) \| (.*) \| (.*) \|$", re.MULTILINE)
FAULTS = 70


def rows():
    """(number, what dlcli does, exit codes, tests) of each fault."""
    for number, _, does, codes, tests in ROW.findall(PAGE):
        yield int(number), does, codes, re.findall(r"`([^`]+::[^`]+)`", tests)


def names_in(file):
    """The names of the tests of a file."""
    tree = ast.parse((ROOT / "tests" / file).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_fault_has_one_line():
    assert [number for number, *_ in rows()] == list(range(1, FAULTS + 1))


def test_every_test_that_is_named_exists():
    named = {test for *_, tests in rows() for test in tests}
    assert len(named) > 100
    missing = [t for t in sorted(named) if t.split("::")[1] not in names_in(t.split("::")[0])]
    assert missing == []


def test_a_fault_has_tests_or_a_reason_why_it_cannot_occur():
    without = {number for number, does, _, tests in rows() if not tests}
    reasoned = {number for number, does, *_ in rows() if does.startswith("does not apply: ")}
    assert without == reasoned


def test_every_exit_code_of_an_error_is_that_of_some_fault():
    ours = {
        error.exit_code
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, DlcliError) and error is not DlcliError
    }
    listed = {int(code) for _, _, codes, _ in rows() for code in re.findall(r"\d+", codes)}
    assert ours <= listed
    assert {0, 129, 130, 141, 143} == listed - ours
    for code in (*listed, 1):
        assert re.search(rf"^\| (\d+, )*{code}(, \d+)* \| ", PAGE, re.MULTILINE)
