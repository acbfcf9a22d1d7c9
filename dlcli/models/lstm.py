"""An image read row by row by long short-term memory (Hochreiter & Schmidhuber 1997).

LSTM 128 over the rows of an image → dense 64 relu → dense classes.
"""

from __future__ import annotations

from dlcli import nn
from dlcli.models.parts.classifier import Classifier
from dlcli.models.parts.rows import ADAPTS, Config, classifier

__all__ = ["ADAPTS", "DESCRIPTION", "Config", "build"]

DESCRIPTION = "an LSTM over the rows of an image, two dense layers"


def build(
    config: Config, shape: tuple[int, int, int], classes: int, *, seed: int = 0
) -> Classifier:
    """A classifier of images (H, W, C) = shape, initialised from `seed`.

    UsageError for settings that make no network.
    """
    return classifier("lstm", nn.LSTM, config, shape, classes, seed)
