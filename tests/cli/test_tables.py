"""Tables from the shell: train on one's own CSV, measure and predict other files, rare classes."""

import io
import json
import sys
from types import SimpleNamespace

import pytest

from tests.cli.conftest import call

JOBS = ("nurse", "clerk", "driver")


def rows(n):
    """Rows whose label is made from two columns: (age, job, income)."""
    for i in range(n):
        age, job = 20 + 7 * i % 41, JOBS[i % 3]
        yield age, job, "high" if (age > 40) == (job != "clerk") else "low"


@pytest.fixture(scope="session")
def people(tmp_path_factory):
    """A table of 120 people. Shared: nothing changes it."""
    path = tmp_path_factory.mktemp("tables") / "people.csv"
    lines = [f"{i},{a if i % 9 else ''},{j},{label}" for i, (a, j, label) in enumerate(rows(120))]
    path.write_text("\n".join(["id,age,job,income", *lines]) + "\n")
    return path


@pytest.fixture(scope="session")
def trained_table(tmp_path_factory, people):
    """A run of `mlp` on the table. Shared: nothing changes it."""
    run = tmp_path_factory.mktemp("runs") / "people"
    more = ("--epochs", 15, "--out", run, "--no-plots")
    result = call("train", "mlp", "--data", people, "--label", "income", *more)
    assert result.code == 0, result.err
    assert "warning: column 'id' is left out: it numbers the rows" in result.err
    return run


@pytest.fixture
def table(tmp_path):
    def write(text, name="new.csv"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_a_table_is_learned_and_its_figures_are_gated(dlcli, trained_table):
    result = dlcli("eval", trained_table, "--json", "--no-plots", "--fail-under", "accuracy=0.8")
    assert result.code == 0, result.err
    assert result.json["classes"] == ["high", "low"]
    assert result.json["samples"] == 12
    assert set(result.json["rarest"]) == {"class", "f1", "pr_auc"}
    for gate in ("rare_f1=1.1", "pr_auc=1.1", "macro_f1=1.1"):
        assert dlcli("eval", trained_table, "--no-plots", "--fail-under", gate).code == 8


def test_rows_of_another_file_are_predicted_whatever_the_order_of_its_columns(
    dlcli, trained_table, table
):
    path = table("more;job;age\nx;clerk;30\ny;pilot;?\nz;nurse;old\n;nurse;50,5\n")
    result = dlcli("predict", trained_table, path)
    first, unknown, bad, last = map(json.loads, result.out.splitlines())
    assert result.code == 3
    assert first["input"] == f"{path}:2"
    assert first["class"] == first["top"][0]["class"] == "high"
    assert first["probability"] > 0.5
    assert unknown["unknown"] == ["job"]
    assert bad == {"input": f"{path}:4", "error": "column 'age': 'old' is no number"}
    assert last["class"] == "high"
    assert dlcli("predict", trained_table, path, "--keep-going").code == 0


def test_a_table_can_be_piped(dlcli, trained_table, monkeypatch):
    buffer = io.BytesIO(b"job,age\nclerk,30\nclerk,60\n")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=buffer))
    result = dlcli("predict", trained_table, "-")
    assert [json.loads(line)["input"] for line in result.out.splitlines()] == ["-:2", "-:3"]


def test_a_missing_column_is_named_when_predicting_and_when_measuring(dlcli, trained_table, table):
    path = table("income,job\nhigh,nurse\n")
    result = dlcli("predict", trained_table, path)
    assert result.code == 3
    assert "there is no column 'age'" in json.loads(result.out)["error"]
    result = dlcli("eval", trained_table, "--data", path)
    assert result.code == 3
    assert f"{path}:1: there is no column 'age'" in result.err


def test_another_file_is_measured_as_a_whole(dlcli, trained_table, table):
    lines = [f"{label},{job},{age}" for age, job, label in rows(30)]
    path = table("\n".join(["income,job,age", *lines]) + "\n")
    result = dlcli("eval", trained_table, "--data", path, "--json", "--no-plots")
    assert result.json["samples"] == 30
    assert result.json["accuracy"] > 0.8
    result = dlcli("eval", trained_table, "--data", path, "--split", "val", "--no-plots")
    assert result.code == 3


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ([], 2, "which column is to be told?"),
        (["--label", "incom"], 2, "did you mean 'income'?"),
        (["--label", "income", "--drop", "ages"], 2, "--drop: there is no column 'ages'"),
        (["--label", "age"], 3, "the label is missing"),
        (["--label", "income", "--sampling", "ovr"], 2, "did you mean 'over'?"),
        (["--label", "income", "--class-weight", "balance"], 2, "did you mean 'balanced'?"),
        (
            ["--label", "income", "--class-weight", "sqrt", "--sampling", "over"],
            2,
            "both would do it twice",
        ),
    ],
)
def test_what_cannot_be_done_is_said_before_a_run_is_made(dlcli, people, options, code, message):
    result = dlcli("train", "mlp", "--data", people, *options, "--out", "run")
    assert result.code == code
    assert message in result.err
    assert not (people.parent / "run").exists()


def test_a_model_of_images_says_that_a_table_is_none(dlcli, people):
    result = dlcli("train", "cnn", "--data", people)
    assert result.code == 3
    assert "is not a folder" in result.err


def test_a_dry_run_shows_the_layers_for_a_row(dlcli, people):
    result = dlcli("train", "mlp", "--data", people, "--label", "income", "--dry-run")
    assert result.code == 0, result.err
    assert "mlp for people, 5 numbers in 2 classes:" in result.out


@pytest.mark.parametrize("options", [("--class-weight", "balanced"), ("--sampling", "over")])
def test_rare_classes_count_in_any_classifier_and_a_resumed_run_is_the_same(
    dlcli, tmp_path, options
):
    more = ("--data", "digits", "--set", "model.hidden=[4]", "--no-plots", "--batch-size", 256)
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    for run, steps in ((whole, 8), (halves, 3)):
        limit = ("--max-steps", steps, "--schedule", "constant")
        result = dlcli("train", "mlp", *more, *options, *limit, "--out", run)
        assert result.code == 0, result.err
    assert dlcli("train", "--resume", halves, "--max-steps", 8, "--no-plots").code == 0
    weights = [(run / "checkpoints/last/model.safetensors").read_bytes() for run in (whole, halves)]
    assert weights[0] == weights[1]
    record = json.loads((whole / "metrics.jsonl").read_text().splitlines()[-1])
    assert 0 < record["val_macro_f1"] < 1


def test_what_has_no_classes_is_not_balanced(dlcli):
    for option in (("--class-weight", "balanced"), ("--sampling", "over")):
        result = dlcli("train", "recommend", *option, "--max-steps", 1)
        assert result.code == 2, result.err
