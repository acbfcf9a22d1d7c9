"""dlcli predict: says what images show, one line of JSON for each.

Results stream: a line is written when its batch is done, always whole. An input that cannot be
read gives a line with "error" in its place, and the others go on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import click

from dlcli.cli import output
from dlcli.cli.options import (
    Number,
    command,
    device_options,
    messages,
    model_file,
    precision,
)
from dlcli.errors import DataError, OutputError, UsageError

BATCH = 64  # images at a time: large enough to be fast, small enough to stream
MOST_STDIN = 256 << 20  # bytes of an image on standard input


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
    default=3,
    show_default=True,
    help="How many of the most probable classes are listed.",
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
@messages
def main(
    run: Path,
    inputs: tuple[str, ...],
    top_k: int,
    keep_going: bool,
    out: Path | None,
    model_file: Path | None,
    device: str,
    threads: int | None,
    precision: str,
) -> int:
    """Says which class each INPUT shows: an image, a folder of images, or - for standard input.

    Folders are searched with all that is below them, in the order of names. Each image gives one
    line of JSON: its name in "input", the most probable "class" with its "probability", and
    "top" with the next ones; or its name in "input" and an "error". Exits with 3 if there were
    errors.
    """
    if out is not None and os.path.lexists(out):
        raise UsageError(f"{out}: exists", why="nothing is overwritten", hint="choose another -o")
    from dlcli.cli import build

    build.device(device, threads, precision)
    restored = build.restore(run, model_file)
    bad = total = 0
    with _writer(out) as write:
        for lines in _predict(restored, _expand(inputs), top_k):
            total += len(lines)
            bad += sum("error" in line for line in lines)
            write("".join(output.json_line(line) + "\n" for line in lines))
    if bad:
        output.warn(f"{bad:,} of {total:,} inputs could not be read")
    return 0 if keep_going or not bad else DataError.exit_code


def _expand(inputs: Iterable[str]) -> Iterator[str | dict[str, Any]]:
    """The images to read: files, "-", and what is below folders; a folder without any is bad."""
    from dlcli.data.image import SUFFIXES

    for name in inputs:
        if name == "-" or not os.path.isdir(name):
            yield name
            continue
        found = False
        problems: list[OSError] = []
        for folder, below, files in os.walk(name, onerror=problems.append):
            below.sort()
            for file in sorted(files):
                if Path(file).suffix.lower() in SUFFIXES:
                    found = True
                    yield os.path.join(folder, file)
        for problem in problems:
            yield _bad(str(problem.filename), problem.strerror or str(problem))
        if not found and not problems:
            yield _bad(name, "the folder holds no images")


def _bad(name: str, *lines: str) -> dict[str, Any]:
    return {"input": name, "error": ": ".join(lines)}


def _predict(
    restored: Any, inputs: Iterable[str | dict[str, Any]], top_k: int
) -> Iterator[list[dict[str, Any]]]:
    """Lines for batches of inputs, in their order."""
    batch: list[tuple[str, Any]] = []  # a name with its image, or with its line where it is bad
    for item in inputs:
        batch.append(_read(item, restored.shape))
        if len(batch) == BATCH:
            yield _lines(restored, batch, top_k)
            batch = []
    if batch:
        yield _lines(restored, batch, top_k)


def _read(item: str | dict[str, Any], shape: tuple[int, int, int]) -> tuple[str, Any]:
    from dlcli.data.image import read_image

    if isinstance(item, dict):
        return item["input"], item
    try:
        if item == "-":
            return item, read_image(sys.stdin.buffer.read(MOST_STDIN + 1), shape, name=item)
        return item, read_image(Path(item), shape)
    except DataError as error:
        what = error.what.removeprefix(f"{item}: ")
        return item, _bad(item, *filter(None, (what, error.why)))


def _lines(restored: Any, batch: list[tuple[str, Any]], top_k: int) -> list[dict[str, Any]]:
    import numpy as np

    from dlcli.train.evaluate import predict_proba, top_classes

    images = [image for _, image in batch if not isinstance(image, dict)]
    rows = iter(())
    if images:
        share = predict_proba(restored.model, np.stack(images), restored.normalize)
        best = top_classes(share, min(top_k, len(restored.classes)))
        rows = iter(zip(share, best, strict=True))
    lines = []
    for name, image in batch:
        if isinstance(image, dict):
            lines.append(image)
            continue
        shares, order = next(rows)
        top = [{"class": restored.classes[i], "probability": float(shares[i])} for i in order]
        lines.append({"input": name, **top[0], "top": top})
    return lines


@contextmanager
def _writer(out: Path | None) -> Iterator[Any]:
    """Writes whole lines to stdout, or to a file that gets its name when all is in it."""
    if out is None:
        yield _flushing(sys.stdout)
        return
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        with open(part, "x", encoding="utf-8") as file:
            yield _flushing(file)
            os.fsync(file.fileno())
        os.replace(part, out)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written", why=error.strerror or "") from error
    finally:
        with suppress(OSError):  # never made, where the folder cannot be written
            part.unlink()


def _flushing(stream: IO[str]) -> Any:
    def write(lines: str) -> None:
        stream.write(lines)
        stream.flush()

    return write
