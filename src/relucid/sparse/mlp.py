"""A feed-forward block made of layers that leave out the work that zeros would be multiplied by."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from relucid.errors import ParameterError
from relucid.functions import Elementwise, catalogue, get
from relucid.nn import make
from relucid.sparse.certified import CertifiedLinear
from relucid.sparse.layer import SparseLinear
from relucid.sparse.levels import level_of
from relucid.sparse.partner import PartnerLinear
from relucid.sparse.skipping import SkippingLinear


class MLP(nn.Module):
    """``down(activation(up(x)))`` or, gated, ``down(activation(gate(x)) * up(x))``.

    Trains as any module: in training mode, and where gradients are wanted, its layers compute in
    full. In evaluation mode without gradients, on a CPU, they leave out what zeros make
    superfluous, as :func:`relucid.accelerate` explains. Its weights start as those of
    ``nn.Linear``. After training, ``eval()`` takes them as they are then, and so do
    ``load_state_dict`` and ``to``; after other changes call :meth:`refresh`.

    Args:
        width: numbers in a token, first and last.
        hidden: units in between.
        activation: a name of the catalogue or a function of one number that gives exact zeros.
        gated: whether there is a second factor, ``up``, beside the gate.
        bias: whether the layers have biases.
        dtype: of the weights: float32 (the default, if PyTorch's is) or bfloat16.
        certify: whether ``up``, or ``gate``, leaves out units that are proved to be zero, which
            takes a quarter of its memory more in float32, a half in bfloat16.

    Shape:
        (..., width) to (..., width).

    Raises:
        ParameterError: if the activation gives no exact zeros.

    """

    def __init__(
        self,
        width: int,
        hidden: int,
        activation: Any = "relu",
        gated: bool = False,
        bias: bool = True,
        dtype: torch.dtype | None = None,
        certify: bool = True,
    ) -> None:
        super().__init__()
        function = _with_zeros(activation)
        self.width, self.hidden, self.gated = width, hidden, gated
        first, up = (
            nn.Linear(width, hidden, bias, dtype=dtype) if wanted else None
            for wanted in (True, gated)
        )
        assert first is not None
        level = level_of(function)
        if certify and level > -math.inf:
            first = CertifiedLinear(first, level)
            up = None if up is None else PartnerLinear(up, first)
        if up is not None:
            self.gate = first
        self.up = first if up is None else up
        self.activation = make(function)
        self.down = SkippingLinear(nn.Linear(hidden, width, bias, dtype=dtype))
        self.register_load_state_dict_post_hook(_loaded)  # type: ignore[no-untyped-call]  # PyTorch has no types for it

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output for x of shape (..., width)."""
        if not self.gated:
            return self._last(self.activation(self.up(x)))
        return self._last(self.activation(self.gate(x)) * self.up(x))

    def _last(self, hidden: Tensor) -> Tensor:
        made: Tensor = self.down(hidden)
        return made

    def refresh(self) -> None:
        """Take the weights as they are now."""
        for layer in self.children():
            if isinstance(layer, SparseLinear):
                layer.refresh()

    def train(self, mode: bool = True) -> Self:
        """Set the mode; evaluation after training takes the weights as they are then."""
        trained = self.training and not mode
        super().train(mode)
        if trained:
            self.refresh()
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # PyTorch has no types for it
        self.refresh()
        return self

    def extra_repr(self) -> str:
        """Return the sizes."""
        return f"width={self.width}, hidden={self.hidden}, gated={self.gated}"


def _with_zeros(activation: Any) -> Elementwise:
    function = get(activation)
    if isinstance(function, Elementwise) and function.zero_region is not None:
        return function
    every = (get(name) for name in catalogue())
    names = [f.name for f in every if isinstance(f, Elementwise) and f.zero_region is not None]
    raise ParameterError(
        f"{function.name} gives no exact zeros, so that there is nothing to leave out; these do: "
        f"{', '.join(names)}"
    )


def _loaded(module: nn.Module, keys: Any) -> None:
    """Called by PyTorch after load_state_dict."""
    assert isinstance(module, MLP)
    module.refresh()
