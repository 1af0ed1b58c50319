"""Two small classifiers of lines of words."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from relucid.compare.tasks.networks.choose import MakeModule
from relucid.compare.tasks.networks.dense import mlp

PADDING = 0
"""What stands where a line has no more words."""
MEANING = 32
"""Numbers that stand for a word."""
SPREAD = 0.1
"""Of these numbers at first. With PyTorch's 1.0, movie reviews were told apart with an accuracy of
0.65 after 300 steps, and with this of 0.71."""
FEATURES = 64
NEIGHBOURS = 3


class WordMean(nn.Module):
    """The mean of a line's word vectors, and a multilayer perceptron.

    It takes int64 words (N, length), of which each line has at least one, and gives
    (N, ``classes``).
    """

    def __init__(self, activation: MakeModule = nn.ReLU, *, vocabulary: int, classes: int) -> None:
        super().__init__()
        self.meanings = _meanings(vocabulary)
        self.judge = mlp(activation, inputs=MEANING, outputs=classes, widths=(FEATURES, FEATURES))

    def forward(self, words: Tensor) -> Tensor:
        """Return a score a class."""
        present = (words != PADDING).unsqueeze(2)
        mean = (self.meanings(words) * present).sum(1) / present.sum(1)
        scores: Tensor = self.judge(mean)
        return scores


class WordConvolution(nn.Module):
    """A convolution over three words at a time, and the greatest of each feature.

    It takes and gives what :class:`WordMean` does. Source: Kim 2014, arXiv:1408.5882.
    """

    def __init__(self, activation: MakeModule = nn.ReLU, *, vocabulary: int, classes: int) -> None:
        super().__init__()
        self.meanings = _meanings(vocabulary)
        self.convolution = nn.Conv1d(MEANING, FEATURES, NEIGHBOURS, padding=NEIGHBOURS // 2)
        self.activation = activation()
        self.judge = mlp(activation, inputs=FEATURES, outputs=classes, widths=(FEATURES,))

    def forward(self, words: Tensor) -> Tensor:
        """Return a score a class."""
        present = (words != PADDING).unsqueeze(2)
        signal = (self.meanings(words) * present).transpose(1, 2)
        features = self.activation(self.convolution(signal))
        greatest = torch.where(present.transpose(1, 2), features, -torch.inf).amax(2)
        scores: Tensor = self.judge(greatest)
        return scores


def _meanings(vocabulary: int) -> nn.Embedding:
    embedding = nn.Embedding(vocabulary, MEANING)
    nn.init.normal_(embedding.weight, std=SPREAD)
    return embedding
