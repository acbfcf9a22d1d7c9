"""What `models.py` times of ours: a function of no arguments that does one step of a work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

IMAGE, CLASSES = (28, 28, 1), 10
WORDS, LENGTH, SENTIMENTS = 25_000, 200, 2  # of texts
IDS, WINDOW = 65, 100  # of characters
SIDE = 32  # of pictures in colour
RESNET = [  # 3×3 convolutions of ResNet-18 on 32×32: side, channels in and out, stride, how many
    (32, 64, 64, 1, 4),
    *((32, 64, 128, 2, 1), (16, 128, 128, 1, 3)),
    *((16, 128, 256, 2, 1), (8, 256, 256, 1, 3)),
    *((8, 256, 512, 2, 1), (4, 512, 512, 1, 3)),
]


def batch_of(work: str, n: int) -> tuple[np.ndarray, ...]:
    """Random samples of a work, x first and y last."""
    rng = np.random.default_rng(0)
    if work == "text-lstm":
        ids, lengths = rng.integers(2, WORDS, (n, LENGTH)), np.full(n, LENGTH, np.int32)
        return ids, lengths, rng.integers(0, SENTIMENTS, n)
    if work == "char-lm":
        ids = rng.integers(0, IDS, (n, WINDOW + 1))
        wanted = np.ascontiguousarray(ids[:, 1:]).reshape(-1)
        return np.ascontiguousarray(ids[:, :-1]), np.ones(n, np.float32), wanted
    if work.startswith("dcgan"):
        x = rng.uniform(-1, 1, (n, SIDE, SIDE, 3)).astype(np.float32)
        return x, np.zeros(n, np.int64)
    return rng.standard_normal((n, *IMAGE)).astype(np.float32), rng.integers(0, CLASSES, n)


def model_of(work: str) -> Any:
    """Our model, without dropout and without what PyTorch's has not; dcgan-clusters has it."""
    from dlcli.models import catalog

    shapes: dict[str, tuple[tuple[int, ...], int, dict[str, Any]]] = {
        "text-lstm": ((LENGTH, WORDS), SENTIMENTS, {"dropout": 0.0}),
        "char-lm": ((WINDOW, IDS), 0, {"dropout": 0.0, "hidden": 256, "layers": 2}),
        "dcgan": ((SIDE, SIDE, 3), 1, {"clusters": 0}),
        "dcgan-clusters": ((SIDE, SIDE, 3), 1, {}),
    }
    shape, classes, settings = shapes.get(work, (IMAGE, CLASSES, {}))
    module = catalog.load(work.removesuffix("-clusters"))
    model = module.build(module.Config(**settings), shape, classes, seed=0)
    model.plan = catalog.plans(module)
    return model


def training(
    work: str, n: int, optimizer: str = "adam", *, plan: bool = True
) -> Callable[[], object]:
    """Steps as `dlcli train` takes them; without a plan as with --no-plan."""
    from dlcli import optim
    from dlcli.data.loader import Batch
    from dlcli.train.step import Stepper

    x, *more, y = batch_of(work, n)
    batch, model = Batch(x, y, np.arange(n), tuple(more)), model_of(work).train()
    model.plan = model.plan and plan
    if hasattr(model, "hold"):
        model.hold(n)
    stepper = Stepper(model, lambda phase: optim.make(optimizer, phase.parameters))
    numbers = iter(range(1 << 62))
    return lambda: stepper.step([batch], 1e-3, next(numbers))


def inference(work: str, n: int) -> Callable[[], object]:
    """Logits of a batch as `dlcli eval` makes them."""
    from dlcli.engine.forward import Forward

    model = model_of(work).eval()
    forward, (x, *more, _) = Forward(model), batch_of(work, n)
    return lambda: forward(x, *more)


def convolutions(n: int) -> Callable[[], object]:
    """Forward and both gradients of every convolution of RESNET by itself."""
    from dlcli import nn
    from dlcli.engine.tape import backward
    from dlcli.engine.tensor import on_device

    rng, made = np.random.default_rng(0), []
    for side, inputs, outputs, stride, many in RESNET:
        layer = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        layer.initialize(0)
        x = on_device(rng.standard_normal((n, side, side, inputs)).astype(np.float32), True)
        made += [(layer, x)] * many

    def run() -> None:
        for layer, x in made:
            x.grad_is_stale = layer.weight.grad_is_stale = True
            backward(layer(x))

    return run


def step_of(work: str, n: int, threads: int, optimizer: str) -> Callable[[], object]:
    """One step of a work on batches of n: a model's name, "infer-" and one, "resnet-convs"."""
    from dlcli.engine import executor

    executor.configure(threads)
    if work == "resnet-convs":
        return convolutions(n)
    if work.startswith("infer-"):
        return inference(work.removeprefix("infer-"), n)
    return training(work, n, optimizer)
