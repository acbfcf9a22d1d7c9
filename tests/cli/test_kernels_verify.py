"""`dlcli kernels verify`: right and wrong kernels, on the CPU and without a GPU."""

import shlex
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from dlcli_kernels import emulate

from dlcli.cli import kernel_choice, kernel_verification
from dlcli.cli.kernel_verification import CaseOutcome, Outcome
from dlcli.errors import DeviceError

WRONG = """
import numpy as np
DEVICE = "cpu"

def add(out, x, y):
    np.add(x, y, out=out)
    if out.size > 5:
        out.reshape(-1)[5] += 0.5
"""
RAISES = """
DEVICE = "cpu"

def add(out, x, y):
    helper(out)

def helper(out):
    return out[10**6, 10**6, 3]
"""
emulator = pytest.mark.emulator
needs_emulator = pytest.mark.skipif(bool(emulate.problem()), reason=emulate.problem() or "-")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Where compiled kernels are kept from one test to the next."""
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture(autouse=True)
def kept(compiled, monkeypatch):
    monkeypatch.setenv("DLCLI_CACHE", str(compiled))


@pytest.fixture
def verify(dlcli):
    """Calls `dlcli kernels verify` and gives its exit code, its text and what it says on stderr."""
    return lambda *arguments: dlcli("kernels", "verify", *arguments)


@pytest.fixture
def kernel(elsewhere):
    """Writes a kernel file and gives the option that names it."""

    def write(name, text):
        (elsewhere / name).write_text(text)
        return ("--kernel-file", name)

    return write


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(kernel_choice, "_no_cuda", lambda: "there is no GPU")


def test_a_right_kernel_is_ok_in_every_case_with_its_worst_error(verify):
    done = verify("add", "--device", "cpu")
    assert done.code == 0, done.err
    rows = [line.split() for line in done.out.splitlines() if line.startswith("add/cpu_numba")]
    assert [row[1:7] for row in rows] == [[p, "cpu", "ok", "8", "of", "8"] for p in
                                          ("float32", "float64")]  # fmt: skip
    assert "share of the tolerance; seed " in done.out


def test_the_same_seed_gives_the_same_errors(verify):
    def worst(seed):
        found = verify("softmax", "--device", "cpu", "--seed", seed, "--json").json
        return [result["worst"] for result in found["results"]], found["seed"]

    assert worst(3) == worst(3)
    assert worst(3)[1] == 3
    assert worst(3)[0] != worst(4)[0]


def test_a_wrong_kernel_fails_with_the_element_both_values_and_the_tolerance(verify, kernel):
    done = verify(*kernel("wrong.py", WRONG), "--precision", "float32")
    assert done.code == 8
    assert "add/wrong float32 [x=7 y=7]" in done.out
    assert "out[(5,)] = " in done.out
    assert "expected " in done.out
    assert "times the tolerance (2e-06, 2e-06)" in done.out
    assert "FAILED" in done.out
    assert "repeats them" in done.err
    assert "more (-v)" in done.out
    assert "more (-v)" not in verify(*kernel("wrong.py", WRONG), "-v").out


def test_what_a_kernel_raises_is_a_failure_with_its_line(verify, kernel):
    done = verify(*kernel("raises.py", RAISES))
    assert done.code == 8
    assert "IndexError at raises.py:8: " in done.out


def test_only_the_file_s_kernels_are_verified_unless_ops_are_named(verify, kernel):
    option = kernel("wrong.py", WRONG)
    found = verify(*option, "--json").json["results"]
    assert {result["variant"] for result in found} == {"wrong"}
    found = verify("add", "--device", "cpu", *option, "--json").json["results"]
    assert {result["variant"] for result in found} == {"cpu_numba", "wrong"}


def test_a_kernel_that_supports_no_case_is_not_verified(verify, kernel):
    text = WRONG + "\n\ndef supports(op, *ins, **attrs):\n    return False\n"
    done = verify(*kernel("refuses.py", text))
    assert (done.code, "no case supported" in done.out) == (8, True)
    assert "supports none of the cases" in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ad"], "did you mean 'add'?"),
        (["add/cpu_nunba"], "did you mean 'cpu_numba'?"),
        (["add", "--variant", "cpu_nunba"], "did you mean 'cpu_numba'?"),
        (["add", "--cases", "many"], "it takes all, a number, or random:50"),
        (["add", "--cases", "random:0"], "it takes all, a number, or random:50"),
        (["add", "--cases", "randm:5"], "it takes all, a number, or random:50"),
        (["add", "--precision", "float23"], "did you mean 'float32'?"),
        (["add", "--seed", "-1"], "a whole number of at least 0"),
        (["add", "--kernel-file", "absent.cu"], "there is no such file"),
        (["class_weight_of", "--device", "cuda"], "there is no cuda variant"),
    ],
)
def test_a_wrong_argument_is_said_in_a_few_lines(fails, monkeypatch, arguments, said):
    from dlcli_kernels import registry

    if "class_weight_of" in arguments:
        monkeypatch.setattr(registry, "variants", lambda op: [])
    assert said in fails(2, "kernels", "verify", *arguments)


def test_the_reference_can_be_verified_by_name(verify):
    found = verify("scale", "--variant", "cpu_reference", "--json").json["results"]
    assert {(r["variant"], r["ok"]) for r in found} == {("cpu_reference", True)}


def test_some_cases_and_random_ones_can_be_asked_for(verify):
    def labels(cases):
        found = verify("mul", "--device", "cpu", "--cases", cases, "--seed", 5, "--json").json
        return [[case["case"] for case in result["cases"]] for result in found["results"]]

    assert [len(names) for names in labels("3")] == [3, 3]
    assert [len(names) for names in labels("random:9")] == [9, 9]
    assert any("resized" in name for name in labels("random:9")[0])


def test_junit_has_a_suite_for_each_kernel_and_a_test_for_each_case(verify, kernel, elsewhere):
    done = verify("add", *kernel("wrong.py", WRONG), "--junit", "out/kernels.xml")
    assert done.code == 8
    suites = {
        s.get("name"): s for s in ET.parse(elsewhere / "out" / "kernels.xml").iter("testsuite")
    }
    wrong, right = suites["add/wrong float32"], suites["add/cpu_numba float32"]
    assert int(right.get("tests")) == len(right.findall("testcase")) == 8
    assert right.get("failures") == "0"
    assert int(wrong.get("failures")) == len(wrong.findall("testcase/failure")) > 0
    assert "expected" in wrong.find("testcase/failure").get("message")
    assert wrong.find("testcase").get("classname") == "add.wrong.float32"


# --- without a GPU --------------------------------------------------------------------------------


def test_without_a_gpu_cuda_kernels_are_said_not_to_be_verified(verify, no_gpu):
    done = verify("matmul", "--cases", "2")
    assert done.code == 0, done.err
    assert "matmul/cuda_raw_naive was not verified: there is no GPU" in done.out


@pytest.mark.parametrize(
    "arguments", [["matmul", "--device", "cuda"], ["matmul/cuda_raw_naive"]], ids=" ".join
)
def test_a_cuda_kernel_that_is_asked_for_by_name_needs_a_gpu(verify, no_gpu, arguments):
    done = verify(*arguments)
    assert done.code == 5
    assert "cannot run here" in done.err
    assert "--emulate" in done.err


@emulator
@needs_emulator
def test_cuda_kernels_run_in_the_emulator(verify):
    done = verify("matmul/cuda_raw_naive", "--emulate", "--cases", "random:6")
    assert done.code == 0, done.err
    assert "emulator" in done.out
    assert "6 of 6" in done.out


@emulator
@needs_emulator
def test_a_wrong_cuda_kernel_of_the_user_s_fails_with_its_line(verify, dlcli, elsewhere):
    dlcli("kernels", "new", "act", "mine.cu")
    source = elsewhere / "mine.cu"
    right = source.read_text()
    option = ("--kernel-file", "mine.cu", "--emulate")
    line = next(i for i, text in enumerate(right.splitlines(), 1) if "if (i < n)" in text)

    beyond = elsewhere / "beyond.cu"  # another name: a process compiles a file once
    beyond.write_text(right.replace("if (i < n) ", ""))
    beyond.with_suffix(".toml").write_text(source.with_suffix(".toml").read_text())
    done = verify("--kernel-file", "beyond.cu", "--emulate", "--cases", "4", "--seed", "1")
    assert (done.code, f"beyond.cu:{line}" in done.out) == (8, True), done.out

    source.write_text(right.replace("if (i < n)", "if (i < nn)"))
    done = verify(*option)
    assert (done.code, f"mine.cu:{line}" in done.out, "'nn'" in done.out or "nn" in done.out) == (
        8,
        True,
        True,
    ), done.out


@pytest.mark.simulator
def test_a_numba_kernel_runs_in_the_simulator_in_a_process_of_its_own(verify, dlcli):
    pytest.importorskip("numba_cuda")
    dlcli("kernels", "new", "act", "mine.py", "--tier", "cuda_numba")
    done = verify("--kernel-file", "mine.py", "--emulate", "--cases", "12", "--seed", "2", "--json")
    assert done.code == 0, done.err
    results = done.json["results"]
    assert {r["where"] for r in results} == {"simulator"}
    assert all(r["run"] > 0 for r in results)


def test_a_simulator_that_fails_is_an_error_that_says_why(monkeypatch):
    monkeypatch.setattr(kernel_verification, "PROGRAM", "raise SystemExit('no simulator today')")
    with pytest.raises(DeviceError) as caught:
        kernel_verification.in_simulator(["matmul/cuda_numba_tiled"], [])
    assert caught.value.why == "no simulator today"


def test_an_outcome_survives_its_way_through_json():
    cases = [CaseOutcome("x=1", True, 0.25, seconds=0.5), CaseOutcome("x=2", False, why="wrong")]
    outcome = Outcome("add", "mine", "float32", "simulator", tolerance="1, 2", of=9, cases=cases)
    assert kernel_verification.from_document(kernel_verification.document(outcome)) == outcome
    assert outcome.worst == cases[0]
    assert outcome.failed == [cases[1]]


@emulator
@needs_emulator
def test_the_commands_of_the_worked_example_run(dlcli):
    readme = Path(__file__).resolve().parents[2] / "kernels" / "README.md"
    typed = [line for line in readme.read_text().splitlines() if line.startswith("$ dlcli ")]
    assert len(typed) > 5
    for line in typed:
        done = dlcli(*shlex.split(line)[2:])
        assert done.code == 0, f"{line}\n{done.out}\n{done.err}"
