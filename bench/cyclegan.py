"""CycleGAN where the truth is known: Fashion-MNIST, and the same kind of pictures inverted and
shifted, of which no two belong together.

    DLCLI_DATA=… python bench/cyclegan.py [-o bench/results/cyclegan.json] [--folder DIR]

A are training images, B other training images after the transform. It is measured on pairs of test
images with theirs: the mean absolute error of what is repainted, as a share of that of doing
nothing. Training and measuring are `dlcli train` and `dlcli eval`, each in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "kernels")]

from dlcli.data import catalog, mosaic  # noqa: E402

DOWN, RIGHT = 2, 4  # pixels
TESTED = 500


def transformed(images: np.ndarray) -> np.ndarray:
    """(n, H, W, 1) uint8 inverted and shifted; what was black and comes in is white."""
    moved = np.zeros_like(images)
    moved[:, DOWN:, RIGHT:] = images[:, :-DOWN, :-RIGHT]
    return 255 - moved


def make(folder: Path, each: int) -> None:
    """Writes A, B and pairs below a new folder."""
    splits = catalog.load("fashion-mnist").splits
    train = splits["train"].samples(np.arange(2 * each))
    test = splits["test"].samples(np.arange(TESTED))
    parts = {
        "A": train[:each],
        "B": transformed(train[each:]),
        "pairs/A": test,
        "pairs/B": transformed(test),
    }
    for name, images in parts.items():
        (folder / name).mkdir(parents=True)
        for i, image in enumerate(images):
            (folder / name / f"{i:05}.png").write_bytes(mosaic.png(image))


def dlcli(*words: str) -> dict[str, Any]:
    """The JSON document of a command."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "kernels"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "dlcli", *words, "--json"],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


@click.command()
@click.option("--each", default=1_000, show_default=True, help="Pictures of A and of B.")
@click.option("--seed", default=0, show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), help="Keep pictures and run here.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Write the figures as JSON.")
@click.argument("words", nargs=-1)
def main(
    each: int,
    seed: int,
    threads: int,
    folder: Path | None,
    out: Path | None,
    words: Sequence[str],
) -> None:
    """Held-out error of cyclegan's default recipe. WORDS: more of `dlcli train`, behind --."""
    with tempfile.TemporaryDirectory() as scratch:
        place = folder or Path(scratch)
        make(place / "pictures", each)
        run = str(place / "run")
        how = ("--seed", str(seed), "--threads", str(threads), "--out", run)
        data = ("--data", str(place / "pictures"), "--grayscale")
        trained = dlcli("train", "cyclegan", *data, *how, *words)
        found = dlcli("eval", run, "--threads", str(threads), "--no-plots")
    figures = {
        "each": each,
        "seed": seed,
        "threads": threads,
        "epochs": trained["epochs"],
        "seconds": trained["seconds"],
        **{key: found[key] for key in ("l1", "identity_l1", "of_identity", "ways")},
    }
    click.echo(json.dumps(figures, indent=1))
    if out is not None:
        out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
