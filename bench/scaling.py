"""How the cost of a training step grows: with the batch, the length of a sequence, the width.

    python bench/scaling.py [--threads 2] [-o results/scaling.json] [--plot scaling.png]

`cnn` over batches of 16 to 2,048 images, and PyTorch's tuned form beside it; `lstm` over 10 to
1,000 rows of 28 numbers, batch 32; `mlp` with one hidden layer of 32 to 4,096 units, batch 128.
Medians; the slope is that of a line through the logarithms of the upper half of the sizes: 1 is
linear.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "kernels")]

from models import Runner, machine  # noqa: E402

BATCHES = (16, 32, 64, 128, 256, 512, 1024, 2048)
LENGTHS = (10, 20, 50, 100, 200, 500, 1000)
WIDTHS = (32, 64, 128, 256, 512, 1024, 2048, 4096)
TUNED = {"tuned": True, "flush": True, "last": True, "fused": True}
REPEATS, SECONDS = 9, 0.1


def median(step: Callable[[], object]) -> float:
    """Seconds of a step, by turns of at least SECONDS."""
    for _ in range(6):
        step()
    begun = time.perf_counter()
    step()
    many = max(1, int(SECONDS / (time.perf_counter() - begun)))
    times = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        for _ in range(many):
            step()
        times.append((time.perf_counter() - begun) / many)
    return float(np.median(times))


def stepper(name: str, shape: tuple[int, ...], n: int, **settings: Any) -> Callable[[], object]:
    """Training steps of a model on random images."""
    from dlcli import optim
    from dlcli.data.loader import Batch
    from dlcli.models import catalog
    from dlcli.train.step import Stepper

    module, rng = catalog.load(name), np.random.default_rng(0)
    model = module.build(module.Config(**settings), shape, 10, seed=0).train()
    model.plan = True
    x, y = rng.standard_normal((n, *shape)).astype(np.float32), rng.integers(0, 10, n)
    made = Stepper(model, lambda phase: optim.make("adam", phase.parameters))
    batch, numbers = Batch(x, y, np.arange(n)), iter(range(1 << 62))
    return lambda: made.step([batch], 1e-3, next(numbers))


def theirs(n: int, threads: int) -> float:
    """PyTorch's tuned `cnn` on n images."""
    about = {"work": "cnn", "batch": n, "threads": threads, "by": "torch", "form": TUNED}
    runner = Runner(about)
    runner.settle()
    for _ in range(REPEATS):
        runner.turn()
    runner.end()
    return float(np.median(runner.times))


def slope(sizes: tuple[int, ...], seconds: list[float]) -> float:
    """Of the upper half, both in logarithms."""
    half = len(sizes) // 2
    return float(np.polyfit(np.log(sizes[half:]), np.log(seconds[half:]), 1)[0])


@click.command()
@click.option("--threads", type=int, default=2, show_default=True)
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Write the figures as JSON.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw them.")
def main(threads, out, plot) -> None:
    """The cost of a step over the batch, the length and the width."""
    from dlcli.engine import executor

    executor.configure(threads)
    works = {
        "batch": (BATCHES, lambda n: stepper("cnn", (28, 28, 1), n)),
        "length": (LENGTHS, lambda t: stepper("lstm", (t, 28, 1), 32)),
        "width": (WIDTHS, lambda w: stepper("mlp", (28, 28, 1), 128, hidden=(w,))),
    }
    found: dict[str, Any] = {}
    for name, (sizes, make) in works.items():
        seconds = [median(make(size)) for size in sizes]
        found[name] = {"sizes": sizes, "seconds": seconds, "slope": slope(sizes, seconds)}
    found["batch"]["torch"] = [theirs(n, threads) for n in BATCHES]
    for name, row in found.items():
        click.echo(f"{name}: slope {row['slope']:.2f}")
        for size, s in zip(row["sizes"], row["seconds"], strict=True):
            click.echo(f"  {size:>5}  {s * 1e3:9.3f} ms")
    for kind in ("seconds", "torch"):
        rates = [n / s for n, s in zip(BATCHES, found["batch"][kind], strict=True)]
        click.echo(f"images/s, {kind}: " + ", ".join(f"{rate:,.0f}" for rate in rates))
    if out is not None:
        document = {"machine": machine(), "threads": threads, **found}
        out.write_text(json.dumps(document, indent=1) + "\n")
    if plot is not None:
        draw(found, plot)


def draw(found: dict[str, Any], path: Path) -> None:
    """Three pictures side by side, logarithms on both axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6), layout="constrained")
    about = {"batch": "cnn: images", "length": "lstm: rows", "width": "mlp: hidden units"}
    for axes, (name, row) in zip(figure.subplots(1, 3), found.items(), strict=True):
        sizes, seconds = np.array(row["sizes"]), np.array(row["seconds"])
        axes.loglog(sizes, seconds * 1e3, "o-", label=f"dlcli, slope {row['slope']:.2f}")
        if "torch" in row:
            axes.loglog(sizes, np.array(row["torch"]) * 1e3, "s--", label="PyTorch, tuned")
        axes.loglog(sizes, seconds[-1] * 1e3 * sizes / sizes[-1], ":", color="grey", label="linear")
        axes.set_xlabel(about[name])
        axes.set_ylabel("ms per step")
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
