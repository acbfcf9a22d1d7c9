"""What is printed: strict JSON, plain tables, one line per message."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from dlcli.cli import output
from dlcli.cli.progress import epoch_line


@pytest.fixture(autouse=True)
def _settings():
    output.reset()
    yield
    output.reset()


def test_what_is_not_finite_becomes_null_and_is_listed(capsys):
    output.document({"loss": float("nan"), "best": {"loss": [1.0, float("inf")]}})
    found = json.loads(capsys.readouterr().out)
    assert found == {
        "loss": None,
        "best": {"loss": [1.0, None]},
        "nonfinite": ["loss", "best.loss[1]"],
    }


def test_numpy_paths_and_dataclasses_have_a_form_in_json(capsys):
    @dataclass
    class Point:
        x: object

    output.document({"a": Point(np.float32(0.5)), "b": np.arange(3), "c": Path("x"), 1: (True,)})
    found = json.loads(capsys.readouterr().out)
    assert found == {"a": {"x": 0.5}, "b": [0, 1, 2], "c": "x", "1": [True]}


def test_a_value_without_a_form_in_json_is_a_bug_that_names_where():
    with pytest.raises(TypeError, match=r"a\.b"):
        output.document({"a": {"b": object()}})


def test_a_line_of_json_holds_any_name_on_one_line_of_ascii():
    line = output.json_line({"input": "中文\n\x1b\udcff", "p": float("nan")})
    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line) == {"input": "中文\n\x1b\udcff", "p": None}


def test_a_table_in_a_pipe_is_never_cut_and_takes_any_text_as_it_is(capsys):
    name = "[red]" + "x" * 300
    output.table(("name", "n"), [(name, 1), ("b", 20)], title="about")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "about"
    assert any(line.startswith(name) and line.endswith(" 1") for line in lines)
    assert all(line == line.rstrip() for line in lines)


def test_json_keeps_every_other_result_off_the_output(capsys):
    output.settings.json = True
    output.text("hello")
    output.table(("a",), [("b",)])
    assert capsys.readouterr() == ("", "")


def test_quiet_silences_messages_but_no_warning(capsys):
    output.settings.quiet = True
    output.note("a message")
    output.warn("beware")
    assert capsys.readouterr() == ("", "warning: beware\n")


def test_no_bar_is_drawn_where_there_is_no_terminal(capsys):
    with output.Bar("working", 10) as bar:
        bar.update(5, "half")
        assert not bar.visible
    assert capsys.readouterr() == ("", "")


class Terminal:
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def __init__(self):
        self.written = ""

    def write(self, text):
        self.written += text

    def flush(self):
        pass

    def isatty(self):
        return True


def test_a_bar_is_drawn_on_a_terminal_and_not_on_a_dumb_one(monkeypatch):
    for term, drawn in (("xterm", True), ("dumb", False)):
        terminal = Terminal()
        monkeypatch.setenv("TERM", term)
        monkeypatch.setattr("sys.stderr", terminal)
        with output.Bar("working", 10) as bar:
            bar.update(5, "half")
            bar.progress and bar.progress.refresh()
        assert ("working" in terminal.written) is drawn


def test_no_color_is_heard(monkeypatch):
    for no_color in ("", "1"):
        terminal = Terminal()
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("NO_COLOR", no_color)
        monkeypatch.setattr("sys.stderr", terminal)
        output.error(["what"])
        assert ("\x1b[" in terminal.written) is not bool(no_color)


def test_the_line_of_an_epoch_fits_a_terminal():
    figures = {"loss": 0.0005, "val_loss": 0.0188, "accuracy": 1.0, "val_accuracy": 1.0}
    record = {"epoch": 30, "timing": {"images_per_second": 12_345.6}, **figures}
    line = epoch_line(record, 30, {"accuracy": ".2%"})
    assert line == ("epoch 30/30  loss 0.0005, val 0.0188  accuracy 100.00%, val 100.00%  12,346/s")
    assert len(line) < 80
    assert epoch_line({"epoch": 1, "val_loss": 2.0}, 3, {}) == "epoch 1/3  val loss 2.0000"


def test_the_line_of_a_game_shows_what_has_a_label():
    record = {"epoch": 1, "loss": 2.0, "d_real": 0.75, "val_diversity": 1.0}
    labels = {"d_real": "D(x)", "d_fake": "D(G(z))", "val_diversity": "diversity"}
    assert epoch_line(record, 3, {}, labels) == "epoch 1/3  D(x) 0.75  diversity 1.00"
