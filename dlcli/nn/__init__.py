"""Layers, one file per family."""

from .attention import AdditiveAttention, DotAttention, MultiHeadAttention
from .average import Average
from .conv import Conv1d, Conv2d
from .conv_transpose import ConvTranspose2d
from .dropout import Dropout
from .embedding import Embedding
from .linear import Activation, Flatten, Linear
from .module import Buffer, Module, Parameter, Sequential
from .noise import Noise, Stream
from .norm import BatchNorm, InstanceNorm, LayerNorm
from .penalty import gradient_penalty
from .pool import AvgPool2d, GlobalAvgPool2d, GlobalMaxPool2d, MaxPool2d
from .positional import LearnedPositions, SinusoidalPositions
from .recurrent import GRU, LSTM, RNN, LastState, Recurrent, detached
from .resample import ReflectionPad2d, Upsample
from .spectral import SpectralNorm
from .transformer import TransformerEncoder, TransformerEncoderLayer

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Activation",
    "AdditiveAttention",
    "Average",
    "AvgPool2d",
    "BatchNorm",
    "Buffer",
    "Conv1d",
    "Conv2d",
    "ConvTranspose2d",
    "DotAttention",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalAvgPool2d",
    "GlobalMaxPool2d",
    "InstanceNorm",
    "LastState",
    "LayerNorm",
    "LearnedPositions",
    "Linear",
    "MaxPool2d",
    "Module",
    "MultiHeadAttention",
    "Noise",
    "Parameter",
    "Recurrent",
    "ReflectionPad2d",
    "Sequential",
    "SinusoidalPositions",
    "SpectralNorm",
    "Stream",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "Upsample",
    "detached",
    "gradient_penalty",
]
