"""dlcli predict: says what images show or texts say, one line of JSON for each.

Results stream: a line is written when its batch is done, always whole. An input that cannot be
read gives a line with "error" in its place, and the others go on. What an input is, the kind of
the model's samples says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from dlcli.cli import output
from dlcli.cli.options import (
    Number,
    command,
    device_options,
    messages,
    model_file,
    no_plan,
    precision,
)
from dlcli.cli.writer import check_new, writer
from dlcli.errors import DataError


@command(
    "predict",
    examples=[
        "dlcli train cnn --epochs 3 --out runs/first",
        "dlcli predict runs/first runs/first/plots/curves.png",
        "dlcli predict runs/first --top-k 1 - < runs/first/plots/curves.png",
        "dlcli predict runs/first runs/first/plots -o predictions.jsonl",
    ],
)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option(
    "--top-k",
    type=Number(int, 1),
    help="How many of the most probable classes are listed [default: 3], or items [default: 10].",
)
@click.option(
    "--explain",
    is_flag=True,
    help="Add how much each word weighed, in colours on a terminal; for text-attention.",
)
@click.option(
    "--beam",
    type=Number(int, 1, 100),
    help="How many beginnings of a translation are followed at a time [default: 1, greedily].",
)
@click.option("--keep-going", is_flag=True, help="Exit with 0 even if inputs could not be read.")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write to FILE, which must not exist, instead of standard output.",
)
@model_file
@device_options
@precision
@no_plan
@messages
def main(
    run: Path,
    inputs: tuple[str, ...],
    top_k: int | None,
    explain: bool,
    beam: int | None,
    keep_going: bool,
    out: Path | None,
    model_file: Path | None,
    device: str,
    threads: int | None,
    precision: str,
    no_plan: bool,
) -> int:
    """Says of which class each INPUT is, an image, a sound or a text; - is standard input.

    For a model of images, INPUT is an image or a folder, which is searched with all that is below
    it, in the order of names; for one of sounds, a WAV file or a folder. For a model of texts it is
    a file or a pipe with a text on each line, answered as they come, or a .csv or .tsv with a
    column text. For a model of series it is a table, of which what follows its end is told; for one
    of ratings, lines with a user each, or with a user and an item.

    Each gives one line of JSON: its name in "input", the most probable "class" with its
    "probability", and "top" with the next ones, of a sentence its "translation" with its "score",
    of a line of a language the "nats" that each of its characters or words takes on average, of an
    image by an autoencoder its "code" with the "rmse" of what is made of that; or its name in
    "input" and an "error". Exits with 3 if there were errors.
    """
    check_new(out)
    from dlcli.cli import build
    from dlcli.train import task as tasks

    build.device(device, threads, precision, no_plan=no_plan)
    trained = build.restore(run, model_file)
    task = tasks.of(trained.kind)
    options = tasks.chosen(task, {"top_k": top_k, "explain": explain, "beam": beam})
    bad = total = 0
    with writer(out) as write:
        for batch in tasks.inputs(trained, inputs):
            lines = _lines(trained, task, batch, options)
            total += len(lines)
            bad += sum("error" in line for line in lines)
            write("".join(output.json_line(line) + "\n" for line in lines))
    if bad:
        output.warn(f"{bad:,} of {total:,} inputs could not be read")
    return 0 if keep_going or not bad else DataError.exit_code


def _lines(
    trained: Any, task: Any, batch: Sequence[Any], options: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """A line for each input of a batch, in their order."""
    samples = [item.sample for item in batch if not item.error]
    found = iter(task.predict(trained, samples, options) if samples else ())
    lines: list[dict[str, Any]] = []
    for item in batch:
        if item.error:
            lines.append({"input": item.name, "error": item.error})
            continue
        lines.append({"input": item.name, **item.about, **next(found)})
        if "weights" in lines[-1]:
            output.weighted(lines[-1]["class"], lines[-1]["weights"])
    return lines
