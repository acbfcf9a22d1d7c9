"""Training steps side by side: ours and PyTorch's in one process, alternating, medians.

    python bench/models.py [--model cnn] [--batch 128] [--threads 2] [-o results/models.json]

PyTorch runs in several forms, as a user would write the step: in both memory formats for images,
with plain and fused Adam, with denormals flushed to zero or not for texts. Its fastest form counts,
and beside it stands the ratio to PyTorch as installed: contiguous, plain Adam, denormals kept.
Every row says what was measured on the spot; nothing is carried over from another run. A ratio
above 1 means that ours is faster. Where other programs share the cores, take `--threads 1`: the
time is then the processor's, and nobody waits for a thread that is not running.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "kernels")]

from dlcli_kernels.timing import measure, ratio  # noqa: E402

SHAPE, CLASSES = (28, 28, 1), 10
WORDS, LENGTH, SENTIMENTS = 25_000, 200, 2  # of texts
IMAGES = ("cnn", "cnn-small", "mlp", "lstm")
AS_INSTALLED = "as installed"


class ProcessorClock:
    """The processor's time of all threads: where there is one, without what others take of it."""

    def time(self, function: Callable[[], object], calls: int) -> float:
        begun = time.process_time_ns()
        for _ in range(calls):
            function()
        return (time.process_time_ns() - begun) * 1e-9 / calls


def steps_of(model: str) -> int:
    """Steps per sample: one library's threads come to rest within the first of them."""
    return 5 if model in IMAGES else 2


def batch_of(model: str, batch: int) -> SimpleNamespace:
    """Random images (batch, 28, 28, 1), or texts of LENGTH words, with labels."""
    rng = np.random.default_rng(0)
    if model in IMAGES:
        x = rng.standard_normal((batch, *SHAPE)).astype(np.float32)
        return SimpleNamespace(x=x, inputs=(x,), y=rng.integers(0, CLASSES, batch))
    ids, lengths = rng.integers(2, WORDS, (batch, LENGTH)), np.full(batch, LENGTH, np.int32)
    return SimpleNamespace(inputs=(ids, lengths), y=rng.integers(0, SENTIMENTS, batch))


def ours(model: str, batch: int, threads: int, optimizer: str) -> Callable[[], None]:
    """Training steps on a random batch."""
    from dlcli import optim
    from dlcli.engine import executor
    from dlcli.engine.tape import backward
    from dlcli.models import catalog

    if (executor.current().threads, executor.current().device) != (threads, "cpu"):
        executor.configure(threads)
    module = catalog.load(model)
    shape, classes = (SHAPE, CLASSES) if model in IMAGES else ((LENGTH, WORDS), SENTIMENTS)
    config = module.Config() if model in IMAGES else module.Config(dropout=0.0)
    (phase,) = module.build(config, shape, classes, seed=0).phases()
    adam, data = optim.make(optimizer, phase.parameters), batch_of(model, batch)

    def run() -> None:
        for _ in range(steps_of(model)):
            adam.zero_grad()
            loss, _ = phase.loss(data)
            backward(loss)
            adam.watch(loss)
            adam.step(1e-3)

    return run


def torch_net(model: str):
    """PyTorch's equal of one of our models at 28×28×1, or of texts."""
    from torch import nn

    class LastOfLSTM(nn.Module):
        """(N, 1, 28, 28), an image as its rows, or (N, T, features), to the last state."""

        def __init__(self, inputs: int, layers: int) -> None:
            super().__init__()
            self.lstm = nn.LSTM(inputs, 128, num_layers=layers, batch_first=True)

        def forward(self, x):
            return self.lstm(x[:, 0] if x.ndim == 4 else x)[1][0][-1]

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
            *(LastOfLSTM(28, 1), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, CLASSES)),
        ),
        "text-lstm": lambda: nn.Sequential(
            nn.Embedding(WORDS, 200, padding_idx=0), LastOfLSTM(200, 2), nn.Linear(128, SENTIMENTS)
        ),
    }
    return nets[model]()


def theirs(
    model: str,
    batch: int,
    threads: int,
    *,
    channels_last: bool = False,
    fused: bool = False,
    flush: bool = False,
) -> Callable[[], None]:
    """The same steps in PyTorch. flush: denormals are zeros."""
    import torch

    torch.set_num_threads(threads)
    batch_data = batch_of(model, batch)
    net, data = torch_net(model), batch_data.inputs[0]
    if model in IMAGES:
        layout = torch.channels_last if channels_last else torch.contiguous_format
        data = torch.tensor(data.transpose(0, 3, 1, 2).copy()).contiguous(memory_format=layout)
        net = net.to(memory_format=layout)
    else:
        data = torch.tensor(data)
    labels = torch.tensor(batch_data.y)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=fused)

    def run() -> None:
        torch.set_flush_denormal(flush)
        for _ in range(steps_of(model)):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(data), labels).backward()
            optimizer.step()
        torch.set_flush_denormal(False)

    return run


def torch_forms(model: str) -> dict[str, dict[str, bool]]:
    """The forms in which PyTorch runs."""
    if model not in IMAGES:
        return {
            AS_INSTALLED: {},
            "fused Adam": {"fused": True},
            "fused Adam, denormals flushed": {"fused": True, "flush": True},
        }
    return {
        AS_INSTALLED: {},
        "channels_last": {"channels_last": True},
        "fused Adam": {"fused": True},
        "channels_last, fused Adam": {"channels_last": True, "fused": True},
    }


def compare(model: str, batch: int, threads: int, repeats: int, adam: str) -> dict[str, object]:
    """One row: our median and PyTorch's, in milliseconds per step, and the ratios to its fastest
    form and to PyTorch as installed, with 95 % intervals.
    """
    runs = {"dlcli": ours(model, batch, threads, adam)}
    forms = torch_forms(model)
    runs |= {name: theirs(model, batch, threads, **form) for name, form in forms.items()}
    clock = {"clock": ProcessorClock()} if threads == 1 else {}
    samples = measure(runs, repeats=repeats, warmup=2, **clock)
    steps = steps_of(model)
    medians = {name: s.median * 1e3 / steps for name, s in samples.items()}
    best = min(forms, key=medians.__getitem__)
    found = {
        "model": model,
        "batch": batch,
        "threads": threads,
        "optimizer": adam,
        "milliseconds": medians,
        "spread": {name: s.iqr * 1e3 / steps for name, s in samples.items()},
        "best_of_torch": best,
    }
    for key, form in (("", best), ("_as_installed", AS_INSTALLED)):
        lead = ratio(samples[form], samples["dlcli"])
        found[f"ratio{key}"], found[f"interval{key}"] = lead.value, [lead.low, lead.high]
    return found


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
@click.option("--model", "models", multiple=True, default=IMAGES)
@click.option("--batch", "batches", multiple=True, type=int, default=(32, 128, 512))
@click.option("--threads", type=int, default=2, show_default=True)
@click.option("--repeats", type=int, default=15, show_default=True, help="Samples of 5 steps each.")
@click.option("--optimizer", default="adam", show_default=True, help="Ours: adam or lazy-adam.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Write the figures as JSON.")
def main(models, batches, threads, repeats, optimizer, out) -> None:
    """Training steps of our models (also text-lstm) against PyTorch's."""
    rows = []
    columns = "model | batch | ours, ms | PyTorch's best, ms | ratio (95 %) | its best form"
    click.echo(f"| {columns} | ratio to PyTorch as installed |")
    click.echo("|---|---|---|---|---|---|---|")
    for model in models:
        for batch in batches:
            row = compare(model, batch, threads, repeats, optimizer)
            rows.append(row)
            times, best = row["milliseconds"], row["best_of_torch"]
            low, high = row["interval"]
            first, last = row["interval_as_installed"]
            click.echo(
                f"| `{model}` | {batch} | {times['dlcli']:.2f} | {times[best]:.2f} "
                f"| {row['ratio']:.2f} ({low:.2f}–{high:.2f}) | {best} "
                f"| {row['ratio_as_installed']:.2f} ({first:.2f}–{last:.2f}) |"
            )
    if out is not None:
        out.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
