"""Small real networks on the shipped digits: healthy ones, and ones with a planted illness."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from relucid.demo import load_digits

Batches = list[tuple[Tensor, Tensor]]
LOSS = nn.functional.cross_entropy


@cache
def _digits() -> tuple[Tensor, Tensor]:
    stored = load_digits()
    images = torch.cat([stored.train_images, stored.test_images]).reshape(-1, 1, 8, 8)
    return images, torch.cat([stored.train_labels, stored.test_labels])


def digits(count: int = 1797, batch: int = 100, full_range: bool = False) -> Batches:
    """Return handwritten digits, 1 x 8 x 8, standardised; or as pixels in 0 to 255."""
    images, labels = _digits()
    images = images * 255.0 if full_range else (images - images.mean()) / images.std()
    return list(zip(images[:count].split(batch), labels[:count].split(batch), strict=True))


def mlp(
    activation: Callable[[], nn.Module] = nn.ReLU, depth: int = 3, width: int = 64
) -> nn.Sequential:
    """Return a plain network of ``depth`` activations."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Flatten()]
    for i in range(depth):
        layers += [nn.Linear(width if i else 64, width), activation()]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def with_gain(model: nn.Module, gain: float) -> nn.Module:
    """Draw weights of this gain, 1 for the first layer, and zero biases."""
    first = True
    for layer in model.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            of_layer = 1.0 if first else gain
            nn.init.normal_(layer.weight, std=of_layer * layer.weight[0].numel() ** -0.5)
            nn.init.zeros_(layer.bias)
            first = False
    return model


def cnn(normalised: bool = True, activation: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    """Return a small convolutional network, by default with batch normalisation."""
    torch.manual_seed(0)

    def norm(channels: int) -> nn.Module:
        return nn.BatchNorm2d(channels) if normalised else nn.Identity()

    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), norm(16), activation(),
        nn.Conv2d(16, 32, 3, padding=1), norm(32), activation(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1), norm(32), activation(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
    )  # fmt: skip


class Residual(nn.Module):
    """A residual network of functional activations."""

    def __init__(self, blocks: int = 8, width: int = 64) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Linear(64, width)
        self.inner = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.outer = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x.flatten(1)))
        for inner, outer in zip(self.inner, self.outer, strict=True):
            x = torch.relu(x + outer(torch.relu(inner(x))))
        out: Tensor = self.head(x)
        return out


def train(
    model: nn.Module,
    data: Batches,
    rate: float = 0.05,
    epochs: int = 3,
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.SGD,
    **options: Any,
) -> nn.Module:
    """Train in place, in training mode, and return the model."""
    steps = optimizer(model.parameters(), lr=rate, **options)
    model.train()
    for _ in range(epochs):
        for images, labels in data:
            steps.zero_grad()
            LOSS(model(images), labels).backward()
            steps.step()
    return model
