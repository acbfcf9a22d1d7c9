"""The same steps in PyTorch: the equal networks, in the forms in which PyTorch can run them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from steps_ours import CLASSES, IDS, IMAGE, RESNET, SENTIMENTS, SIDE, WINDOW, WORDS, batch_of
from torch import nn


class Last(nn.Module):
    """(N, T, features), or images as their rows, to the last state of an LSTM."""

    def __init__(self, inputs: int, layers: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, 128, num_layers=layers, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lstm(x[:, 0] if x.ndim == 4 else x)[1][0][-1]


class Characters(nn.Module):
    """Ids (N, T) and the state of before to scores (N·T, ids) and the state."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(IDS, width)
        self.lstm = nn.LSTM(width, 256, num_layers=2, batch_first=True)
        self.head = nn.Linear(256, IDS)

    def forward(self, ids: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        out, state = self.lstm(self.vectors(ids), state)
        return self.head(out).flatten(0, 1), state


def network(work: str) -> nn.Module:
    """PyTorch's equal of one of our models."""
    nets: dict[str, Callable[[], nn.Module]] = {
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
            *(Last(28, 1), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, CLASSES)),
        ),
        "text-lstm": lambda: nn.Sequential(
            nn.Embedding(WORDS, 200, padding_idx=0), Last(200, 2), nn.Linear(128, SENTIMENTS)
        ),
    }
    return nets[work]()


def _adam(net: nn.Module, form: dict[str, bool], **more: Any) -> torch.optim.Optimizer:
    more = {**more, "capturable": form.get("capturable", False)}  # in a CUDA graph
    return torch.optim.Adam(net.parameters(), lr=1e-3, fused=form.get("fused", False), **more)


def _image(x: Any, layout: torch.memory_format) -> torch.Tensor:
    moved = torch.tensor(x.transpose(0, 3, 1, 2).copy())
    return moved.contiguous(memory_format=layout)


def classifier(work: str, n: int, form: dict[str, bool], train: bool) -> Callable[[], object]:
    """A step, or where not `train` the logits, of a classifier of images or texts."""
    layout = torch.channels_last if form.get("last") else torch.contiguous_format
    x, *_, y = batch_of(work, n)
    data = _image(x, layout) if x.shape[1:] == IMAGE else torch.tensor(x)
    net: Any = network(work).to(memory_format=layout).train(train)
    adam, labels = _adam(net, form), torch.tensor(y)
    call = torch.compile(net) if form.get("compile") else net

    def step() -> None:
        adam.zero_grad()
        torch.nn.functional.cross_entropy(call(data), labels).backward()
        adam.step()

    def infer() -> None:
        with torch.inference_mode():
            call(data)

    return step if train else infer


def characters(n: int, form: dict[str, bool]) -> Callable[[], object]:
    """A step on windows that go on."""
    from dlcli.models import char_lm

    net = Characters(char_lm.Config().embedding or IDS)
    ids, _, y = batch_of("char-lm", n)
    assert ids.shape == (n, WINDOW)
    x, wanted, adam = torch.tensor(ids), torch.tensor(y), _adam(net, form)
    call: Any = torch.compile(net) if form.get("compile") else net
    state: Any = tuple(torch.zeros(2, n, 256) for _ in range(2))

    def step() -> None:
        nonlocal state
        adam.zero_grad()
        scores, after = call(x, state)
        torch.nn.functional.cross_entropy(scores, wanted).backward()
        adam.step()
        state = tuple(part.detach() for part in after)

    return step


def players() -> tuple[nn.Module, nn.Module]:
    """The generator and the discriminator, as `dlcli.models.dcgan` has them."""
    from dlcli.models import dcgan

    config = dcgan.Config()
    small, times = dcgan.doublings("dcgan", (SIDE, SIDE, 3))
    maps = [config.width << i for i in reversed(range(times))]
    made: list[nn.Module] = [
        nn.Linear(config.noise, maps[0] * small * small, bias=False),
        nn.Unflatten(1, (maps[0], small, small)),
        nn.BatchNorm2d(maps[0]),
        nn.ReLU(),
    ]
    for before, after in pairwise(maps):
        conv = nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False)
        made += [conv, nn.BatchNorm2d(after), nn.ReLU()]
    made += [nn.ConvTranspose2d(maps[-1], 3, 4, 2, 1), nn.Tanh()]
    maps = maps[::-1]
    told: list[nn.Module] = [nn.Conv2d(3, maps[0], 4, 2, 1), nn.LeakyReLU(0.2)]
    for before, after in pairwise(maps):
        told += [nn.Conv2d(before, after, 4, 2, 1), nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]
    told += [nn.Flatten(), nn.Linear(maps[-1] * small * small, 1)]
    return nn.Sequential(*made), nn.Sequential(*told)


def game(n: int, form: dict[str, bool]) -> Callable[[], object]:
    """Both moves of dcgan on one batch of made images; the discriminator is frozen in the second
    one where the form is tuned.
    """
    from torch.nn.functional import binary_cross_entropy_with_logits as bce

    layout = torch.channels_last if form.get("last") else torch.contiguous_format
    generator, critic = (net.to(memory_format=layout) for net in players())
    adams = [_adam(net, form, betas=(0.5, 0.999)) for net in (critic, generator)]
    x, ones, zeros = _image(batch_of("dcgan", n)[0], layout), torch.ones(n, 1), torch.zeros(n, 1)
    make, tell = generator, critic
    if form.get("compile"):
        make, tell = torch.compile(generator), torch.compile(critic)
    noise = generator[0].in_features

    def step() -> None:
        fake = make(torch.randn(n, noise))
        adams[0].zero_grad()
        (bce(tell(x), ones) + bce(tell(fake.detach()), zeros)).backward()
        adams[0].step()
        adams[1].zero_grad()
        critic.requires_grad_(not form.get("tuned"))
        bce(tell(fake), ones).backward()
        critic.requires_grad_(True)
        adams[1].step()

    return step


def convolutions(n: int, form: dict[str, bool]) -> Callable[[], object]:
    """Forward and both gradients of every convolution of RESNET by itself."""
    layout, made = torch.channels_last if form.get("last") else torch.contiguous_format, []
    for side, inputs, outputs, stride, many in RESNET:
        conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False).to(memory_format=layout)
        x = torch.randn(n, inputs, side, side).contiguous(memory_format=layout)
        made += [(conv, x.requires_grad_())] * many

    def run() -> None:
        for conv, x in made:
            x.grad = conv.weight.grad = None
            out = conv(x)
            out.backward(torch.ones_like(out))

    return run


def step_of(work: str, n: int, threads: int, form: dict[str, bool]) -> Callable[[], object]:
    """One step of a work. form: tuned, compile; channels last, fused Adam, flush denormals."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(form.get("flush", False))
    torch.manual_seed(0)
    if work == "resnet-convs":
        return convolutions(n, form)
    if work == "char-lm":
        return characters(n, form)
    if work.startswith("dcgan"):
        return game(n, form)
    return classifier(work.removeprefix("infer-"), n, form, not work.startswith("infer-"))
