"""Layers, one file per family."""

from .conv import Conv1d, Conv2d
from .dropout import Dropout
from .linear import Activation, Flatten, Linear
from .module import Buffer, Module, Parameter, Sequential
from .norm import BatchNorm, LayerNorm
from .pool import AvgPool2d, GlobalAvgPool2d, GlobalMaxPool2d, MaxPool2d

__all__ = [
    "Activation",
    "AvgPool2d",
    "BatchNorm",
    "Buffer",
    "Conv1d",
    "Conv2d",
    "Dropout",
    "Flatten",
    "GlobalAvgPool2d",
    "GlobalMaxPool2d",
    "LayerNorm",
    "Linear",
    "MaxPool2d",
    "Module",
    "Parameter",
    "Sequential",
]
