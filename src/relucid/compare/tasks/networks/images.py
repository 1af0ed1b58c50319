"""A small convolutional network for images."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from relucid.compare.tasks.networks.choose import MakeModule

SMALLEST = 7
"""Images are halved until their longer side is at most this."""
WIDEST = 64
HIDDEN = 64


def cnn(activation: MakeModule = nn.ReLU, *, shape: tuple[int, int], outputs: int) -> nn.Sequential:
    """Build 3x3 convolutions that halve the image, then two linear layers.

    Images of 8x8 get 2 convolutions, of which 1 halves; those of 28x28 get 2, those of 64x64 get
    4. It takes float tensors (N, 1, height, width) of this shape, and gives (N, ``outputs``).
    """
    network = nn.Sequential()
    strides = _strides(max(shape))
    channels = (1, *(min(16 * 2**depth, WIDEST) for depth in range(len(strides))))
    height, width = shape
    for depth, ((before, after), stride) in enumerate(
        zip(pairwise(channels), strides, strict=True), start=1
    ):
        convolution = nn.Conv2d(before, after, 3, stride=stride, padding=1)
        network.add_module(f"convolution{depth}", convolution)
        network.add_module(f"activation{depth}", activation())
        height, width = -(-height // stride), -(-width // stride)
    network.add_module("flat", nn.Flatten())
    network.add_module("layer", nn.Linear(channels[-1] * height * width, HIDDEN))
    network.add_module("activation", activation())
    network.add_module("scores", nn.Linear(HIDDEN, outputs))
    return network


def _strides(side: int) -> tuple[int, ...]:
    """At least two convolutions; those that halve come last."""
    halvings = 0
    while side > SMALLEST:
        side, halvings = -(-side // 2), halvings + 1
    return (1,) * (2 - halvings) + (2,) * halvings
