"""The JSON of every command is what docs/schemas.json says: standard JSON Schema, in one version.

What the schemas use of JSON Schema is checked by a few lines here.
"""

import json
from pathlib import Path

import click
import pytest

from dlcli.cli import main

SCHEMAS = json.loads((Path(__file__).resolve().parents[2] / "docs" / "schemas.json").read_text())
TYPES = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "array": list,
    "null": type(None),
}
KNOWN = {"type", "properties", "required", "additionalProperties", "items", "$ref", "anyOf"}


def wrong(value, schema, at="$"):
    """What of a value is not as a schema says, each with its place."""
    assert set(schema) <= KNOWN, schema
    if "$ref" in schema:
        return wrong(value, SCHEMAS["$defs"][schema["$ref"].removeprefix("#/$defs/")], at)
    if "anyOf" in schema:
        each = [wrong(value, other, at) for other in schema["anyOf"]]
        return [] if [] in each else each[0]
    if "type" in schema:
        names = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        kinds = tuple(TYPES[name] for name in names)
        number = isinstance(value, bool) and "boolean" not in names
        if number or not any(isinstance(value, kind) for kind in kinds):
            return [f"{at} is {value!r}, not {names}"]
    found = []
    if isinstance(value, list) and "items" in schema:
        for i, item in enumerate(value):
            found += wrong(item, schema["items"], f"{at}[{i}]")
    if isinstance(value, dict):
        inside = schema.get("properties", {})
        found += [
            f"{at}.{key} is missing" for key in schema.get("required", ()) if key not in value
        ]
        more = schema.get("additionalProperties", True)
        for key, item in value.items():
            if key in inside:
                found += wrong(item, inside[key], f"{at}.{key}")
            elif more is False:
                found.append(f"{at}.{key} is not documented")
            elif more is not True:
                found += wrong(item, more, f"{at}.{key}")
    return found


def document(name):
    return SCHEMAS["documents"][name]


def commands():
    """The names of all commands that have --json."""
    for name in main.commands():
        command = main.cli.get_command(None, name)
        group = isinstance(command, click.Group)
        below = (
            [(f"{name} {n}", command.get_command(None, n)) for n in command.list_commands(None)]
            if group
            else [(name, command)]
        )
        for path, found in below:
            if any("--json" in option.opts for option in found.params):
                yield path


def test_every_command_that_prints_json_has_a_schema():
    assert [name for name in commands() if name not in SCHEMAS["documents"]] == []


def test_the_version_is_one_and_every_schema_is_described_in_the_docs():
    """Another version is due when a key goes, or means or holds something else."""
    assert SCHEMAS["version"] == 1
    page = (Path(__file__).resolve().parents[2] / "docs" / "scripting.md").read_text()
    bare = {name.partition(",")[0].partition(" --")[0] for name in SCHEMAS["documents"]}
    assert [name for name in bare if f"`dlcli {name}" not in page] == []


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"run": "r", "report": "f", "bytes": 1, "pictures": [], "notes": []}, []),
        ({"run": "r", "report": "f", "bytes": 1, "pictures": []}, ["$.notes is missing"]),
        (
            {"run": "r", "report": "f", "bytes": True, "pictures": [1], "notes": [], "x": 0},
            [
                "$.bytes is True, not ['integer']",
                "$.pictures[0] is 1, not ['string']",
                "$.x is not documented",
            ],
        ),
    ],
)
def test_a_document_that_differs_is_found(value, said):
    assert wrong(value, document("report")) == said


CALLS = {
    "train": ("train", "cnn-small", "--max-steps", "2", "--no-plots", "--out", "made/a"),
    "train --dry-run": ("train", "cnn-small", "--dry-run"),
    "train --find-lr": ("train", "cnn-small", "--find-lr"),
    "eval": ("eval", "RUN", "--no-plots"),
    "eval, a classifier": ("eval", "RUN", "--no-plots"),
    "explain": ("explain", "RUN", "IMAGE", "absent.png", "--keep-going", "-o", "why"),
    "report": ("report", "RUN", "-o", "r.html"),
    "models list": ("models", "list"),
    "models show": ("models", "show", "cnn"),
    "models show --plan": ("models", "show", "mlp", "--plan", "--batch-size", "9"),
    "data list": ("data", "list"),
    "data show": ("data", "show", "digits"),
    "data show, samples": ("data", "show", "digits", "-n", "3"),
    "data check": ("data", "check", "digits"),
    "data stats": ("data", "stats", "digits"),
    "data export": ("data", "export", "digits", "-n", "2", "-o", "some"),
    "data get": ("data", "get", "digits"),
    "runs list": ("runs", "list", "PARENT"),
    "runs show": ("runs", "show", "RUN"),
    "runs compare": ("runs", "compare", "RUN", "RUN"),
    "runs prune": ("runs", "prune", "PARENT", "--state", "finished"),
    "doctor": ("doctor",),
    "kernels list": ("kernels", "list", "softmax"),
    "kernels show": ("kernels", "show", "softmax/cpu_numba"),
    "kernels verify": ("kernels", "verify", "add", "--device", "cpu"),
    "kernels new": ("kernels", "new", "matmul", "my.cu"),
    "kernels tune": ("kernels", "tune", "--list"),
}
BENCH = ("kernels", "bench", "scale", "--shape", "N=64", "--repeats", "6", "--no-vendor")


@pytest.mark.parametrize("name", CALLS)
def test_the_document_of_a_command_is_as_its_schema_says(dlcli, trained, digit, name):
    places = {"RUN": trained, "PARENT": trained.parent, "IMAGE": digit[0]}
    result = dlcli(*(places.get(word, word) for word in CALLS[name]), "--json")
    assert result.code == 0, result.err
    assert wrong(result.json, document(name)) == []


def test_what_is_measured_of_kernels_and_compared_is_as_its_schema_says(dlcli):
    assert dlcli(*BENCH, "--json", "-q", "-o", "base.json").code == 0
    assert wrong(json.loads(Path("base.json").read_text()), document("kernels bench")) == []
    found = dlcli("kernels", "compare", "base.json", "base.json", "--fail-slower", "900%", "--json")
    assert wrong(found.json, document("kernels compare")) == []


def test_a_line_of_predictions_is_as_its_schema_says(dlcli, trained, digit):
    good, bad = dlcli("predict", trained, digit[0], "absent.png", "--keep-going").lines
    assert wrong(good, document("predict, a line of a classifier")) == []
    assert wrong(bad, document("predict, a line of an error")) == []


def test_how_a_folder_was_divided_is_as_its_schema_says(dlcli):
    assert dlcli("data", "export", "digits", "-n", "30", "--split", "test", "-o", "one").code == 0
    found = dlcli("data", "split", "one", "-o", "parts", "--json")
    assert found.code == 0, found.err
    assert wrong(found.json, document("data split")) == []


def test_what_is_generated_and_a_run_again_are_as_their_schemas_say(dlcli):
    Path("text.txt").write_text("to be or not to be, that is the question\n" * 60)
    how = ("--max-steps", "1", "--no-plots", "--out")
    assert dlcli("train", "char-lm", "--data", "text.txt", *how, "t").code == 0
    made = dlcli("generate", "t", "--length", "5", "--json").json
    assert wrong(made, document("generate")) + wrong(made, document("generate, texts")) == []
    assert dlcli("train", "vae", *how, "v").code == 0
    made = dlcli("generate", "v", "-n", "2", "-o", "v.png", "--json").json
    assert wrong(made, document("generate")) + wrong(made, document("generate, images")) == []
    assert dlcli("train", "mlp", *how, "m").code == 0
    again = dlcli("runs", "reproduce", "m", "--out", "n", "--json").json
    assert wrong(again, document("runs reproduce")) == []


def test_a_damaged_run_is_listed_by_the_same_schema(dlcli, a_copy):
    (a_copy / "config.toml").write_text("[model")
    found = dlcli("runs", "list", a_copy.parent, "--json").json
    assert any("damaged" in run for run in found)
    assert wrong(found, document("runs list")) == []
