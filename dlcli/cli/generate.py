"""dlcli generate: makes something new by a trained model, such as text, as it is produced.

What a model can make and by which options, the task that it was trained for says; how each kind of
thing reaches the user, `generate_text` and `generate_image` say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from dlcli.cli import output
from dlcli.cli.options import (
    Number,
    command,
    device_options,
    model_file,
    no_plan,
    output_options,
    precision,
)
from dlcli.cli.writer import check_new
from dlcli.errors import UsageError

SIGINT = 130  # 128 + the signal's number, as a shell says it


@command(
    "generate",
    examples=[
        "dlcli train cnn-small --max-steps 3 --out runs/first",
        "dlcli train char-lm --data runs/first/config.toml --epochs 2 --out runs/text",
        "dlcli generate runs/text --length 200",
        "dlcli generate runs/text --prompt model --temperature 0.5 --stop .",
        "dlcli generate runs/text -n 3 --length 80 --seed 7 -o texts.jsonl",
    ],
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--prompt", metavar="TEXT", help="What the text begins with [default: nothing].")
@click.option(
    "--length",
    type=Number(int, 1),
    help="Characters or words to add to the prompt [default: 500].",
)
@click.option(
    "--temperature",
    type=Number(float, 0),
    help="Below 1 what is probable gets more so; 0 always takes the best [default: 0.8].",
)
@click.option("--top-k", type=Number(int, 1), help="Choose among the K most probable only.")
@click.option(
    "--top-p",
    type=Number(float, 0, 1, above=True),
    help="Choose among the most probable that together reach P only.",
)
@click.option("--stop", metavar="TEXT", help="End before TEXT.")
@click.option("--class", metavar="NAME", help="Images of a class, by a --conditional model.")
@click.option(
    "--interpolate",
    type=Number(int, 2),
    metavar="STEPS",
    help="Rows of images that lead from one to another.",
)
@click.option("--input", metavar="FILE", help="The picture to repaint, by pix2pix or cyclegan.")
@click.option("--direction", metavar="WAY", help="a-to-b or b-to-a, of cyclegan [default: a-to-b].")
@click.option(
    "--seed",
    type=Number(int, 0, 2**63 - 1),
    default=0,
    show_default=True,
    help="The same seed gives the same.",
)
@click.option(
    "-n",
    "samples",
    type=Number(int, 1),
    help="How many to make; texts as lines of JSON [default: a text as it is, or 64 images].",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write to FILE, which must not exist, instead of standard output; images need one, .png.",
)
@click.option(
    "--each",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write each image to a file of its own in DIR, a new folder.",
)
@model_file
@device_options
@precision
@no_plan
@output_options
def main(
    run: Path,
    seed: int,
    samples: int | None,
    out: Path | None,
    each: Path | None,
    model_file: Path | None,
    device: str,
    threads: int | None,
    precision: str,
    no_plan: bool,
    **given: Any,
) -> int:
    """Makes new text or new images by the best checkpoint of RUN.

    Text, of a language model (char-lm, word-lm), is written as it is produced: the prompt and what
    follows it. With -n each is a line of JSON with its number in "sample" and what follows the
    prompt in "text". Without a prompt a text begins as if behind a line's end.

    Images (gan, dcgan, wgan, lsgan, vae, autoencoder) become a grid, one PNG, with -o, and files of
    their own with --each. A conditional model goes through its classes unless one is asked for.

    Sample i of a seed is the same however many there are.
    """
    check_new(out)
    check_new(each)
    if given["stop"] == "":
        raise UsageError("--stop '' is not allowed", why="every text would end before it begins")
    from dlcli.cli import build
    from dlcli.train import task as tasks

    build.device(device, threads, precision, no_plan=no_plan)
    trained = build.restore(run, model_file)
    maker = tasks.generator(tasks.of(trained.kind), trained.info["name"])
    options = tasks.chosen(maker, given)
    for note in maker.check(trained, options):
        output.warn(note)
    way = import_module(f"dlcli.cli.generate_{maker.makes}")
    try:
        way.write(Made(trained, maker, options, seed), samples, out, each)
    except KeyboardInterrupt:
        return SIGINT
    except BrokenPipeError:  # the reader has what it wanted
        output.silence()
    return 0


@dataclass(frozen=True)
class Made:
    """What is to be made: samples by their numbers."""

    trained: Any
    maker: Any
    options: Mapping[str, Any]
    seed: int

    def pieces(self, sample: int) -> Iterator[Any]:
        """Those of a sample."""
        found: Iterator[Any] = self.maker.generate(
            self.trained, self.options, seed=self.seed, sample=sample
        )
        return found

    @property
    def about(self) -> dict[str, Any]:
        """What a document says of it."""
        return {"run": self.trained.run.path, "seed": self.seed, "options": self.options}
