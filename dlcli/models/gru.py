"""An image read row by row by gated recurrent units (Cho et al. 2014).

GRU 128 over the rows of an image → dense 64 relu → dense classes.
"""

from __future__ import annotations

from dlcli import nn
from dlcli.models.parts.classifier import Classifier
from dlcli.models.parts.rows import ADAPTS, Config, classifier

__all__ = ["ADAPTS", "DESCRIPTION", "Config", "build"]

DESCRIPTION = "a GRU over the rows of an image, two dense layers"


def build(
    config: Config, shape: tuple[int, int, int], classes: int, *, seed: int = 0
) -> Classifier:
    """A classifier of images (H, W, C) = shape, initialised from `seed`.

    UsageError for settings that make no network.
    """
    return classifier("gru", nn.GRU, config, shape, classes, seed)
