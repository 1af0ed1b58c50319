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


def digits(
    count: int = 1797, batch: int = 100, full_range: bool = False, seed: int | None = None
) -> Batches:
    """Return handwritten digits, 1 x 8 x 8, standardised; or as pixels in 0 to 255.

    Of a seed, in an order of its own.
    """
    images, labels = _digits()
    if seed is not None:
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
        images, labels = images[order], labels[order]
    images = images * 255.0 if full_range else (images - images.mean()) / images.std()
    return list(zip(images[:count].split(batch), labels[:count].split(batch), strict=True))


def mlp(
    activation: Callable[[], nn.Module] = nn.ReLU, depth: int = 3, width: int = 64, seed: int = 0
) -> nn.Sequential:
    """Return a plain network of ``depth`` activations."""
    torch.manual_seed(seed)
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


def cnn(
    normalised: bool = True, activation: Callable[[], nn.Module] = nn.ReLU, seed: int = 0
) -> nn.Sequential:
    """Return a small convolutional network, by default with batch normalisation."""
    torch.manual_seed(seed)

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

    def __init__(
        self,
        blocks: int = 8,
        width: int = 64,
        activation: Callable[[Tensor], Tensor] = torch.relu,
        seed: int = 0,
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.activation = activation
        self.stem = nn.Linear(64, width)
        self.inner = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.outer = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(self.stem(x.flatten(1)))
        for inner, outer in zip(self.inner, self.outer, strict=True):
            x = self.activation(x + outer(self.activation(inner(x))))
        out: Tensor = self.head(x)
        return out


class Transformer(nn.Module):
    """A small transformer: 16 patches of 2 x 2 pixels, two layers, mean over the patches."""

    def __init__(
        self,
        activation: Callable[[Tensor], Tensor] = torch.relu,
        norm_first: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.embed = nn.Conv2d(1, 32, 2, stride=2)
        self.places = nn.Parameter(0.02 * torch.randn(16, 32))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(32, 4, 64, 0.0, activation, batch_first=True,
                                       norm_first=norm_first)
            for _ in range(2)
        )  # fmt: skip
        self.head = nn.Sequential(nn.LayerNorm(32), nn.Linear(32, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2) + self.places
        for layer in self.layers:
            x = layer(x)
        out: Tensor = self.head(x.mean(1))
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
