"""dlcli explain: shows what in an image makes a classifier say its class, as a picture."""

from __future__ import annotations

import os
from collections.abc import Iterable
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
from dlcli.errors import CheckpointError, DataError, NonFiniteError, UsageError, did_you_mean

FOLDER = "explanations"  # of the run
TOP = 5  # classes that are listed


@command(
    "explain",
    examples=[
        "dlcli train cnn --epochs 3 --out runs/first",
        "dlcli explain runs/first runs/first/plots/confusion.png",
        "dlcli explain runs/first runs/first/plots/roc.png --class 7 -o why",
        "dlcli explain runs/first --json - < runs/first/plots/curves.png",
    ],
)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True)
@click.option(
    "--class",
    "of",
    metavar="NAME",
    help="What speaks for this class [default: the most probable one].",
)
@click.option(
    "--patch",
    type=Number(int, 1, 4096),
    help="Side in pixels of what occlusion covers at a time [default: a seventh of the image].",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the pictures go [default: RUN/explanations].",
)
@click.option("--keep-going", is_flag=True, help="Exit with 0 even if images could not be read.")
@model_file
@device_options
@precision
@output_options
def main(
    run: Path,
    images: tuple[str, ...],
    of: str | None,
    patch: int | None,
    out: Path | None,
    keep_going: bool,
    model_file: Path | None,
    device: str,
    threads: int | None,
    precision: str,
) -> int:
    """Draws for each IMAGE, a file, a folder or - for standard input, three answers over it.

    Saliency: the pixels whose change would move the score of the class most. Grad-CAM: where the
    last convolution finds what speaks for it. Occlusion: how much of its probability is lost where
    a part is covered. RUN is one of a classifier of images; without a convolution there is no
    Grad-CAM.

    Nothing is overwritten: a second picture of the same name gets a number. Exits with 3 if there
    were images that could not be read.
    """
    from dlcli.cli import build

    build.device(device, threads, precision)
    trained = build.restore(run, model_file)
    _check(trained)
    number = None if of is None else _number(of, trained.classes)
    folder = run / FOLDER if out is None else out
    found: list[dict[str, Any]] = []
    for item in _each(trained, images):
        if item.error:
            found.append({"input": item.name, "error": item.error})
            output.warn(f"{item.name}: {item.error}")
            continue
        found.append(_explain(trained, item, number, patch, folder))
        about = found[-1]
        share = f"{about['class']} {about['probability']:.2%}"
        output.text(output.printable(f"{item.name}  {share}  {about['picture']}"))
    if not _convolves(trained):
        output.note(f"no Grad-CAM: it needs a convolution, and {trained.info['name']} has none")
    if output.settings.json:
        about = {"run": run, "model": trained.info["name"], "classes": trained.classes}
        output.document({**about, "explanations": found})
    bad = sum("error" in line for line in found)
    if bad:
        output.warn(f"{bad:,} of {len(found):,} images could not be read")
    return 0 if keep_going or not bad else DataError.exit_code


def _check(trained: Any) -> None:
    """UsageError: it is no classifier of images."""
    if trained.kind.task == "classify" and hasattr(trained.kind, "pictures"):
        return
    name = trained.info["name"]
    hint = "dlcli predict --explain weighs words" if hasattr(trained.model, "explain") else ""
    why = "only a classifier of images can be"
    raise UsageError(f"{name} cannot be explained", why=why, hint=hint)


def _number(name: str, classes: list[str]) -> int:
    """UsageError: the model knows no class of that name."""
    if name not in classes:
        raise UsageError(f"--class: there is no '{name}'", why=did_you_mean(name, classes))
    return classes.index(name)


def _each(trained: Any, images: Iterable[str]) -> Iterable[Any]:
    for batch in trained.kind.inputs(images, trained.shape):
        yield from batch


def _convolves(trained: Any) -> bool:
    from dlcli.nn import attribution

    return attribution.has_convolution(trained.model)


def _explain(
    trained: Any, item: Any, number: int | None, patch: int | None, folder: Path
) -> dict[str, Any]:
    """Draws one image, and says of it what --json has."""
    from dlcli.cli import plot
    from dlcli.nn import attribution
    from dlcli.train import atomic
    from dlcli.train.evaluate import predict_proba

    model, classes = trained.model, trained.classes
    samples = trained.kind.stack([item.sample])
    shares = predict_proba(trained.planned(), samples, trained.encode)[0]
    if not shares.sum() > 0:
        raise NonFiniteError(f"{trained.run.path}: the model gives no numbers", why="NaN")
    best = int(shares.argmax())
    chosen = best if number is None else number
    model.eval()
    x = trained.encode(samples)[0]
    maps: dict[str, Any] = {"saliency": None, "grad_cam": None, "occlusion": None}
    try:
        maps["saliency"] = attribution.saliency(model, x, chosen)
        if attribution.has_convolution(model):
            maps["grad_cam"] = attribution.grad_cam(model, x, chosen)
    except NotImplementedError as error:
        what = f"{trained.info['name']} cannot be explained"
        raise CheckpointError(what, why=str(error)) from error
    maps["occlusion"] = attribution.occlusion(model, x, chosen, side=patch)
    path = _free(atomic.make_folder(folder), item.name)
    (picture,) = trained.kind.pictures(samples)
    said = f"{classes[best]}, {shares[best]:.1%}"
    told = said if chosen == best else f"{classes[chosen]}, {shares[chosen]:.1%}; it says {said}"
    plot.explanation(picture, maps, path, f"{Path(item.name).name}: {told}")
    order = (-shares).argsort(kind="stable")[:TOP].tolist()
    return {
        "input": item.name,
        "class": classes[chosen],
        "probability": float(shares[chosen]),
        "predicted": classes[best],
        "top": [{"class": classes[k], "probability": float(shares[k])} for k in order],
        "picture": path,
        "methods": {name: _facts(found) for name, found in maps.items()},
    }


def _facts(found: Any) -> dict[str, Any] | None:
    """Of a map (P, Q): its size, its largest value and where that is; None of none."""
    if found is None:
        return None
    row, column = divmod(int(found.argmax()), found.shape[1])
    return {"size": found.shape, "most": float(found.max()), "row": row, "column": column}


def _free(folder: Path, name: str) -> Path:
    """A file that does not exist, by the name of an image."""
    stem = "stdin" if name == "-" else Path(name).stem
    path, number = folder / f"{stem}.png", 1
    while os.path.lexists(path):
        number += 1
        path = folder / f"{stem}-{number}.png"
    return path
