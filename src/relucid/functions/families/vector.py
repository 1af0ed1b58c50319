"""Functions of a whole vector."""

from __future__ import annotations

from typing import Any

from relucid.errors import ShapeError
from relucid.functions.parameters import Parameter
from relucid.functions.registry import register
from relucid.functions.vector import Vector

FAMILY = "vector"
BRIDLE = "Bridle 1990, Neurocomputing: Algorithms, Architectures and Applications"


def _first_largest(m: Any, x: Any, axis: int) -> Any:
    """1 at the first of the largest entries along ``axis``, 0 elsewhere."""
    largest = m.where(x == m.max(x, axis), 1.0, 0.0)
    return m.where(m.cumsum(largest, axis) == 1.0, largest, 0.0)


def softmax_formula(m: Any, x: Any, axis: int) -> Any:
    powers = m.exp_difference(x, m.max(x, axis))
    return powers / m.sum(powers, axis)


def softmax_product(m: Any, x: Any, v: Any, axis: int) -> Any:
    """The Jacobian diag(s) - s sᵀ is symmetric, so both products are this one."""
    shares = softmax_formula(m, x, axis)
    return shares * (v - m.sum(shares * v, axis))


def softmax_from_output(m: Any, y: Any, g: Any, axis: int) -> Any:
    return y * (g - m.sum(y * g, axis))


softmax = register(
    Vector(
        name="softmax",
        family=FAMILY,
        formula=softmax_formula,
        forward_product=softmax_product,
        backward_product=softmax_product,
        backward_from_output=softmax_from_output,
        entry=lambda m, x, i: m.exp(x[i]) / m.total(lambda k: m.exp(x[k])),
        entry_derivative=lambda m, x, y, i, j: y[i] * (m.delta(i, j) - y[j]),
        source=BRIDLE,
        summary="Exponentials divided by their sum: positive numbers that add up to 1.",
        cures="Scores that must become a probability for each class; weights of attention.",
        costs="Saturates: where one score leads by far, gradients vanish.",
        note="It is no elementwise function: every output depends on every input, and its "
        "derivative is a matrix, diag(s) - s sᵀ. Do not put it before a cross-entropy loss that "
        "takes logits.",
    )
)


def _led(m: Any, x: Any, axis: int) -> tuple[Any, Any]:
    """The largest entry, and the sum of exp(x - largest) over all others.

    The 1 that the largest itself adds would swallow the others where it leads by far.
    """
    largest = m.max(x, axis)
    leads = x - largest == 0.0
    powers = m.where(leads, 0.0, m.exp_difference(x, largest))
    ties = m.sum(m.where(leads, 1.0, 0.0), axis) - 1.0
    return largest, m.sum(powers, axis) + ties


def log_softmax_formula(m: Any, x: Any, axis: int) -> Any:
    largest, others = _led(m, x, axis)
    return (x - largest) - m.log1p(others)


def log_softmax_forward(m: Any, x: Any, v: Any, axis: int) -> Any:
    return v - m.sum(softmax_formula(m, x, axis) * v, axis)


def log_softmax_backward(m: Any, x: Any, g: Any, axis: int) -> Any:
    largest, others = _led(m, x, axis)
    return g - m.exp_difference(x, largest) * (m.sum(g, axis) / (1.0 + others))


log_softmax = register(
    softmax.member(
        "log_softmax",
        formula=log_softmax_formula,
        forward_product=log_softmax_forward,
        backward_product=log_softmax_backward,
        entry=lambda m, x, i: x[i] - m.log(m.total(lambda k: m.exp(x[k]))),
        entry_derivative=lambda m, x, y, i, j: m.delta(i, j) - m.exp(y[j]),
        summary="The logarithm of softmax.",
        cures="log(softmax(x)), which is -inf in floating point where softmax rounds to 0.",
        costs="One exponential an element and a logarithm a vector.",
    )
)


def softmin_formula(m: Any, x: Any, axis: int) -> Any:
    return softmax_formula(m, -x, axis)


def softmin_product(m: Any, x: Any, v: Any, axis: int) -> Any:
    return -softmax_product(m, -x, v, axis)


def softmin_from_output(m: Any, y: Any, g: Any, axis: int) -> Any:
    return -softmax_from_output(m, y, g, axis)


softmin = register(
    softmax.member(
        "softmin",
        formula=softmin_formula,
        forward_product=softmin_product,
        backward_product=softmin_product,
        backward_from_output=softmin_from_output,
        entry=lambda m, x, i: m.exp(-x[i]) / m.total(lambda k: m.exp(-x[k])),
        entry_derivative=lambda m, x, y, i, j: -y[i] * (m.delta(i, j) - y[j]),
        summary="Softmax of the negated input: the smallest gets the largest share.",
        cures="Distances that must become weights.",
        costs="As softmax.",
    )
)


def hardmax_formula(m: Any, x: Any, axis: int) -> Any:
    largest = m.max(x, axis)
    return m.where(largest == largest, _first_largest(m, x, axis), largest)


def hardmax_product(m: Any, x: Any, v: Any, axis: int) -> Any:
    return v * 0.0


hardmax = register(
    softmax.member(
        "hardmax",
        formula=hardmax_formula,
        forward_product=hardmax_product,
        backward_product=hardmax_product,
        entry=lambda m, x, i: m.delta(i, m.argmax(x)),
        entry_derivative=lambda m, x, y, i, j: 0,
        source="ONNX operator Hardmax",
        summary="1 at the first of the largest entries, 0 elsewhere.",
        cures="A decision instead of a probability.",
        costs="No gradient at all: train with softmax.",
    )
)


def _grouped(x: Any, pieces: float, axis: int) -> Any:
    """Split ``axis`` in two: the groups, and the pieces within each."""
    length = x.shape[axis] if x.ndim else 1
    if length % pieces:
        raise ShapeError(
            f"maxout takes the largest of {pieces:g} neighbours along axis {axis}, whose length "
            f"{length} is no multiple of {pieces:g}"
        )
    axis %= x.ndim
    return x.reshape((*x.shape[:axis], int(length // pieces), int(pieces), *x.shape[axis + 1 :]))


def _inner(x: Any, axis: int) -> int:
    """The axis of the pieces in what :func:`_grouped` returns."""
    dimensions: int = max(x.ndim, 1)
    return axis % dimensions + 1


def _ungrouped(grouped: Any, inner: int) -> Any:
    return grouped.reshape((*grouped.shape[:inner], *grouped.shape[inner + 1 :]))


def maxout_formula(m: Any, x: Any, axis: int, pieces: float) -> Any:
    inner = _inner(x, axis)
    return _ungrouped(m.max(_grouped(x, pieces, axis), inner), inner)


def maxout_forward(m: Any, x: Any, v: Any, axis: int, pieces: float) -> Any:
    inner = _inner(x, axis)
    chosen = _first_largest(m, _grouped(x, pieces, axis), inner)
    return _ungrouped(m.sum(m.where(chosen == 1.0, _grouped(v, pieces, axis), 0.0), inner), inner)


def maxout_backward(m: Any, x: Any, g: Any, axis: int, pieces: float) -> Any:
    inner = _inner(x, axis)
    chosen = _first_largest(m, _grouped(x, pieces, axis), inner)
    spread = g.reshape((*g.shape[:inner], 1, *g.shape[inner:]))
    return m.where(chosen == 1.0, spread, 0.0).reshape(x.shape)


def maxout_entry_derivative(m: Any, x: Any, y: Any, i: Any, j: Any, pieces: float) -> Any:
    return m.delta(j, m.argmax(x, pieces * (i - 1) + 1, pieces * i))


maxout = register(
    softmax.member(
        "maxout",
        formula=maxout_formula,
        forward_product=maxout_forward,
        backward_product=maxout_backward,
        entry=lambda m, x, i, pieces: m.largest(x, pieces * (i - 1) + 1, pieces * i),
        entry_derivative=maxout_entry_derivative,
        parameters={
            "pieces": Parameter(
                2.0, low=1.0, whole=True, doc="neighbours of which one is passed on"
            )
        },
        source="Goodfellow et al. 2013, arXiv:1302.4389",
        summary="The largest of every few neighbours along an axis.",
        cures="The choice of an activation: with enough pieces it forms any convex function. Never "
        "saturates and hardly dies.",
        costs="As many times the weights as there are pieces.",
    )
)
