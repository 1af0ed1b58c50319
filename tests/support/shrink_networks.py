"""The architectures of the zoo that shrink is tested on, small and written out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def mlp() -> nn.Module:
    """Two hidden layers, the second of a function that is constant on both sides."""
    return nn.Sequential(
        nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 24), nn.ReLU6(), nn.Linear(24, 10)
    )


class LeNet(nn.Module):
    """Two convolutions with pooling, and three linear layers; all functions called."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(256, 48), nn.Linear(48, 32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        x = functional.relu(self.fc1(torch.flatten(x, 1)))
        out: Tensor = self.fc3(functional.relu(self.fc2(x)))
        return out


def vgg() -> nn.Module:
    """Blocks of two convolutions with batch normalisation, in place, and dropout in the head."""
    layers: list[nn.Module] = []
    channels = 3
    for width in (12, 16):
        for _ in range(2):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width)]
            layers += [nn.ReLU(inplace=True)]
            channels = width
        layers.append(nn.MaxPool2d(2))
    head = [nn.Linear(64, 32), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(32, 10)]
    return nn.Sequential(*layers, nn.Flatten(), *head)


class Block(nn.Module):
    """A residual block, with a projection where channels or size change."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.relu = nn.ReLU(inplace=True)
        self.down: nn.Module = nn.Identity()
        if before != after:
            self.down = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out: Tensor = self.relu(inner + self.down(x))
        return out


class ResNet(nn.Module):
    """A stem and three residual blocks, and the mean over positions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 12, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(12)
        self.blocks = nn.Sequential(Block(12, 12, 1), Block(12, 20, 2), Block(20, 20, 1))
        self.head = nn.Linear(20, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(torch.relu(self.bn1(self.conv1(x))))
        out: Tensor = self.head(x.mean((2, 3)))
        return out


class Dense(nn.Module):
    """A layer of a dense block: it adds channels to those that it is given."""

    def __init__(self, before: int, growth: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(before), nn.Conv2d(before, 16, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(16), nn.Conv2d(16, growth, 3, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.conv1(torch.relu(self.norm1(x)))
        return torch.cat([x, self.conv2(torch.relu(self.norm2(inner)))], 1)


def densenet() -> nn.Module:
    """Two dense blocks with a transition between them."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        Dense(8, 6), Dense(14, 6),
        nn.BatchNorm2d(20), nn.ReLU(), nn.Conv2d(20, 12, 1, bias=False), nn.AvgPool2d(2),
        Dense(12, 6), Dense(18, 6),
        nn.BatchNorm2d(24), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 10),
    )  # fmt: skip


class UNet(nn.Module):
    """Down, up by a transposed convolution and by interpolation, with connections across."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2 = self.pair(3, 8), self.pair(8, 12)
        self.middle = self.pair(12, 16)
        self.up2, self.side2 = nn.ConvTranspose2d(16, 12, 2, stride=2), self.pair(24, 12)
        self.up1, self.side1 = nn.Conv2d(12, 8, 1), self.pair(16, 8)
        self.head = nn.Conv2d(8, 2, 1)

    @staticmethod
    def pair(before: int, after: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(before, after, 3, padding=1), nn.ReLU(),
            nn.Conv2d(after, after, 3, padding=1), nn.ReLU(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        first = self.down1(x)
        second = self.down2(functional.max_pool2d(first, 2))
        x = self.middle(functional.max_pool2d(second, 2))
        x = self.side2(torch.cat([second, self.up2(x)], 1))
        x = functional.interpolate(self.up1(x), scale_factor=2.0, mode="nearest")
        out: Tensor = self.head(self.side1(torch.cat([first, x], 1)))
        return out


class Inverted(nn.Module):
    """MobileNetV2's block: wider, a filter for each channel, narrower."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        inner = 3 * before
        self.same = before == after and stride == 1
        self.expand = nn.Conv2d(before, inner, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(inner)
        self.depth = nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False)
        self.norm2 = nn.BatchNorm2d(inner)
        self.project = nn.Conv2d(inner, after, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu6(self.norm1(self.expand(x)))
        inner = functional.relu6(self.norm2(self.depth(inner)))
        out: Tensor = self.norm3(self.project(inner))
        return x + out if self.same else out


def mobilenet() -> nn.Module:
    """A stem, three such blocks and a wide last convolution."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(),
        Inverted(8, 8, 1), Inverted(8, 12, 2), Inverted(12, 12, 1),
        nn.Conv2d(12, 32, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(32, 10),
    )  # fmt: skip
