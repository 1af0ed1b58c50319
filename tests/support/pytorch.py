"""PyTorch's own functions by case: to compare conventions and accuracy with, never as truth."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from relucid.verify import libraries
from support.cases import Case


def pytorch(case: Case) -> Callable[[Tensor], Tensor] | None:
    """PyTorch's function with the case's parameters, or None where it has none."""
    return libraries.pytorch(case.activation)
