"""A small character model: what comes next, from what came before."""

from __future__ import annotations

from torch import Tensor, nn

from relucid.compare.tasks.networks.choose import MakeModule

MEANING = 32
"""Numbers that stand for a character."""
FEATURES = 64
WINDOW = ((8, 1), (1, 1))
"""Kernel and dilation of each layer: a multilayer perceptron that reads 8 characters."""
DILATED = ((4, 1), (4, 3))
"""The same for two convolutions that see 13 characters (WaveNet, arXiv:1609.03499)."""


class Characters(nn.Module):
    """Convolutions over time that see only the past.

    It takes int64 characters (N, length), and gives the scores of what follows each,
    (N, ``vocabulary``, length).
    """

    def __init__(
        self,
        activation: MakeModule = nn.ReLU,
        *,
        vocabulary: int,
        layers: tuple[tuple[int, int], ...],
    ) -> None:
        super().__init__()
        self.meanings = nn.Embedding(vocabulary, MEANING)
        self.layers = nn.Sequential()
        width = MEANING
        for depth, (kernel, dilation) in enumerate(layers, start=1):
            past = nn.ConstantPad1d(((kernel - 1) * dilation, 0), 0.0)
            convolution = nn.Conv1d(width, FEATURES, kernel, dilation=dilation)
            self.layers.add_module(f"past{depth}", past)
            self.layers.add_module(f"convolution{depth}", convolution)
            self.layers.add_module(f"activation{depth}", activation())
            width = FEATURES
        self.layers.add_module("scores", nn.Conv1d(width, vocabulary, 1))

    def forward(self, characters: Tensor) -> Tensor:
        """Return a score a character that may follow, at each place."""
        scores: Tensor = self.layers(self.meanings(characters).transpose(1, 2))
        return scores
