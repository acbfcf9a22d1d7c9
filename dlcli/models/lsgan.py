"""LSGAN (Mao et al. 2017): DCGAN's networks, with squares for losses: an image that is taken for
real, but lies far from the border, is still drawn towards it.
"""

from __future__ import annotations

from dataclasses import dataclass

from dlcli.models import dcgan

DESCRIPTION = "images from noise: DCGAN's networks with least-squares losses"
ADAPTS = dcgan.ADAPTS
KIND = dcgan.KIND


@dataclass(frozen=True)
class Config(dcgan.Config):
    """As of dcgan. loss: least squares unless it is said otherwise."""

    loss: str = "lsgan"


recipe = dcgan.recipe
build = dcgan.build
