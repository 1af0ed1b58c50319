"""A way out of :func:`torch.vmap`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from relucid.compare.engines.refusal import refused


def outside(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Call a function with the one tensor (models, ...) that holds the values of all models."""
    values: Tensor = _Outside.apply(x, function)  # type: ignore[no-untyped-call]  # PyTorch has no types for it
    return values


class _Outside(torch.autograd.Function):
    """Is given by vmap what it batches."""

    @staticmethod
    def forward(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Refuse: nothing is batched here."""
        raise refused("an activation or dropout is applied to what is the same for all models")

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep nothing: the function is differentiated as it runs."""

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int, None], x: Tensor, function: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, int]:
        """Run outside the transform."""
        return function(x.movedim(in_dims[0], 0)), 0
