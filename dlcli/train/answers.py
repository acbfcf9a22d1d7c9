"""What a model with one number or more for an answer says of a part of the data."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np

from dlcli.data.loader import Loader
from dlcli.train.evaluate import inference
from dlcli.train.protocol import Batch
from dlcli.train.repeated import Repeater
from dlcli.train.task import Trained


def answers(
    trained: Trained,
    split: Any,
    batch_size: int,
    on_batch: Callable[[int, int], None] | None,
    values: Callable[[np.ndarray, Batch], np.ndarray],
) -> tuple[np.ndarray, float]:
    """Its answers on all samples, (n, …), and the mean loss.

    values(answers, batch): those of a batch, in the units that are asked for. on_batch(done, total)
    is called after each batch.
    """
    parts, total = [], 0.0
    repeater = Repeater(trained.model, trained.model.phases(), ())
    loader = Loader(split, trained.encode, batch_size)
    with inference(trained.model), closing(loader.epoch(0)) as batches:
        for batch in batches:
            ((_, loss, outputs),) = repeater.measure(batch)
            total += loss.item() * len(batch.y)
            parts.append(values(outputs["answers"].numpy(), batch))
            if on_batch:
                on_batch(sum(map(len, parts)), len(split))
    return np.concatenate(parts), total / len(split)
