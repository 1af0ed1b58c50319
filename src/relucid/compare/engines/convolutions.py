"""Convolutions of stacked models, one model after the other, and dropout as each has it alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from relucid.compare.engines.masks import DROPOUTS, Masks
from relucid.compare.engines.outside import outside

Call = Callable[..., Tensor]

CONVOLUTIONS: frozenset[Call] = frozenset({functional.conv1d, functional.conv2d, functional.conv3d})


class OneByOne(TorchFunctionMode):
    """Draws for dropout what each model would, and runs convolutions model by model.

    The latter keeps :func:`torch.vmap` from making one grouped convolution of those of many models.

    On the CPU that takes longer: for 12 models of 16 to 32 channels, 3x3, on 64 images of 8x8,
    4.2 ms forward and 9.8 ms backward, and 1.3 and 5.9 ms as 12 convolutions.
    """

    def __init__(self, masks: Masks) -> None:
        super().__init__()
        self._masks = masks

    def __torch_function__(
        self,
        func: Call,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run these in their own way, and anything else as it is."""
        if func in DROPOUTS and args[0].device.type == "cpu":
            return outside(args[0], partial(self._masks.drop, func, dict(kwargs or {})))
        if func not in CONVOLUTIONS:
            return func(*args, **(kwargs or {}))
        named = dict(kwargs or {})
        values = (*args, *named.values())
        return _ModelByModel.apply(func, tuple(named), *values)  # type: ignore[no-untyped-call]  # PyTorch has no types for it


class _ModelByModel(torch.autograd.Function):
    """Calls a function for each model with what :func:`torch.vmap` batches for it."""

    @staticmethod
    def forward(function: Call, names: tuple[str, ...], *values: Any) -> Tensor:
        """Call it once, for values that are the same for all models."""
        return _called(function, names, values)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep nothing: the function is differentiated as it runs."""

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], function: Call, names: tuple[str, ...], *values: Any
    ) -> tuple[Tensor, int]:
        """Call it for one model after the other, outside the transform."""
        count = info.batch_size
        own = [
            value.unbind(dim) if isinstance(dim, int) else (value,) * count
            for value, dim in zip(values, in_dims[2:], strict=True)
        ]
        return torch.stack([_called(function, names, mine) for mine in zip(*own, strict=True)]), 0


def _called(function: Call, names: tuple[str, ...], values: Any) -> Tensor:
    """Call with the last values by these names."""
    count = len(values) - len(names)
    return function(*values[:count], **dict(zip(names, values[count:], strict=True)))
