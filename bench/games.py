"""Steps of dcgan side by side, ours and PyTorch's, in one process, alternating, medians.

    python bench/games.py [--batch 64] [--side 32] [--threads 1 --threads 2] [-o results/games.json]

A step is the discriminator's move and the generator's, on random images in colour. PyTorch runs as
its own example has it, in both memory formats, with plain and fused Adam, and with the
discriminator frozen while the generator moves; its fastest form counts. Both make one batch of
images for both moves. Ours runs twice: the same networks, and with the clusters of images that both
sides are told by default, which are work that PyTorch is not given. A ratio above 1 means that ours
is faster.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from itertools import pairwise, product
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "kernels")]

from dlcli_kernels.timing import measure, ratio  # noqa: E402
from models import ProcessorClock, machine  # noqa: E402

STEPS = 5  # per sample: one library's threads come to rest within the first of them
RATE = 2e-4
CLUSTERS = 50  # the default of the game


def pictures(batch: int, side: int) -> np.ndarray:
    """Random images (batch, side, side, 3) in [−1, 1]."""
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (batch, side, side, 3)).astype(np.float32)


def ours(batch: int, side: int, threads: int, clusters: int = 0) -> Callable[[], None]:
    """Both phases, as `dlcli train` takes them, with the game's own clusters of images or none."""
    from dlcli import optim
    from dlcli.engine import executor
    from dlcli.models import dcgan
    from dlcli.train.step import Stepper

    if (executor.current().threads, executor.current().device) != (threads, "cpu"):
        executor.configure(threads)
    model = dcgan.build(dcgan.Config(clusters=clusters), (side, side, 3), 1, seed=0)
    stepper = Stepper(model, lambda phase: optim.make("adam", phase.parameters, beta1=0.5))
    x = pictures(batch, side)
    data = SimpleNamespace(x=x, inputs=(x,), y=np.zeros(batch, np.int64))

    def run() -> None:
        for number in range(STEPS):
            stepper.step([data], RATE, number)

    return run


def nets(side: int):
    """The generator and the discriminator of PyTorch, as `dlcli.models.dcgan` has them."""
    from torch import nn

    from dlcli.models import dcgan

    config = dcgan.Config()
    small, times = dcgan.doublings("dcgan", (side, side, 3))
    maps = [config.width << i for i in reversed(range(times))]
    made = [
        nn.Linear(config.noise, maps[0] * small * small, bias=False),
        nn.Unflatten(1, (maps[0], small, small)),
        nn.BatchNorm2d(maps[0]),
        nn.ReLU(),
    ]
    for before, after in pairwise(maps):
        conv = nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False)
        made += [conv, nn.BatchNorm2d(after), nn.ReLU()]
    made += [nn.ConvTranspose2d(maps[-1], 3, 4, 2, 1), nn.Tanh()]
    maps = [config.width << i for i in range(times)]
    told = [nn.Conv2d(3, maps[0], 4, 2, 1), nn.LeakyReLU(0.2)]
    for before, after in pairwise(maps):
        conv = nn.Conv2d(before, after, 4, 2, 1)
        told += [conv, nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]
    told += [nn.Flatten(), nn.Linear(maps[-1] * small * small, 1)]
    return nn.Sequential(*made), nn.Sequential(*told)


def theirs(
    batch: int, side: int, threads: int, *, last: bool, fused: bool, frozen: bool
) -> Callable[[], None]:
    """The same in PyTorch. last: channels last. frozen: no gradients of the discriminator's
    parameters while the generator moves.
    """
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits as bce

    torch.set_num_threads(threads)
    layout = torch.channels_last if last else torch.contiguous_format
    generator, critic = (net.to(memory_format=layout) for net in nets(side))
    adams = [
        torch.optim.Adam(net.parameters(), lr=RATE, betas=(0.5, 0.999), fused=fused)
        for net in (critic, generator)
    ]
    x = torch.tensor(pictures(batch, side).transpose(0, 3, 1, 2).copy())
    x = x.contiguous(memory_format=layout)
    ones, zeros = torch.ones(batch, 1), torch.zeros(batch, 1)

    def run() -> None:
        for _ in range(STEPS):
            fake = generator(torch.randn(batch, generator[0].in_features))
            adams[0].zero_grad()
            (bce(critic(x), ones) + bce(critic(fake.detach()), zeros)).backward()
            adams[0].step()
            adams[1].zero_grad()
            critic.requires_grad_(not frozen)
            bce(critic(fake), ones).backward()
            critic.requires_grad_(True)
            adams[1].step()

    return run


FORMS = {
    ", ".join(
        word for word, on in zip(("channels last", "fused", "frozen"), form, strict=True) if on
    )
    or "as installed": dict(zip(("last", "fused", "frozen"), form, strict=True))
    for form in product((False, True), repeat=3)
}


@click.command()
@click.option("--batch", "batches", multiple=True, type=int, default=(64,))
@click.option("--side", type=int, default=32, show_default=True, help="Of the images, in pixels.")
@click.option("--threads", "several", multiple=True, type=int, default=(1, 2))
@click.option("--repeats", type=int, default=15, show_default=True)
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Write the figures as JSON.")
def main(batches, side, several, repeats, out) -> None:
    """Steps of dcgan against PyTorch's."""
    rows = []
    click.echo(
        "| threads | clusters | batch | ours, ms | PyTorch's, ms | ratio (95 %) | its best form |"
    )
    click.echo("|---|---|---|---|---|---|---|")
    for threads, batch, clusters in product(several, batches, (0, CLUSTERS)):
        runs = {"dlcli": ours(batch, side, threads, clusters)}
        runs |= {name: theirs(batch, side, threads, **form) for name, form in FORMS.items()}
        clock = {"clock": ProcessorClock()} if threads == 1 else {}
        samples = measure(runs, repeats=repeats, warmup=2, **clock)
        times = {name: s.median * 1e3 / STEPS for name, s in samples.items()}
        best = min(FORMS, key=times.__getitem__)
        lead = ratio(samples[best], samples["dlcli"])
        rows.append({"side": side, "batch": batch, "threads": threads, "clusters": clusters})
        rows[-1]["milliseconds"] = times
        rows[-1] |= {"best_of_torch": best, "ratio": lead.value, "interval": [lead.low, lead.high]}
        click.echo(
            f"| {threads} | {clusters} | {batch} | {times['dlcli']:.2f} | {times[best]:.2f} "
            f"| {lead.value:.2f} ({lead.low:.2f}–{lead.high:.2f}) | {best} |"
        )
    if out is not None:
        out.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
