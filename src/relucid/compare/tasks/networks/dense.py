"""A multilayer perceptron."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from relucid.compare.tasks.networks.choose import MakeModule


def mlp(
    activation: MakeModule = nn.ReLU,
    *,
    inputs: int,
    outputs: int,
    widths: tuple[int, ...] = (64, 64),
) -> nn.Sequential:
    """Build linear layers with an activation after each but the last.

    It takes float tensors (N, ...) with ``inputs`` numbers a sample, and gives (N, ``outputs``).
    """
    network = nn.Sequential(nn.Flatten())
    for depth, (before, after) in enumerate(pairwise((inputs, *widths)), start=1):
        network.add_module(f"layer{depth}", nn.Linear(before, after))
        network.add_module(f"activation{depth}", activation())
    network.add_module("scores", nn.Linear((inputs, *widths)[-1], outputs))
    return network
