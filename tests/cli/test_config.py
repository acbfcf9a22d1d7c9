"""The configuration: files, --set, and what is refused."""

from dataclasses import dataclass

import pytest

from dlcli.cli import config
from dlcli.cli.options import Duration
from dlcli.errors import UsageError


@dataclass(frozen=True)
class Settings:
    """What a model could have."""

    hidden: tuple[int, ...] = (64,)
    dropout: float = 0.0
    act: str = "relu"
    bias: bool = True

    def __post_init__(self):
        if self.act == "none":
            raise ValueError("act: there is no 'none'")


def written(folder, data):
    path = folder / "c.toml"
    path.write_bytes(data)
    return path


def test_a_byte_order_mark_and_windows_line_ends_are_no_obstacle(tmp_path):
    path = written(tmp_path, b"\xef\xbb\xbf[train]\r\nlr = 0.5\r\n")
    assert config.read(path) == {"train": {"lr": 0.5}}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"[train]\nlr = \xff", "c.toml:2:6: is not UTF-8"),
        (b"[train]\nlr = ", "c.toml:2:6: is not TOML"),
        (b"[train]\nlr = = 1\n", "c.toml:2:6: is not TOML"),
        (b"[trian]\n", "did you mean 'train'?"),
        (b"train = 3\n", "write it as [train]"),
        (b"[data]\nx = " + b"[" * 50_000, "nested too deeply"),
        (b"#" * (config.MOST_BYTES + 1), "too large"),
        (b"[train]\nlr = " + b"9" * 5000, "a number that is too long"),
        (b"[train]\nlr = " + b"9" * 400, "a number that is too long"),
        (b"[model]\nx = [1, [-9223372036854775809]]", "a number that is too long"),
        (b"[train.until]\nloss = 9223372036854775808", "a number that is too long"),
    ],
    ids=[
        *("not UTF-8", "cut short", "not TOML", "unknown table", "no table", "nested", "large"),
        *("digits", "no float", "in a list", "in a table"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused_with_its_place(tmp_path, data, said):
    with pytest.raises(UsageError) as caught:
        config.read(written(tmp_path, data))
    assert said in " ".join(caught.value.lines())


def test_the_longest_numbers_of_toml_are_read(tmp_path):
    ends = b"[train]\nseed = 9223372036854775807\nlr = -9223372036854775808"
    assert config.read(written(tmp_path, ends))["train"] == {"seed": 2**63 - 1, "lr": -(2**63)}
    assert config.value_of("9223372036854775807") == 2**63 - 1
    assert config.value_of("9223372036854775808") == "9223372036854775808"


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        config.read(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("1e-3", 1e-3),
        ("true", True),
        ("[1, 2]", [1, 2]),
        ('"a"', "a"),
        ("cosine", "cosine"),
        ("1\nb = 2", "1\nb = 2"),
        ("", ""),
        ("[" * 50_000, "[" * 50_000),
    ],
)
def test_a_value_is_read_as_toml_and_else_is_text(text, value):
    assert config.value_of(text) == value


def test_a_key_without_a_table_is_found_in_the_recipe_first_and_then_in_the_model():
    found = config.assignments(
        ["lr=1", "hidden=[2]", "model.act=tanh", "data.source=x"], ["lr"], ["hidden", "act", "lr"]
    )
    assert found["train"] == {"lr": 1}
    assert found["model"] == {"hidden": [2], "act": "tanh"}
    assert found["data"] == {"source": "x"}


def test_settings_take_the_types_of_their_defaults():
    assert config.model_config(Settings, {"hidden": [8, 4], "dropout": 1}) == Settings((8, 4), 1.0)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"hiden": [1]}, "did you mean 'hidden'?"),
        ({"hidden": 3}, "a list"),
        ({"hidden": ["a"]}, "a whole number"),
        ({"dropout": "much"}, "a number"),
        ({"dropout": True}, "a number"),
        ({"bias": 1}, "true or false"),
        ({"act": "none"}, "there is no 'none'"),
    ],
)
def test_a_setting_that_the_model_has_not_or_cannot_take_is_refused(values, said):
    with pytest.raises(UsageError) as caught:
        config.model_config(Settings, values)
    assert said in " ".join(caught.value.lines())


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), (".5s", 0.5)]
)
def test_a_time_is_read_in_seconds_minutes_or_hours(text, seconds):
    assert Duration().convert(text, None, None) == seconds
