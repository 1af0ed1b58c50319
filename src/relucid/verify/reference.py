"""The truth for billions of inputs: the declared formulas in float64, checked against textbooks.

They are evaluated in plain PyTorch operations, which share no code with the kernels that are
measured. What a formula and a kernel could have wrong alike, :func:`check` would find: it compares
with the textbook definitions in arbitrary precision, at points of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relucid.functions import Elementwise
from relucid.nn.words import torch_words
from relucid.records.accuracy import TruthCheck, Worst
from relucid.verify.points import Patterns, around, edges, finite, roots, stratified
from relucid.verify.textbook import exact
from relucid.verify.units import NEAR_ROOT, OVERFLOW, SMALLEST_SUBNORMAL, TINY, near, unit32

WHICH = ("value", "derivative")
Reference = Callable[[Tensor], Tensor]


def reference(activation: Elementwise, which: str) -> Reference:
    """``which`` ("value" or "derivative") as a function of float64 tensors without NaN."""
    formula = activation.formula if which == "value" else activation.derivative_formula
    words, arguments = torch_words(torch.float64), activation.arguments

    def evaluate(x: Tensor) -> Tensor:
        result = torch.as_tensor(formula(words, x, **arguments), dtype=torch.float64)
        return result.expand_as(x)

    return evaluate


def on_numpy(function: Reference) -> Callable[[Any], NDArray[np.float64]]:
    """The same as a function of float64 arrays."""
    return lambda x: function(torch.from_numpy(np.asarray(x))).numpy()


def check(
    activation: Elementwise, which: str, size: int, truth: Reference | None = None
) -> TruthCheck:
    """Compare the truth with the textbook at about ``size`` random float32 and the hard ones.

    Those are the neighbours of joints, of the roots of the derivative, and of every point where
    the result becomes subnormal, rounds to zero, or overflows.
    """
    truth = truth or reference(activation, which)
    x = finite(_patterns(activation, truth, size)).astype(np.float64)
    high, low = exact(activation, which, x)
    found = on_numpy(truth)(x)
    with np.errstate(invalid="ignore"):
        error = np.abs((found - high) - low)
    error = np.where(np.isnan(error), np.inf, error)
    close = near(x, roots(activation) if which == "derivative" else ())
    return TruthCheck(
        points=len(x),
        ulp=worst(np.where(close, 0.0, error / unit32(high)), x),
        near_root=worst(np.where(close, error, 0.0), x),
    )


def worst(errors: NDArray[np.float64], x: NDArray[Any]) -> Worst:
    """The largest error and where it is."""
    i = int(np.argmax(errors))
    return Worst(float(errors[i]), float(x[i])) if errors[i] > 0.0 else Worst()


def _patterns(activation: Elementwise, truth: Reference, size: int) -> Patterns:
    rng = np.random.default_rng(1)
    found = [stratified(activation, size, seed=1)]
    dense = stratified(activation, 1 << 16, seed=2)
    for level in (TINY, SMALLEST_SUBNORMAL / 2.0, OVERFLOW):
        found.append(edges(on_numpy(truth), dense, level))
    for root in roots(activation):
        zone = root + rng.uniform(-NEAR_ROOT, NEAR_ROOT, size // 8)
        found += [zone.astype(np.float32).view(np.uint32)]
        found += [around(root, np.float32, 200).view(np.uint32)]
    return np.unique(np.concatenate(found))
