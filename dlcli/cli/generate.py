"""dlcli generate: makes something new by a trained model, such as text, as it is produced.

What a model can make and by which options, the task that it was trained for says; how each kind of
thing reaches the user stands here.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from dlcli.cli import output
from dlcli.cli.options import (
    Number,
    command,
    device_options,
    model_file,
    output_options,
    precision,
)
from dlcli.cli.writer import check_new, writer
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
    help="How many to make, as lines of JSON [default: one, as it is].",
)
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
@output_options
def main(
    run: Path,
    seed: int,
    samples: int | None,
    out: Path | None,
    model_file: Path | None,
    device: str,
    threads: int | None,
    precision: str,
    **given: Any,
) -> int:
    """Makes new text by the best checkpoint of RUN, a language model: char-lm or word-lm.

    It is written as it is produced: the prompt and what follows it. With -n each is a line of JSON
    with its number in "sample" and what follows the prompt in "text"; sample i of a seed is the
    same however many there are. Without a prompt a text begins as if behind a line's end.
    """
    check_new(out)
    if given["stop"] == "":
        raise UsageError("--stop '' is not allowed", why="every text would end before it begins")
    from dlcli.cli import build
    from dlcli.train import task as tasks

    build.device(device, threads, precision)
    trained = build.restore(run, model_file)
    maker = tasks.generator(tasks.of(trained.kind), trained.info["name"])
    options = tasks.chosen(maker, given)
    for note in maker.check(trained, options):
        output.warn(note)
    made = Made(trained, maker, options, seed)
    try:
        with writer(out) as write:
            WAYS[maker.makes](made, samples, write, on_terminal=out is None)
    except KeyboardInterrupt:
        return SIGINT
    except BrokenPipeError:  # the reader has what it wanted
        output.silence()
        return 0
    output.note(made.speed())
    return 0


class Made:
    """Samples as they are made, with the time that it took."""

    def __init__(self, trained: Any, maker: Any, options: Mapping[str, Any], seed: int) -> None:
        self.trained, self.maker, self.options, self.seed = trained, maker, options, seed
        self.count, self.seconds = 0, 0.0

    def pieces(self, sample: int) -> Any:
        """Those of a sample, behind what it was to begin with."""
        began = time.perf_counter()
        for piece in self.maker.generate(self.trained, self.options, seed=self.seed, sample=sample):
            self.seconds += time.perf_counter() - began
            self.count += len(piece)
            yield piece
            began = time.perf_counter()
        self.seconds += time.perf_counter() - began

    def rate(self) -> float | None:
        """Characters per second, the time of whoever takes them left out."""
        return self.count / self.seconds if self.seconds else None

    def speed(self) -> str:
        """The same in words."""
        return f"{self.count:,} characters in {self.seconds:.2f} s, {self.rate() or 0:,.0f}/s"


def _texts(made: Made, samples: int | None, write: Any, *, on_terminal: bool) -> None:
    """Text as it comes, or each as a line of JSON, or all as one document."""
    if samples is None and not output.settings.json:
        shown = output.safe if on_terminal and sys.stdout.isatty() else str
        write(shown(made.options["prompt"]))
        for piece in made.pieces(0):
            write(shown(piece))
        write("\n")
        return
    found = []
    for sample in range(samples or 1):
        text = "".join(made.pieces(sample))
        found.append({"sample": sample, "prompt": made.options["prompt"], "text": text})
        if not output.settings.json:
            write(output.json_line({**found[-1], "seed": made.seed}) + "\n")
    if output.settings.json:
        about = {"run": made.trained.run.path, "seed": made.seed, "options": made.options}
        document = {**about, "samples": found, "characters_per_second": made.rate()}
        write(output.as_document(document) + "\n")


WAYS = {"text": _texts}
