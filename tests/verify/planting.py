"""Functions with a planted error, to see whether the measuring finds it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from relucid.functions import Elementwise
from relucid.verify.points import roots, stratified
from relucid.verify.reference import WHICH, reference
from relucid.verify.sides import Pair, Side
from relucid.verify.sweep import Bench

Change = Callable[[Tensor, Tensor], Tensor]
"""From the inputs and the right results, both float64, to wrong results."""


def nothing(x: Tensor, right: Tensor) -> Tensor:
    return right


def rounded(activation: Elementwise, value: Change = nothing, derivative: Change = nothing) -> Side:
    """The function in float64, changed, then rounded to float32; NaN for NaN."""
    truths = {which: reference(activation, which) for which in WHICH}

    def side(x: Tensor) -> Pair:
        wide = x.double()
        pair = (value(wide, truths["value"](wide)), derivative(wide, truths["derivative"](wide)))
        first, second = (torch.where(x == x, part.to(x.dtype), x) for part in pair)
        return first, second

    return side


def bench(activation: Elementwise, side: Side, alone: Side | None = None) -> Bench:
    """Measure ``side`` as relucid's."""
    truths = {which: reference(activation, which) for which in WHICH}
    empty = Bench(truths, {"relucid": side}, alone or side, roots(activation))
    return empty.emptied()


def inputs(activation: Elementwise, size: int = 60_000) -> Tensor:
    """A sample of float32, NaN and infinities too, in rising order of bit patterns."""
    patterns = stratified(activation, size)
    return torch.from_numpy(patterns.view(np.float32))
