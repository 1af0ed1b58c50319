"""Networks written out in the ways that users write them, each with its activation to choose.

The same class with another ``act`` is what a swap of it has to equal; the ones that call a function
in ``forward`` come in pairs, one for the function and one for what it is swapped to.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

Act = Callable[[Tensor], Tensor]


class LeNet(nn.Module):
    """The tutorial's network: functions, methods, one in place, one expression over two lines."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 3, padding=1)
        self.conv2 = nn.Conv2d(6, 8, 3, padding=1)
        self.fc1 = nn.Linear(32, 24)
        self.fc2 = nn.Linear(24, 16)
        self.fc3 = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Classify images."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(
            torch.relu(  # over several lines
                self.conv2(x),
            ),
            2,
        )
        x = torch.flatten(x, 1)
        x = self.fc1(x).relu()
        return self.head(nn.functional.relu(self.fc2(x), inplace=True))

    def head(self, x: Tensor) -> Tensor:
        """Return the logits."""
        return self.fc3(F.relu(input=x))


class ChosenLeNet(LeNet):
    """The same with a function of one's choice."""

    def __init__(self, act: Act) -> None:
        super().__init__()
        self.__dict__["act"] = act

    def forward(self, x: Tensor) -> Tensor:
        act = self.__dict__["act"]
        x = F.max_pool2d(act(self.conv1(x)), 2)
        x = F.max_pool2d(act(self.conv2(x)), 2)
        x = act(self.fc1(torch.flatten(x, 1)))
        return self.fc3(act(act(self.fc2(x))))


class Block(nn.Module):
    """torchvision's basic block: one module used twice, in place, after a sum."""

    def __init__(self, inside: int, outside: int, stride: int, act: Callable[[], nn.Module]):
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.relu = act()
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.downsample: nn.Module | None = None
        if stride != 1 or inside != outside:
            self.downsample = nn.Sequential(
                nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class ResNet(nn.Module):
    """torchvision's residual network, small."""

    def __init__(self, act: Callable[[], nn.Module] | None = None) -> None:
        super().__init__()
        act = act or partial(nn.ReLU, inplace=True)
        self.conv1 = nn.Conv2d(3, 8, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = act()
        self.layer1 = nn.Sequential(Block(8, 8, 1, act), Block(8, 8, 1, act))
        self.layer2 = nn.Sequential(Block(8, 16, 2, act), Block(16, 16, 1, act))
        self.fc = nn.Linear(16, 10)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer2(self.layer1(self.relu(self.bn1(self.conv1(x)))))
        return self.fc(x.mean((2, 3)))


class Functional(nn.Module):
    """Functions kept as attributes, and one that is called through checkpointing."""

    def __init__(self, act: Act = F.relu, checkpointed: bool = False) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 8)
        self.act, self.checkpointed = act, checkpointed

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.act(self.first(x)))


class Checkpointed(nn.Module):
    """A part that runs again in the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 3)

    def inner(self, x: Tensor) -> Tensor:
        return self.second(F.relu(self.first(x)))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = checkpoint(self.inner, x, use_reentrant=False)
        return result


class Looped(nn.Module):
    """One expression for many layers, in a comprehension and a nested function too."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = F.relu(layer(x))

        def twice(y: Tensor) -> Tensor:
            return torch.relu(y) + y

        return sum([torch.relu(layer(x)) for layer in self.layers], twice(x))


class ChosenLooped(Looped):
    """The same with SiLU."""

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = F.silu(layer(x))
        return sum([F.silu(layer(x)) for layer in self.layers], F.silu(x) + x)


class Base(nn.Module):
    """What Derived calls through super()."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.layer(x))


class Derived(Base):
    """An own relu, and one that is inherited."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(super().forward(x) - 0.5)


def helper(x: Tensor) -> Tensor:
    """A function that several modules could call."""
    return F.relu(x)


def decorated(method: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Wrap a method, as libraries do."""

    @wraps(method)
    def wrapper(*args: object) -> Tensor:
        return method(*args) + 1.0

    return wrapper


class Decorated(nn.Module):
    """A method inside two decorators, that another swap has left a tanh in."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)

    @decorated
    @decorated
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(F.relu(self.layer(x)))


class Registry(nn.Module):
    """Keeps a list of its subclasses."""

    known: ClassVar[list[type]] = []

    def __init_subclass__(cls) -> None:
        Registry.known.append(cls)


class Registered(Registry):
    """One of them, that calls a function, and its parent by super() with names."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.layer(x))


class Branching(nn.Module):
    """A call that only training makes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return F.relu(self.layer(x) + 0.1)
        return F.relu(self.layer(x))


class Kept(nn.Module):
    """A method that is kept, bound, before anything is swapped."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)
        self.kept = self.part

    def part(self, x: Tensor) -> Tensor:
        return F.relu(self.layer(x))

    def forward(self, x: Tensor) -> Tensor:
        return self.kept(x)


def closed_over(act: Act) -> type[nn.Module]:
    """Return a class whose method finds its function in the function around it."""

    class Inner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(6, 6)

        def forward(self, x: Tensor) -> Tensor:
            return act(self.layer(x)) + len([super()])

    return Inner


def silent(method: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Wrap a method without telling."""

    def wrapper(*args: object) -> Tensor:
        return method(*args)

    return wrapper


class Odd(nn.Module):
    """Calls that cannot be swapped, each for a reason of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)
        self.chosen = [torch.relu]

    def forward(self, x: Tensor) -> Tensor:
        x = helper(self.layer(x))
        act = F.relu
        x = act(x - 0.1)
        x = self.chosen[0](x - 0.1)
        x = (x - 0.1).clamp(min=0)
        x = self.wrapped(x - 0.1)
        arguments = (x - 0.1,)
        return F.relu(*arguments)

    @silent
    def wrapped(self, x: Tensor) -> Tensor:
        return F.relu(x)


class Gate(nn.Module):
    """SiLU written out."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)


class GELU(nn.Module):
    """By its name GELU, by its values the tanh form."""

    def forward(self, x: Tensor) -> Tensor:
        inner = 0.7978845608028654 * (x + 0.044715 * x**3)
        return 0.5 * x * (1.0 + torch.tanh(inner))


class Iterating(nn.Sequential):
    """Layers with a function between them."""

    def forward(self, x: Tensor) -> Tensor:
        for layer in self:
            x = torch.relu(layer(x))
        return x
