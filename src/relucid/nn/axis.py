"""Modules of functions along an axis: gated pairs, softmax and its relatives, maxout."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from relucid.errors import ShapeError
from relucid.functions import TwoInput, Vector
from relucid.nn.module import ActivationModule


class TwoInputModule(ActivationModule):
    """Multiply a value by an activation of a gate.

    Args:
        dim: the axis of even length n that holds both, value first; the output's is n / 2.

    """

    _function: TwoInput

    def _set_up(self, function: Any, *, dim: int = -1) -> None:
        self._function = function
        self.dim = dim

    def forward(self, input: Tensor, gate: Tensor | None = None) -> Tensor:
        """Return value times activated gate, halved from ``input`` or given as two tensors."""
        value: Tensor = self._function(input, gate, axis=self.dim)
        self._note_route()
        return value


class VectorModule(ActivationModule):
    """Apply a function of a whole vector along an axis.

    Args:
        dim: the axis. None can be given, as in ``torch.nn``, but then a call raises
            :class:`~relucid.errors.ShapeError`: PyTorch's deprecated choice (the first axis of
            3-D inputs, which is the batch) is hardly ever meant.

    Further arguments are the parameters of the declaration.

    """

    _function: Vector

    def _set_up(self, function: Any, *, dim: int | None = -1) -> None:
        self._function = function
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """Return the function of ``input`` along the axis, in the dtype of ``input``."""
        if self.dim is None:
            raise ShapeError(
                f"{type(self).__name__} needs an axis; construct it with dim=-1 for the last one "
                "or dim=1 for channels"
            )
        value: Tensor = self._function(input, self.dim)
        self._note_route()
        return value
