"""Ratings from the shell: train with nothing to download, evaluate, gate, ask for users."""

import hashlib
import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.cli.conftest import call


@pytest.fixture(scope="session")
def trained_ratings(tmp_path_factory) -> Path:
    """A run of `recommend` on the embedded ratings. Shared: nothing changes it."""
    run = tmp_path_factory.mktemp("runs") / "ratings"
    result = call("train", "recommend", "--epochs", 15, "--out", run, "--no-plots")
    assert result.code == 0, result.err
    return run


@pytest.fixture
def pipe(monkeypatch):
    """Sets what is on standard input."""

    def give(text: str) -> None:
        buffer = io.BytesIO(text.encode())
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=buffer))

    return give


@pytest.fixture
def table(tmp_path) -> Path:
    rows = [f"{'abc'[u % 3]}{u},film {i},{1 + (u * i) % 5}\n" for u in range(20) for i in range(8)]
    path = tmp_path / "films.csv"
    path.write_text("user,item,rating\n" + "".join(rows))
    return path


def test_the_figures_beat_the_baselines_and_can_be_gated(dlcli, trained_ratings):
    gates = ("--fail-over", "rmse_to_biases=0.9", "--fail-under", "hit_rate_to_popularity=1")
    result = dlcli("eval", trained_ratings, "--json", *gates)
    assert result.code == 0, result.err
    assert set(result.json["lists"]) == {"model", "ratings_alone", "popularity", "best_rated"}
    assert set(result.json["ratings"]) == {"model", "mean", "biases"}
    assert result.json["plot"] is None
    assert dlcli("eval", trained_ratings, "--fail-under", "hit_rate=1").code == 8


def test_what_is_shown_speaks_of_ratings_and_lists(dlcli, trained_ratings):
    said = dlcli("eval", trained_ratings).out
    assert "2,336 ratings" in said
    assert "lists of 10 items" in said
    assert "images" not in said


def test_users_get_lists_and_pairs_get_ratings(dlcli, trained_ratings, pipe):
    pipe("user-1\r\nuser-1,item-3\nwho\n\na,b,c\n")
    result = dlcli("predict", trained_ratings, "-", "--top-k", "3")
    assert result.code == 3
    user, pair, unknown, empty, three = result.lines
    assert (user["input"], user["user"], len(user["top"])) == ("-:1", "user-1", 3)
    assert (pair["user"], pair["item"]) == ("user-1", "item-3")
    assert 0 < pair["rating"] < 7
    assert unknown["unknown"] == ["user"]
    assert "unknown" not in user
    assert empty == {"input": "-:4", "error": "a line is a user, or a user and an item: ada,9"}
    assert "error" in three


def test_without_an_option_a_list_has_ten_items(dlcli, trained_ratings, tmp_path):
    (tmp_path / "users.txt").write_text("user-2\n")
    (line,) = dlcli("predict", trained_ratings, "users.txt").lines
    assert line["input"] == "users.txt:1"
    assert len({row["item"] for row in line["top"]}) == 10


def test_a_table_of_ones_own_is_trained_resumed_and_asked(dlcli, table, tmp_path, pipe):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    given = ("train", "recommend", "--data", table, "--no-plots", "--schedule", "constant")
    assert dlcli(*given, "--epochs", "4", "--out", whole).code == 0
    assert dlcli(*given, "--epochs", "2", "--out", parts).code == 0
    assert dlcli("train", "--resume", parts, "--epochs", "4", "--no-plots").code == 0
    assert digest(parts) == digest(whole)
    pipe("a0\n")
    (line,) = dlcli("predict", whole, "-").lines
    assert line["top"] == []  # everything is rated


def digest(run: Path) -> str:
    tensors = sorted((run / "checkpoints" / "last").glob("*.safetensors"))
    assert tensors
    return hashlib.sha256(b"".join(path.read_bytes() for path in tensors)).hexdigest()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a0,film 0,5\n", ":162: 'a0' rates 'film 0' a second time"),
        ("a0,film 9,good\n", ":162: the rating 'good' is no number"),
        (",film 9,3\n", ":162: the user is empty"),
    ],
)
def test_a_bad_row_is_told_with_its_line(fails, table, line, message):
    table.write_text(table.read_text() + line)
    assert f"{table}{message}" in fails(3, "train", "recommend", "--data", table, "--out", "run")
    assert not Path("run").exists()


def test_other_data_is_measured_as_it_is(dlcli, trained_ratings, table):
    result = dlcli("eval", trained_ratings, "--data", table, "--json")
    assert result.code == 0, result.err
    assert result.json["unknown"] == result.json["samples"]
    assert result.json["hit_rate"] is None


def test_an_option_of_another_kind_does_not_apply(fails, table):
    said = fails(2, "train", "recommend", "--data", table, "--horizon", "3")
    assert "data.horizon does not apply" in said
