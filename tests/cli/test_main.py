"""The command itself: help, exit codes, messages, and what is imported for them."""

import errno
import os
import subprocess
import sys

import pytest

from dlcli import errors
from dlcli.cli import data_list, main

ERRORS = "dlcli.errors"
HEAVY = ("numpy", "numba", "scipy", "cupy", "rich", "sklearn", "PIL", "matplotlib", "safetensors")


@pytest.fixture
def in_data_list(monkeypatch):
    """Makes `dlcli data list` raise what it is given."""

    def install(error):
        def raise_it(*args, **options):
            raise error

        monkeypatch.setattr(data_list.main, "callback", raise_it)

    return install


@pytest.fixture
def loaded_after(environment):
    """The modules that a fresh Python has after some code."""

    def run(code):
        program = f"import sys; {code}; print(*sorted(sys.modules))"
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return set(done.stdout.splitlines()[-1].split())

    return run


def test_importing_dlcli_loads_no_library(loaded_after):
    assert not loaded_after("import dlcli").intersection((*HEAVY, "click"))


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"], ["trian"]])
def test_help_and_usage_errors_load_no_heavy_library(loaded_after, arguments):
    loaded = loaded_after(f"from dlcli.cli.main import main; main({arguments!r})")
    assert not loaded.intersection(HEAVY)
    if arguments != ["train", "--help"]:
        assert not any(name.startswith("dlcli.cli.train") for name in loaded)


def test_help_lists_every_command_with_its_line_and_the_exit_codes(dlcli):
    result = dlcli("--help")
    assert result.code == 0
    for name in ("train", "eval", "predict", "models", "data", "doctor"):
        assert f"  {name} " in result.out
    section = result.out.partition("Exit codes:")[2].replace("\n", " ")
    ours = {e.exit_code for e in errors.DlcliError.__subclasses__() if e.__module__ == ERRORS}
    assert ours == set(range(2, 12))
    for code in (0, 1, *ours, 130, 143):
        assert f" {code} " in section


def test_every_file_of_a_command_says_so_in_its_first_line():
    assert {"train", "eval", "predict", "models", "data", "doctor"} <= set(main.commands())
    assert "main" not in main.commands()
    assert all(short and not short.endswith(".") for short in main.commands().values())


def test_the_version_is_the_package_s(dlcli):
    from dlcli import __version__

    assert dlcli("--version").out == f"dlcli {__version__}\n"


def test_no_arguments_print_the_help_and_are_a_usage_error(dlcli):
    result = dlcli()
    assert (result.code, result.out) == (2, "")
    assert "Usage: dlcli" in result.err


@pytest.mark.parametrize(
    ("arguments", "guess"),
    [
        (["trian", "cnn"], "did you mean 'train'?"),
        (["train", "cnn", "--ephocs", "3"], "did you mean '--epochs'?"),
        (["train", "cnn", "--device", "cud"], "did you mean 'cuda'?"),
        (["train", "cnm"], "did you mean 'cnn'?"),
        (["train", "cnn", "--data", "digit"], "did you mean 'digits'?"),
        (["train", "cnn", "--optimizer", "adan"], "did you mean 'adam'?"),
        (["train", "cnn", "--schedule", "cosin"], "did you mean 'cosine'?"),
        (["train", "cnn", "--set", "weigth_decay=1"], "did you mean 'weight_decay'?"),
        (["train", "cnn", "--set", "train.weigth_decay=1"], "did you mean 'train.weight_decay'?"),
        (["train", "cnn", "--until", "acuracy=1"], "did you mean 'accuracy'?"),
        (["train", "cnn", "--set", "monitor=val_acuracy"], "did you mean 'val_accuracy'?"),
        (["train", "cnn", "--set", "until={val_los=1}"], "did you mean 'val_loss'?"),
        (["models", "lst"], "did you mean 'list'?"),
        (["models", "show", "cnn-smal"], "did you mean 'cnn-small'?"),
        (["data", "show", "mnits"], "did you mean 'mnist'?"),
        (["eval", "somewhere", "--split", "tset"], "did you mean 'test'?"),
    ],
)
def test_a_mistyped_name_is_a_usage_error_with_a_suggestion(fails, arguments, guess):
    assert guess in fails(2, *arguments)


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("--lr", "fast", "a number above 0"),
        ("--lr", "nan", "a number above 0"),
        ("--lr", "-1", "a number above 0"),
        ("--batch-size", "0", "a whole number of at least 1"),
        ("--epochs", "1.5", "a whole number of at least 1"),
        ("--epochs", "9" * 400, "at most 1,000,000,000"),
        ("--seed", "9" * 20, "at most 9,223,372,036,854,775,807"),
        ("--set", "epochs=2000000000", "at most 1,000,000,000"),
        ("--set", "model.dropout=1.5", "dropout"),
        ("--data-dir", "nowhere", "'nowhere' does not exist"),
        ("--threads", "0", "at least 1"),
        ("--seed", "-1", "at least 0"),
        ("--max-time", "soon", "90s, 10m or 1.5h"),
        ("--max-time", "0s", "90s, 10m or 1.5h"),
        ("--until", "loss=low", "NUMBER"),
        ("--set", "lr=fast", "a number"),
        ("--set", "batch_size=0", "a whole number"),
        ("--set", "label_smoothing=1.5", "below 1"),
        ("--set", "lr", "KEY=VALUE"),
        ("--set", "data.grayscale=3", "true or false"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_with_what_is(fails, option, value, allowed):
    assert allowed in fails(2, "train", "cnn", option, value)


@pytest.mark.parametrize("command", [["train"], ["eval"], ["predict"], ["models", "show"]])
def test_a_missing_argument_is_a_usage_error_that_names_the_help(fails, command):
    said = fails(2, *command)
    assert "missing" in said.lower()


def test_an_error_of_ours_gives_its_code_and_all_its_lines(fails, in_data_list):
    in_data_list(errors.DataError("what", why="why", hint="do"))
    assert fails(3, "data", "list") == "error: what\n       why\n       do\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("a bug"), 1),
        (MemoryError(), 6),
        (OSError(errno.ENOSPC, "No space left on device", "runs/x"), 9),
        (PermissionError(errno.EACCES, "Permission denied", "runs/x"), 9),
        (KeyboardInterrupt(), 130),
    ],
)
def test_any_other_error_has_its_code_and_no_traceback(fails, in_data_list, error, code):
    in_data_list(error)
    said = fails(code, "data", "list")
    if code == 1:
        assert "RuntimeError: a bug" in said
        assert "-vv" in said


def test_the_traceback_is_shown_with_vv_only(dlcli, in_data_list):
    in_data_list(errors.DataError("what"))
    assert "Traceback" not in dlcli("data", "list", "-v").err
    shown = dlcli("data", "list", "-vv").err
    assert "Traceback" in shown
    assert shown.endswith("error: what\n")


def test_a_name_with_control_characters_cannot_forge_lines(fails):
    said = fails(2, "train", "cnn\nerror: forged\x1b[31m")
    assert "\\n" in said
    assert "\x1b" not in said


def test_a_pipe_that_nobody_reads_ends_quietly(start, environment):
    read, write = os.pipe()
    os.close(read)
    command = [*start, "data", "list"]
    done = subprocess.run(command, env=environment, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_closed_output_ends_quietly(start, environment):
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *start, "data", "show", "digits"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_under_the_output_is_an_output_error(start, environment):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*start, "data", "show", "digits"],
            env=environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 9
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) <= 3


@pytest.mark.parametrize(
    "setting",
    [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"COLUMNS": "20"}, {"LC_ALL": "C"}, {"HOME": ""}],
    ids=lambda s: next(iter(s)),
)
def test_a_poor_environment_changes_no_result(dlcli, start, environment, setting):
    environment.update(setting)
    given = {k: v for k, v in environment.items() if v}
    command = [*start, "data", "show", "digits"]
    done = subprocess.run(command, env=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == dlcli("data", "show", "digits").out


def test_the_process_seldom_looks_for_cycles_and_gives_the_exit_code(start, environment, tmp_path):
    program = "import gc, dlcli.__main__ as m; code = m.run(); print(code, gc.get_threshold()[0])"
    done = subprocess.run(
        [sys.executable, "-c", program, "trian"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "2 50000\n"
    again = subprocess.run([*start, "trian"], env=environment, cwd=tmp_path, check=False)
    assert again.returncode == 2
