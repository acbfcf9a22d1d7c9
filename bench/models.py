"""Training steps side by side: ours and PyTorch's in one process, alternating, medians.

    python bench/models.py [--model cnn] [--batch 128] [--threads 2] [-o results/models.json]

PyTorch runs in both memory formats with plain and fused Adam, as a user would write the step; the
fastest of the four counts. Every row says what was measured on the spot; nothing is carried over
from another run. A ratio above 1 means that ours is faster.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "kernels")]

from dlcli_kernels.timing import measure, ratio  # noqa: E402

SHAPE, CLASSES = (28, 28, 1), 10
STEPS = 5  # steps per sample: one library's threads come to rest within the first of them


def ours(model: str, batch: int, threads: int) -> Callable[[], None]:
    """STEPS training steps with Adam on random images."""
    from dlcli import optim
    from dlcli.engine import executor
    from dlcli.engine.tape import backward
    from dlcli.models import catalog

    executor.configure(threads)
    module = catalog.load(model)
    (phase,) = module.build(module.Config(), SHAPE, CLASSES, seed=0).phases()
    optimizer = optim.make("adam", phase.parameters)
    x, y = images(batch)
    data = SimpleNamespace(x=x, y=y)

    def run() -> None:
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss, _ = phase.loss(data)
            backward(loss)
            optimizer.watch(loss)
            optimizer.step(1e-3)

    return run


def images(batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Random images (batch, 28, 28, 1) and labels."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((batch, *SHAPE)).astype(np.float32), rng.integers(0, CLASSES, batch)


def torch_net(model: str):
    """PyTorch's equal of one of our models at 28×28×1."""
    from torch import nn

    class LastOfLSTM(nn.Module):
        """(N, 1, 28, 28), an image as its rows, to the last state of an LSTM."""

        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(28, 128, batch_first=True)

        def forward(self, x):
            return self.lstm(x[:, 0])[1][0][-1]

    nets = {
        "cnn": lambda: nn.Sequential(
            *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten()),
            *(nn.Linear(576, 64), nn.ReLU(), nn.Linear(64, CLASSES)),
        ),
        "cnn-small": lambda: nn.Sequential(
            *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(5408, 10)),
        ),
        "mlp": lambda: nn.Sequential(
            *(nn.Flatten(), nn.Linear(784, 128), nn.ReLU()),
            *(nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, CLASSES)),
        ),
        "lstm": lambda: nn.Sequential(
            *(LastOfLSTM(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, CLASSES)),
        ),
    }
    return nets[model]()


def theirs(
    model: str, batch: int, threads: int, channels_last: bool, fused: bool
) -> Callable[[], None]:
    """The same steps in PyTorch."""
    import torch

    torch.set_num_threads(threads)
    x, y = images(batch)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    data = torch.tensor(x.transpose(0, 3, 1, 2).copy()).contiguous(memory_format=layout)
    labels = torch.tensor(y)
    net = torch_net(model).to(memory_format=layout)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=fused)

    def run() -> None:
        for _ in range(STEPS):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(data), labels).backward()
            optimizer.step()

    return run


def compare(model: str, batch: int, threads: int, repeats: int) -> dict[str, object]:
    """One row: our median and PyTorch's four, in milliseconds per step, and the ratio to its best
    with a 95 % interval.
    """
    runs = {"dlcli": ours(model, batch, threads)}
    for layout in ("nchw", "channels_last"):
        for adam in ("adam", "fused adam"):
            runs[f"torch {layout}, {adam}"] = theirs(
                model, batch, threads, layout == "channels_last", adam == "fused adam"
            )
    samples = measure(runs, repeats=repeats, warmup=2)
    medians = {name: s.median * 1e3 / STEPS for name, s in samples.items()}
    best = min((n for n in medians if n != "dlcli"), key=medians.__getitem__)
    lead = ratio(samples[best], samples["dlcli"])
    return {
        "model": model,
        "batch": batch,
        "threads": threads,
        "milliseconds": medians,
        "spread": {name: s.iqr * 1e3 / STEPS for name, s in samples.items()},
        "best_of_torch": best,
        "ratio": lead.value,
        "interval": [lead.low, lead.high],
    }


def machine() -> dict[str, object]:
    """Where it was measured."""
    import torch

    name = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []:
        if line.startswith("model name"):
            name = line.split(":", 1)[1].strip()
            break
    return {
        "cpu": name,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


@click.command()
@click.option("--model", "models", multiple=True, default=("cnn", "cnn-small", "mlp", "lstm"))
@click.option("--batch", "batches", multiple=True, type=int, default=(32, 128, 512))
@click.option("--threads", type=int, default=2, show_default=True)
@click.option("--repeats", type=int, default=15, show_default=True, help="Samples of 5 steps each.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Write the figures as JSON.")
def main(models, batches, threads, repeats, out) -> None:
    """Training steps of our models against PyTorch's."""
    rows = []
    click.echo("| model | batch | ours, ms | PyTorch's best, ms | ratio (95 %) | its best form |")
    click.echo("|---|---|---|---|---|---|")
    for model in models:
        for batch in batches:
            row = compare(model, batch, threads, repeats)
            rows.append(row)
            times, best = row["milliseconds"], row["best_of_torch"]
            low, high = row["interval"]
            click.echo(
                f"| `{model}` | {batch} | {times['dlcli']:.2f} | {times[best]:.2f} "
                f"| {row['ratio']:.2f} ({low:.2f}–{high:.2f}) | {best.removeprefix('torch ')} |"
            )
    if out is not None:
        out.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
