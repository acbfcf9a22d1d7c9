"""Layers, one file per family."""

from .conv import Conv1d, Conv2d
from .conv_transpose import ConvTranspose2d
from .dropout import Dropout
from .embedding import Embedding
from .linear import Activation, Flatten, Linear
from .module import Buffer, Module, Parameter, Sequential
from .norm import BatchNorm, InstanceNorm, LayerNorm
from .penalty import gradient_penalty
from .pool import AvgPool2d, GlobalAvgPool2d, GlobalMaxPool2d, MaxPool2d
from .recurrent import GRU, LSTM, RNN, LastState, Recurrent, detached
from .resample import ReflectionPad2d, Upsample
from .spectral import SpectralNorm

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Activation",
    "AvgPool2d",
    "BatchNorm",
    "Buffer",
    "Conv1d",
    "Conv2d",
    "ConvTranspose2d",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalAvgPool2d",
    "GlobalMaxPool2d",
    "InstanceNorm",
    "LastState",
    "LayerNorm",
    "Linear",
    "MaxPool2d",
    "Module",
    "Parameter",
    "Recurrent",
    "ReflectionPad2d",
    "Sequential",
    "SpectralNorm",
    "Upsample",
    "detached",
    "gradient_penalty",
]
