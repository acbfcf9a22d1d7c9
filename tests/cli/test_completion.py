"""Completion: what a shell is told may follow, by the protocol that its script speaks."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from dlcli.cli import completion


@pytest.fixture
def offered(dlcli, monkeypatch):
    """What is offered for the last of some words, to a shell."""

    def ask(*words, shell="bash"):
        line = ["dlcli", *words]
        typed = line[:-1] if shell == "fish" else line
        monkeypatch.setenv(completion.VARIABLE, f"{shell}_complete")
        monkeypatch.setenv("COMP_WORDS", " ".join(typed))
        monkeypatch.setenv("COMP_CWORD", words[-1] if shell == "fish" else str(len(line) - 1))
        result = dlcli()
        monkeypatch.delenv(completion.VARIABLE)
        assert (result.code, result.err) == (0, "")
        return result.out.split()

    return ask


def plain(*names):
    return [f"plain,{name}" for name in names]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("tr",), ["train"]),
        (("data", "sp"), ["split"]),
        (("train", "cnn"), ["cnn", "cnn-small"]),
        (("train", "cnn", "--aug"), ["--augment"]),
        (("train", "cnn", "--data", "cif"), ["cifar10"]),
        (("train", "cnn", "--device", ""), ["auto", "cpu", "cuda"]),
        (("train", "cnn", "--optimizer", "adam"), ["adam", "adamw"]),
        (("train", "cnn", "--schedule", "co"), ["constant", "cosine"]),
        (("train", "cnn", "--set", "label"), ["label_smoothing="]),
        (("train", "cnn", "--augment", "sh"), ["shift"]),
        (("train", "cnn", "--augment", "flip,c"), ["flip,colour", "flip,crop", "flip,cutout"]),
        (("train", "cnn", "--augment", "crop=3,cr"), []),
        (("models", "show", "dc"), ["dcgan"]),
        (("data", "show", "fash"), ["fashion-mnist"]),
        (("data", "get", "fash"), ["fashion-mnist"]),
        (("completion", "z"), ["zsh"]),
        (("trian", "c"), []),
        (("train", "--device", "gpu", "cnn-"), ["cnn-small"]),
    ],
)
def test_names_are_completed(offered, words, names):
    assert offered(*words) == plain(*names)


def test_every_model_and_dataset_is_offered(offered, dlcli):
    models = [model["name"] for model in dlcli("models", "list", "--json").json]
    assert offered("train", "") == plain(*models)
    names = {one["name"] for one in dlcli("data", "list", "--json").json}
    assert set(offered("train", "cnn", "--data", "")) == set(plain(*names))


def test_runs_are_offered_the_latest_first_and_otherwise_files(offered):
    for number, name in enumerate(("older", "newer")):
        folder = Path("runs") / name
        folder.mkdir(parents=True)
        (folder / "config.toml").touch()
        os.utime(folder, (number, number))
    Path("runs/no-run").mkdir()
    Path("runs/file").touch()
    assert offered("eval", "") == plain("runs/newer", "runs/older")
    assert offered("runs", "compare", "runs/older", "runs/n") == plain("runs/newer")
    assert offered("train", "--resume", "runs/o") == plain("runs/older")
    assert offered("report", "elsewhere/x") == ["file,elsewhere/x"]
    assert offered("predict", "runs/older", "pic") == ["file,pic"]
    shutil.rmtree("runs")
    assert offered("eval", "r") == ["file,r"]


def test_each_shell_is_answered_in_its_own_form(offered):
    assert offered("train", "cnn-s", shell="zsh") == ["plain", "cnn-small", "_"]
    assert offered("train", "cnn-s", shell="fish") == ["plain,cnn-small"]


def test_who_asks_in_another_way_is_refused(dlcli, monkeypatch):
    monkeypatch.setenv(completion.VARIABLE, "tcsh_complete")
    assert dlcli().code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_calls_dlcli_back(dlcli, fails, shell):
    script = dlcli("completion", shell).out
    assert f"{completion.VARIABLE}={shell}_complete" in script
    if shutil.which(shell):  # its grammar is right
        subprocess.run([shell, "-n"], input=script, text=True, check=True)
    assert "did you mean" in fails(2, "completion", f"{shell}h")


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_a_line(start, environment):
    """The script is loaded, and what it puts into COMPREPLY is looked at."""
    Path("bin").mkdir()
    program = Path("bin/dlcli")
    program.write_text(f'#!/bin/sh\nexec {shlex.join(start)} "$@"\n')
    program.chmod(0o755)
    script = (
        'PATH="$PWD/bin:$PATH"\neval "$(dlcli completion bash)"\n'
        'COMP_WORDS=(dlcli train cnn) COMP_CWORD=2\n_dlcli_completion dlcli\necho "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["cnn", "cnn-small"], done.stderr


def test_an_answer_takes_little_time(start, environment):
    """Processor time, so that other programs do not matter; the best of three."""
    asked = {completion.VARIABLE: "bash_complete", "COMP_WORDS": "dlcli train c", "COMP_CWORD": "2"}
    taken = []
    for _ in range(3):
        before = os.times()
        done = subprocess.run(start, env={**environment, **asked}, capture_output=True, check=True)
        after = os.times()
        assert b"cnn-small" in done.stdout
        spent = after.children_user + after.children_system
        taken.append(spent - before.children_user - before.children_system)
    assert min(taken) <= 0.15
