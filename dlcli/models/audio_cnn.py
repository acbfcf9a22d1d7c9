"""A classifier of sounds by 1-D convolutions on the raw waveform, without a spectrogram (after
Dai et al. 2017, "Very deep convolutional neural networks for raw waveforms").

A long filter at a large stride, which learns a filter bank, then short ones that halve the time →
the mean and the maximum over time → dense. Each convolution is followed by batch normalisation and
relu. What a layer gives at padding is set to 0, and neither mean nor maximum sees it, so that a
sound gives the same whatever it shares a batch with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dlcli import nn
from dlcli.engine.tape import apply
from dlcli.engine.tensor import Tensor, on_device
from dlcli.errors import UsageError
from dlcli.models.parts.classifier import Classifier
from dlcli.nn.functional import activation

DESCRIPTION = "sounds: convolutions on the raw waveform, the mean and maximum over time"
ADAPTS = "A sound may have any length; the strides suit 8,000 samples per second."
KIND = "audio"


@dataclass(frozen=True)
class Config:
    """channels: of each convolution. widths: samples, or steps, that a filter of it spans; odd.
    strides: of each. dropout: before the dense layer.
    """

    channels: tuple[int, ...] = (32, 32, 64, 64, 128, 128)
    widths: tuple[int, ...] = (65, 5, 5, 5, 5, 5)
    strides: tuple[int, ...] = (8, 2, 2, 2, 2, 1)
    dropout: float = 0.3


class Block(nn.Module):
    """relu(norm(conv(x))) · mask: x (N, T, in), mask (N, T, 1) → (N, T', out) and mask (N, T', 1).

    Step j of the output lies at step j · stride of the input, T' = ⌈T / stride⌉, and it is there if
    that one is.
    """

    def __init__(self, inputs: int, outputs: int, width: int, stride: int) -> None:
        self.conv = nn.Conv1d(inputs, outputs, width, stride=stride, padding=width // 2, bias=False)
        self.norm = nn.BatchNorm(outputs)
        self.stride = stride

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        y = activation(self.norm(self.conv(x)), "relu")
        n, t, channels = y.shape
        if self.stride > 1:  # a pooling window of one element picks
            picked = apply(
                "maxpool2d",
                mask.reshape(n, 1, mask.shape[1], 1),
                window=(1, 1),
                stride=(1, self.stride),
                padding=((0, 0), (0, 0)),
            )
            mask = picked.reshape(n, t, 1)
        spread = apply("broadcast", mask.reshape(n, t), shape=(n, t, channels), axes=(2,))
        return apply("mul", y, spread), mask


class AudioCNN(Classifier):
    """Waves (N, T, 1) and where there is sound (N, T, 1) to logits (N, classes)."""

    def __init__(self, config: Config, classes: int) -> None:
        self.blocks = []
        before = 1
        for channels, width, stride in zip(
            config.channels, config.widths, config.strides, strict=True
        ):
            self.blocks.append(Block(before, channels, width, stride))
            before = channels
        self.drop = nn.Dropout(config.dropout)
        self.head = nn.Linear(2 * before, classes)

    def children(self) -> Any:
        return nn.Module.children(self)

    def inputs(self, batch: Any) -> tuple[np.ndarray, ...]:
        """The waveforms, and where they are no padding."""
        return tuple(batch.inputs)

    def forward(self, *inputs: Tensor) -> Tensor:
        x, mask = inputs
        for block in self.blocks:
            x, mask = block(x, mask)
        n, _, channels = x.shape
        total = apply("sum", x, axes=(1,), keepdims=False)
        there = apply("sum", mask, axes=(1, 2), keepdims=False)  # (N,): 1 or more
        mean = apply("div", total, apply("broadcast", there, shape=(n, channels), axes=(1,)))
        most = apply("max", x, axes=(1,), keepdims=False)  # after relu no padding is above a sound
        logits: Tensor = self.head(self.drop(apply("concat", mean, most)))
        return logits

    def blank(self, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """A second of silence or less, for a summary of the layers. shape: (samples, rate)."""
        ones = np.ones((1, min(shape), 1), np.float32)
        return on_device(0 * ones), on_device(ones)


def build(config: Config, shape: tuple[int, ...], classes: int, *, seed: int = 0) -> AudioCNN:
    """A classifier of sounds, shape = (samples of a sound at most, samples per second), initialised
    from `seed`.

    UsageError for settings that make no network.
    """
    layers = (config.channels, config.widths, config.strides)
    if not config.channels or len({len(values) for values in layers}) != 1:
        why = "each has a number for each convolution"
        raise UsageError("audio-cnn: channels, widths and strides do not fit", why=why)
    if min(min(values) for values in layers) < 1 or any(w % 2 == 0 for w in config.widths):
        why = "channels, widths and strides are 1 or more, widths odd"
        raise UsageError(f"audio-cnn: {layers} does not make a network", why=why)
    if not 0 <= config.dropout < 1:
        why = "0 or more, below 1"
        raise UsageError(f"audio-cnn: dropout {config.dropout} is not possible", why=why)
    model = AudioCNN(config, classes)
    model.initialize(seed)
    return model
