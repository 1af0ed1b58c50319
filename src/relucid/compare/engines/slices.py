"""The activations in which stacked models differ: each is applied to the slice of its models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn

from relucid.compare.engines.outside import outside
from relucid.compare.engines.refusal import refused
from relucid.functions import Elementwise
from relucid.nn.calls import declared_by
from relucid.nn.elementwise import ElementwiseModule


def activation_paths(models: Sequence[nn.Module]) -> list[str]:
    """Return where models of one structure have an elementwise activation, each maybe another.

    Raises :class:`~relucid.errors.EngineError` where they differ in anything else.
    """
    return [path for path in _paths("", models)]


def _paths(path: str, modules: Sequence[nn.Module]) -> Iterator[str]:
    if all(isinstance(declared_by(module), Elementwise) for module in modules):
        yield path
        return
    kinds = dict.fromkeys(map(_kind, modules))
    if len(kinds) > 1:
        what = " or ".join(f"{name} of {', '.join(parts) or 'no parts'}" for name, parts in kinds)
        where = f"at {path!r}" if path else "as a whole"
        raise refused(f"the models differ {where} in more than an activation ({what})")
    children = [_children(module) for module in modules]
    for name in children[0]:
        deeper = f"{path}.{name}" if path else name
        yield from _paths(deeper, [own[name] for own in children])


def _kind(module: nn.Module) -> tuple[str, tuple[str, ...]]:
    """Class and children, by name: a builder may define the class anew each time."""
    return type(module).__qualname__, tuple(_children(module))


def _children(module: nn.Module) -> dict[str, nn.Module]:
    """All of them, one that stands at two places twice."""
    return {name: child for name, child in module._modules.items() if child is not None}


class Slices(nn.Module):
    """Stands where each of many models has an activation of its own.

    Under :func:`torch.vmap` over the models it is given the one tensor that holds the values of
    all, (models, ...), and applies each activation to its part, outside the transform: by its
    fused kernel, with its own backward pass.
    """

    def __init__(self, modules: Sequence[nn.Module], names: Sequence[str]) -> None:
        super().__init__()
        # Not as submodules: functional_call looks through all of them, 1.5 ms a step for 120.
        self._own = list(zip(names, modules, strict=True))
        self._read()
        for module in modules:
            if "inplace" in vars(module):  # a slice is a view, whose base is needed again
                vars(module)["inplace"] = False

    def forward(self, x: Tensor) -> Tensor:
        """Apply each model's activation to its values."""
        return outside(x, self.of_all)

    def keep(self, models: Sequence[int]) -> None:
        """Go on with some of the models."""
        self._own = [self._own[i] for i in models]
        self._read()

    def _read(self) -> None:
        self._calls = list(_calls(self._own))
        self._functions = _functions(self._own)

    def of_all(self, x: Tensor) -> Tensor:
        """Apply each model's activation to its part of (models, ...)."""
        if self._functions is not None and x.is_floating_point():
            values: Tensor = _SideBySide.apply(x, self._functions)  # type: ignore[no-untyped-call]  # PyTorch has no types for it
            return values
        parts = x.split([count for count, _ in self._calls])
        return torch.cat([call(part) for part, (_, call) in zip(parts, self._calls, strict=True)])


def _calls(
    own: Sequence[tuple[str, nn.Module]],
) -> Iterator[tuple[int, Callable[[Tensor], Tensor]]]:
    """Yield how many models are next, and what is applied to all of them at once."""
    for _, same in groupby(own, key=lambda pair: pair[0]):
        modules = [module for _, module in same]
        if any(True for _ in modules[0].parameters()):  # each has learned other ones
            yield from ((1, _alone(module)) for module in modules)
        else:
            yield len(modules), modules[0]


def _alone(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """The module, which may look at axes, applied without the axis of models."""
    return lambda x: module(x.squeeze(0)).unsqueeze(0)


def _functions(own: Sequence[tuple[str, nn.Module]]) -> list[tuple[int, Elementwise]] | None:
    """Return how many models are next, and their function; None if a module may do more than it."""
    found: list[tuple[int, Elementwise]] = []
    for _, same in groupby(own, key=lambda pair: pair[0]):
        modules = [module for _, module in same]
        first = modules[0]
        if not isinstance(first, ElementwiseModule) or first.learn or is_hooked(first):
            return None
        if type(first).forward is not ElementwiseModule.forward:
            return None
        found.append((len(modules), first.activation))
    return found


def is_hooked(module: nn.Module) -> bool:
    """Whether a module does more, or something else, than its class says."""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or "forward" in vars(module)
    )


class _SideBySide(torch.autograd.Function):
    """Functions of parts of a tensor, written to one place, forward and backward.

    With a node of the graph for each part, and the parts joined afterwards, 12 functions of 60
    models' 64x64 numbers take 0.71 ms; so they take 0.48 ms.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, functions: Sequence[tuple[int, Elementwise]]) -> Tensor:
        x = x.contiguous()
        ctx.save_for_backward(x)
        ctx.functions, result = functions, torch.empty_like(x)
        counts = [count for count, _ in functions]
        for part, place, (_, function) in zip(
            x.split(counts), result.split(counts), functions, strict=True
        ):
            function(part, out=place)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (x,), gradient = ctx.saved_tensors, gradients[0].contiguous()
        counts = [count for count, _ in ctx.functions]
        result = None if torch.is_grad_enabled() else torch.empty_like(x)
        places = [None] * len(counts) if result is None else result.split(counts)
        products = [
            function.vjp(part, own, out=place)
            for part, own, place, (_, function) in zip(
                x.split(counts), gradient.split(counts), places, ctx.functions, strict=True
            )
        ]
        return torch.cat(products) if result is None else result, None
