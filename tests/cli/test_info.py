"""`dlcli models`, `data` and `doctor`: what there is, as tables and as JSON."""

from dlcli import schedule
from dlcli.cli import doctor


def test_no_help_is_cut_short(dlcli):
    for group in ("models", "data"):
        assert "..." not in dlcli(group, "--help").out.partition("Commands:")[2]
    words = dlcli("train", "--help").out.replace(",", " ").split()
    assert set(schedule.names()) <= set(words)


def test_the_models_are_listed(dlcli):
    listed = dlcli("models", "list", "--json").json
    assert {"cnn", "cnn-small", "mlp"} <= {model["name"] for model in listed}
    assert all(model["name"] in dlcli("models", "list").out for model in listed)


def test_a_model_is_shown_with_its_settings_notes_and_layers(dlcli):
    found = dlcli("models", "show", "cnn", "--json").json
    assert found["config"]["channels"] == [32, 64, 64]
    assert found["notes"]
    assert sum(layer["parameters"] for layer in found["layers"]) == found["parameters"]
    assert found["layers"][-1]["output_shape"] == [10]
    shown = dlcli("models", "show", "cnn").out
    assert "channels = [32, 64, 64]" in shown
    assert f"{found['parameters']:,}" in shown


def test_a_model_is_shown_for_a_dataset_whose_files_are_not_here(dlcli):
    found = dlcli("models", "show", "cnn", "--data", "cifar10", "--json").json
    assert found["layers"][0]["output_shape"] == [15, 15, 32]


def test_the_datasets_are_listed_with_where_they_are(dlcli):
    listed = {data["name"]: data for data in dlcli("data", "list", "--json").json}
    assert listed["digits"]["available"] is True
    assert listed["digits"]["counts"] == {"train": 1438, "test": 359}
    assert listed["mnist"]["available"] is False
    assert listed["mnist"]["how_to_get"]
    assert "embedded" in dlcli("data", "list").out


def test_a_dataset_is_shown_with_how_to_get_it(dlcli, tmp_path):
    assert "embedded" in dlcli("data", "show", "digits").out
    shown = dlcli("data", "show", "mnist", "--data-dir", tmp_path).out
    assert "train-images-idx3-ubyte.gz" in shown
    assert str(tmp_path) in shown


def test_the_doctor_runs_a_kernel_and_says_what_there_is(dlcli):
    found = dlcli("doctor", "--json").json
    assert found["kernel"]["ok"] is True
    assert found["devices"]["cpu"]["threads"] >= 1
    assert "available" in found["devices"]["cuda"]
    assert found["libraries"]["numpy"]
    assert "digits" in found["data"]["here"]
    assert "mnist" in found["data"]["absent"]
    shown = dlcli("doctor").out
    for word in ("cpu", "cuda", "blas", "kernel cache", "right"):
        assert word in shown


def test_the_doctor_says_that_a_kernel_is_wrong(dlcli, monkeypatch):
    wrong = {"name": "x", "variant": "cpu_x", "ok": False, "reason": "off by one"}
    monkeypatch.setattr(doctor, "_kernel", lambda: {**wrong, "compiled": False, "seconds": 0.1})
    result = dlcli("doctor")
    assert result.code == 5
    assert "off by one" in result.err
    assert "WRONG" in result.out
