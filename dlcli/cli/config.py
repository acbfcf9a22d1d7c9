"""What a training run is asked to be: defaults < the dataset's recipe < -c FILE < --set < flags.

The configuration has three tables, in FILE as in the config.toml of a run (which can hence be
given as -c to repeat the run):

    [model]   name, file, and the settings of the model      (--set model.hidden=[64])
    [data]    source, and options of the kind of its samples     (--set data.vocabulary=5000)
    [train]   the values of a Recipe                         (--set train.lr=0.01, or lr=0.01)

An unknown key is a usage error with a suggestion, and so is a value of another type.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dlcli.data import kind as kinds
from dlcli.errors import UsageError, did_you_mean

MOST_BYTES = 1 << 20  # of a configuration file: a larger one is a mistake
MODEL_KEYS = {"name": str, "file": str}
TABLES = ("model", "data", "train")


@dataclass
class Config:
    """The three tables as they were asked for; `train` lacks the dataset's recipe and defaults."""

    model: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)

    @property
    def model_settings(self) -> dict[str, Any]:
        """The model's own settings."""
        return {k: v for k, v in self.model.items() if k not in MODEL_KEYS}

    def update(self, other: Mapping[str, Mapping[str, Any]]) -> None:
        """What `other` says goes before what was said so far."""
        for table, values in other.items():
            getattr(self, table).update(values)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Plain tables for config.toml."""
        return {table: _plain(getattr(self, table)) for table in TABLES}


def _plain(table: Mapping[str, Any]) -> dict[str, Any]:
    """Tuples as lists and paths as text; what is None is left out: TOML has no null."""
    found = {}
    for key, value in table.items():
        if isinstance(value, tuple):
            value = list(value)
        if value is not None:
            found[key] = str(value) if isinstance(value, Path) else value
    return found


# --- a file -------------------------------------------------------------------------------------


def read(path: Path) -> dict[str, dict[str, Any]]:
    """The tables of a TOML file. UsageError: it cannot be read, is no TOML, has unknown tables."""
    try:
        with open(path, "rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read", why=error.strerror or str(error)) from error
    if len(raw) > MOST_BYTES:
        raise UsageError(f"{path}: is too large", why=f"at most {MOST_BYTES:,} bytes are read")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        raise UsageError(f"{path}:{line}:{column}: is not UTF-8") from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}:{_place(text, error)}: is not TOML", why=str(error)) from error
    except ValueError as error:  # Python refuses whole numbers of thousands of digits
        raise UsageError(f"{path}: holds a number that is too long", why=str(error)) from error
    except RecursionError as error:
        raise UsageError(f"{path}: is nested too deeply") from error
    if _too_long(values):
        why = "a whole number has 64 bits at the most in TOML"
        raise UsageError(f"{path}: holds a number that is too long", why=why)
    for table, content in values.items():
        if table not in TABLES:
            why = did_you_mean(table, TABLES)
            raise UsageError(f"{path}: there is no table [{table}]", why=why)
        if not isinstance(content, dict):
            raise UsageError(f"{path}: {table} is not a table", why=f"write it as [{table}]")
    return values


def _too_long(value: Any) -> bool:
    """Whether a value, or one in it, is a whole number that is none of TOML's; it may be more than
    the largest float.
    """
    if isinstance(value, int):
        return not -(1 << 63) <= value < 1 << 63
    if isinstance(value, dict | list):
        return any(map(_too_long, value.values() if isinstance(value, dict) else value))
    return False


def _place(text: str, error: tomllib.TOMLDecodeError) -> str:
    """line:column of an error, which Python 3.11 says in the message only."""
    if found := re.search(r"line (\d+), column (\d+)", str(error)):
        return f"{found[1]}:{found[2]}"
    return f"{text.count(chr(10)) + 1}:{len(text) - text.rfind(chr(10))}"


# --- --set --------------------------------------------------------------------------------------


def value_of(text: str) -> Any:
    """A value as TOML reads it (a number, true, "text", [1, 2]), and plain text as text."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return parsed["value"] if list(parsed) == ["value"] and not _too_long(parsed) else text


def assignments(
    pairs: Iterable[str], recipe: Iterable[str], model: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """`["lr=0.01", "model.hidden=[64]"]` as tables.

    recipe, model: the keys that there are. A key without a table is looked for in both, the
    recipe first. UsageError: another form, or an unknown key, with a suggestion.
    """
    known = {
        "model": [*model],
        "data": list(data_keys()),
        "train": list(recipe),
    }
    tables: dict[str, dict[str, Any]] = {table: {} for table in TABLES}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        name = name.strip()
        if not equals or not name:
            raise UsageError(f"--set: '{pair}' is not allowed", why="it takes KEY=VALUE: lr=0.01")
        table, dot, key = name.partition(".")
        if not dot:
            key = name
            table = next((t for t in ("train", "model") if key in known[t]), "")
        if table not in known or key not in known[table]:
            bare = {*known["train"], *known["model"]}
            names = {f"{t}.{k}" for t in TABLES for k in known[t]} if dot else bare
            raise UsageError(f"--set: there is no key '{name}'", why=did_you_mean(name, names))
        tables[table][key] = value_of(text.strip())
    return tables


# --- checks -------------------------------------------------------------------------------------


def data_keys() -> dict[str, type]:
    """The keys of [data] with their types: the source, and what each kind of samples takes."""
    return {"source": str, **{key: s.type for key, s in kinds.settings().items()}}


def check_data(values: Mapping[str, Any]) -> None:
    """UsageError: an unknown key of [data], or a value of another type."""
    known = data_keys()
    for key, value in values.items():
        if key not in known:
            raise UsageError(f"data.{key}: no such key", why=did_you_mean(key, known))
        _check_type(f"data.{key}", value, known[key])


def model_config(kind: type, values: Mapping[str, Any]) -> Any:
    """The model's `Config` with `values` in place of its defaults.

    UsageError: a key that it has not, a value of another type than the default's, or one that
    the model refuses.
    """
    fields = {f.name: f for f in dataclasses.fields(kind)}
    made = {}
    for key, value in values.items():
        if key not in fields:
            raise UsageError(f"model.{key}: no such key", why=did_you_mean(key, fields))
        made[key] = _as_default(f"model.{key}", value, default_of(fields[key]))
    try:
        return kind(**made)
    except (ValueError, TypeError) as error:
        raise UsageError("the model refuses its settings", why=str(error)) from error


def default_of(field_: dataclasses.Field[Any]) -> Any:
    """The default of a dataclass's field, None where it has none."""
    if field_.default is not dataclasses.MISSING:
        return field_.default
    made = field_.default_factory
    return None if made is dataclasses.MISSING else made()


def _as_default(key: str, value: Any, default: Any) -> Any:
    """`value` in the type of `default`; a list for a tuple, a whole number for a float."""
    if isinstance(default, tuple):
        if not isinstance(value, list | tuple):
            raise UsageError(f"{key} = {value!r} is not allowed", why="it takes a list: [64, 32]")
        return tuple(_as_default(key, v, default[0]) if default else v for v in value)
    if default is None or value is None:
        return value
    _check_type(key, value, type(default))
    return type(default)(value)


WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def _check_type(key: str, value: Any, kind: type) -> None:
    fits = isinstance(value, kind) or (kind is float and isinstance(value, int))
    if not fits or (isinstance(value, bool) and kind is not bool):
        why = f"it takes {WORDS.get(kind, kind.__name__)}"
        raise UsageError(f"{key} = {value!r} is not allowed", why=why)
