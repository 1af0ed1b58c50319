"""A small network for the digits, and two recipes: one that works, one that kills units."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from relucid.demo.digits import Digits

WIDTHS = (64, 128, 64, 32, 10)
BATCH = 64
MOMENTUM = 0.9


@dataclass(frozen=True)
class Recipe:
    """How a demonstration network is trained."""

    title: str
    learning_rate: float
    story: str

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Make the optimizer that trains it."""
        return torch.optim.SGD(parameters, lr=self.learning_rate, momentum=MOMENTUM)


HEALTHY = Recipe(
    "Digits, healthy",
    0.05,
    "A 64-128-64-32-10 network with ReLU, trained on 1,400 handwritten digits by SGD with "
    "momentum at a learning rate of 0.05.",
)
SICK = Recipe(
    "Digits, learning rate too high",
    1.0,
    "The same network from the same initial weights, trained on the same batches at a learning "
    "rate of 1.0, twenty times as high. The first steps are so large that they throw units to "
    "where they never fire again.",
)


def build(seed: int = 0) -> nn.Sequential:
    """Return the untrained network, with the same weights for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential()
        for depth, (inputs, outputs) in enumerate(pairwise(WIDTHS[:-1]), start=1):
            network.add_module(f"layer{depth}", nn.Linear(inputs, outputs))
            network.add_module(f"relu{depth}", nn.ReLU())
        network.add_module("scores", nn.Linear(*WIDTHS[-2:]))
        return network


def train(
    recipe: Recipe,
    digits: Digits,
    steps: int,
    *,
    seed: int = 0,
    watch: Callable[[Iterable[int]], Iterable[int]] = iter,
    within: Callable[[nn.Sequential], AbstractContextManager[object]] = nullcontext,
) -> nn.Sequential:
    """Train the network by a recipe, the same way for the same seed.

    ``watch`` wraps the step numbers, for a progress bar; ``within`` gives a context to train the
    network in.
    """
    network = build(seed)
    optimiser = recipe.optimizer(network.parameters())
    generator = torch.Generator().manual_seed(seed)
    with within(network):
        for _ in watch(range(steps)):
            batch = torch.randint(len(digits.train_labels), (BATCH,), generator=generator)
            scores = network(digits.train_images[batch])
            loss = nn.functional.cross_entropy(scores, digits.train_labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return network


def accuracy(network: nn.Module, digits: Digits) -> float:
    """Share of the held-out digits that the network names rightly."""
    with torch.no_grad():
        chosen = network(digits.test_images).argmax(1)
    return float((chosen == digits.test_labels).float().mean())
