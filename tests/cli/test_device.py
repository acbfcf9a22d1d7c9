"""--device and --precision from the shell: what is chosen, what is said, and a whole training on a
device whose memory the host cannot touch.
"""

import json

import pytest
from dlcli_kernels import raw

from dlcli.engine import cuda_executor, device, executor
from tests.engine.strict import StrictExecutor, StrictTarget


@pytest.fixture
def cuda(monkeypatch):
    """`cuda("why")`: CuPy is installed, and CUDA does not work for that reason; "": it does."""

    def having(why):
        monkeypatch.setattr(device, "has_cupy", lambda: True)
        monkeypatch.setattr(device, "cuda_problem", lambda: why)
        monkeypatch.setattr(cuda_executor, "CudaExecutor", StrictExecutor)

    with raw.running_on(StrictTarget()):
        yield having
    executor.configure()


@pytest.mark.parametrize("command", [["train", "cnn"], ["eval", "x"], ["predict", "x", "y"]])
def test_a_precision_that_the_cpu_has_not_is_a_device_error_with_what_to_do(fails, command):
    said = fails(5, *command, "--device", "cpu", "--precision", "tf32")
    assert "the CPU does not compute in tf32" in said
    assert "--precision float32" in said


def test_where_cuda_is_broken_training_goes_on_and_says_why_not_in_one_line(dlcli, cuda):
    cuda("the driver is too old")
    fast = ("train", "mlp", "--max-steps", "1", "--no-plots")
    result = dlcli(*fast, "--json")
    assert result.code == 0
    assert result.json["steps"] == 1
    assert result.err.count("the driver is too old") == 1
    assert "driver" not in dlcli(*fast, "-q").err
    assert "driver" not in dlcli(*fast, "--device", "cpu").err


def test_a_training_an_evaluation_and_a_prediction_run_on_a_device(dlcli, cuda, digit, tmp_path):
    cuda("")
    run = tmp_path / "on-device"
    small = ("--max-steps", "3", "--batch-size", "16", "--set", "model.channels=4")
    train = ("train", "cnn-small", *small, "--out", run, "--precision", "tf32")
    assert dlcli(*train).code == 0
    kept = json.loads((run / "env.json").read_text())
    assert (kept["device"], kept["precision"], kept["arch"]) == ("cuda", "tf32", "sm_80")
    there = dlcli("eval", run, "--json", "--no-plots").json
    shares = dlcli("predict", run, digit[0]).lines
    cuda("gone")
    here = dlcli("eval", run, "--json", "--no-plots", "--device", "cpu").json
    assert here["confusion"] == there["confusion"]
    assert here["loss"] == pytest.approx(there["loss"], rel=1e-5)
    again = dlcli("predict", run, digit[0], "--device", "cpu").lines
    assert again[0]["class"] == shares[0]["class"]
    assert again[0]["probability"] == pytest.approx(shares[0]["probability"], rel=1e-4)


def test_a_dry_run_on_a_device_claims_no_memory_that_it_did_not_measure(dlcli, cuda):
    cuda("")
    assert dlcli("train", "mlp", "--dry-run", "--json").json["step_bytes"] is None
    assert "not measured on a GPU" in dlcli("train", "mlp", "--dry-run").out


def test_the_doctor_names_the_gpu(dlcli, cuda, monkeypatch):
    cuda("")
    facts = {"name": "a GPU", "arch": "sm_90", "memory": 139 << 30, "driver": "13.2"}
    monkeypatch.setattr(
        "dlcli_kernels.cuda.gpu", lambda: type("Gpu", (), {"facts": lambda s: facts})()
    )
    assert dlcli("doctor", "--json").json["devices"]["cuda"] == {"available": True, **facts}
    assert "a GPU, sm_90, 139 GiB" in dlcli("doctor").out
