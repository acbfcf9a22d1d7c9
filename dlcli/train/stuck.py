"""Whether a training comes to nothing: a loss that stays where it began."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dlcli.train.protocol import Quiet

EPOCHS = 3  # that it is given
FALL = 0.005  # the share by which the loss of one of them has to lie below that of the first


class Stuck(Quiet):
    """Warns once, by the lines of metrics.jsonl, if the loss has not fallen. Of a game it falls for
    one side when it rises for the other: no word of it.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self.warn = warn
        self.losses: list[float] = []

    def on_epoch(self, record: dict[str, Any]) -> None:
        loss = record.get("loss")
        played = any(key.endswith("_loss") and key != "val_loss" for key in record)
        if loss is None or played or record.get("partial"):
            return
        self.losses.append(loss)
        first, *others = self.losses
        if len(self.losses) != EPOCHS or record["epoch"] != EPOCHS:
            return
        if min(others) > first - FALL * abs(first):
            self.warn(
                f"the loss has not fallen in {EPOCHS} epochs, {first:.4g} and then"
                f" {others[-1]:.4g}: the learning rate may be too high, or far too low;"
                " --find-lr suggests one"
            )
