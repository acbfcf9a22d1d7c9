"""What is asked of a language model that is trained: the nats of texts, and new text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

import numpy as np
from dlcli_kernels.philox import Generator

from dlcli.data.loader import Loader
from dlcli.data.symbols import SPECIAL, UNKNOWN
from dlcli.engine.tensor import on_device
from dlcli.train import metrics, sampling
from dlcli.train.evaluate import inference
from dlcli.train.task import Trained

BEGIN = "\n"  # what a line is taken to follow
MOST_SCORES = 1 << 22  # at a time: 16 MiB
DRAWN = 256  # random numbers at a time


def nats_of_part(
    trained: Trained, split: Any, on_batch: Callable[[int, int], None] | None
) -> tuple[float, int, int]:
    """The sum of nats of a part, each symbol after all before it; how many symbols there are, and
    how many of them have no id of their own.
    """
    nats, count, unknown = 0.0, 0, 0
    loader, forward = Loader(split, trained.encode, 1), trained.planned()
    with inference(trained.model), closing(loader.epoch(0)) as batches:
        for batch in batches:
            (scores,) = forward(*batch.inputs)
            nats += float(metrics.cross_entropy(scores, batch.y).sum())
            count += len(batch.y)
            unknown += int((batch.y == UNKNOWN).sum())
            if on_batch:
                on_batch(count, len(split))
    return nats, count, unknown


def nats_of_lines(trained: Trained, lines: Sequence[np.ndarray]) -> list[float]:
    """The sum of nats of each line of ids, as if it followed a line's end.

    A batch holds lines of similar lengths; a long one is read in windows.
    """
    found = [0.0] * len(lines)
    order = sorted(range(len(lines)), key=lambda i: len(lines[i]))
    with inference(trained.model):
        while order:
            longest = len(lines[order[-1]])
            rows = [i for i in order if 2 * len(lines[i]) >= longest]
            order = order[: -len(rows)]
            if longest:
                for i, nats in zip(
                    rows, _side_by_side(trained, [lines[i] for i in rows]), strict=True
                ):
                    found[i] = float(nats)
    return found


def _side_by_side(trained: Trained, lines: Sequence[np.ndarray]) -> np.ndarray:
    """The sums of nats of lines that are read together: (n,) float64."""
    steps = max(map(len, lines))
    ids = np.full((len(lines), steps + 1), UNKNOWN)
    ids[:, 0] = _beginning(trained)
    for row, line in zip(ids, lines, strict=True):
        row[1 : 1 + len(line)] = line
    within = np.arange(steps) < np.array([[len(line)] for line in lines])
    window = max(MOST_SCORES // (len(lines) * trained.shape[1]), 1)
    found = np.zeros(len(lines))
    state = trained.model.initial(len(lines))
    for at in range(0, steps, window):
        part = slice(at, min(at + window, steps))
        given = np.ascontiguousarray(ids[:, part])
        scores, state = trained.model.run(on_device(given), state)
        wanted = ids[:, part.start + 1 : part.stop + 1]
        nats = metrics.cross_entropy(scores.numpy(), wanted.reshape(-1)).reshape(wanted.shape)
        found += np.where(within[:, part], nats, 0.0).sum(axis=1)
    return found


def _beginning(trained: Trained) -> int:
    encoder: Any = trained.encode
    return int(encoder.ids.get(BEGIN, UNKNOWN))


def write(
    trained: Trained,
    prompt: Sequence[str],
    length: int,
    *,
    seed: int,
    sample: int,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
) -> Iterator[str]:
    """Up to `length` symbols that follow the prompt, one by one, by the random numbers of (seed,
    sample). The prompt is taken to follow a line's end. Nothing unknown is ever written.

    NonFiniteError: the model's scores are not finite.
    """
    encoder: Any = trained.encode
    given = np.append(_beginning(trained), encoder.encode(prompt))
    random = Generator(seed, "generate", sample)
    drawn: list[float] = []
    trained.model.eval()
    run = trained.planned("follow")
    state = [t.numpy() for pair in trained.model.initial(1) for t in pair]
    window = max(MOST_SCORES // trained.shape[1], 1)
    for at in range(0, len(given), window):
        scores, *state = run(given[np.newaxis, at : at + window], *state)
    for left in range(length, 0, -1):
        scores[-1, UNKNOWN] = -np.inf
        likely = sampling.shares(scores[-1], temperature=temperature, top_k=top_k, top_p=top_p)
        drawn = drawn or random.uniform(DRAWN).tolist()[::-1]
        found = sampling.choose(likely, drawn.pop())
        yield encoder.symbols[found - SPECIAL]
        if left > 1:
            scores, *state = run(np.array([[found]]), *state)


def until(pieces: Iterator[str], stop: str) -> Iterator[str]:
    """The pieces of a text up to where `stop` first stands in it; nothing that might be the
    beginning of it is given away before that is known.
    """
    held = ""
    for piece in pieces:
        held += piece
        if (at := held.find(stop)) >= 0:
            if at:
                yield held[:at]
            return
        keep = next(
            n for n in range(min(len(stop) - 1, len(held)), -1, -1) if held.endswith(stop[:n])
        )
        if len(held) > keep:
            yield held[: len(held) - keep]
            held = held[len(held) - keep :]
    if held:
        yield held
