"""Functions with an exponential branch."""

from __future__ import annotations

import math
from typing import Any

from relucid.functions.declare import activation
from relucid.functions.elementwise import Kink
from relucid.functions.parameters import positive, real

FAMILY = "exponential"

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def elu_derivative(m: Any, x: Any, alpha: Any) -> Any:
    return m.where(x > 0, 1.0, alpha * m.exp(m.minimum(x, 0.0)))


def elu_alpha_derivative(m: Any, x: Any, alpha: Any) -> Any:
    return m.where(x > 0, 0.0, m.expm1(m.minimum(x, 0.0)))


@activation(
    family=FAMILY,
    parameters={"alpha": real(1.0, "the value at minus infinity is -alpha")},
    derivative=elu_derivative,
    partials={"alpha": elu_alpha_derivative},
    kinks=lambda alpha: (Kink(0.0, alpha),) if alpha != 1.0 else (),
    seams=(0.0,),
    aliases=("exponential_linear_unit",),
    source="Clevert et al. 2016, arXiv:1511.07289",
    cures="Dead units (the gradient never becomes exactly zero) and the positive mean of ReLU's "
    "outputs.",
    costs="An exponential for every negative element; saturates for very negative inputs.",
    note="For x < 0 the derivative is alpha*exp(x), which equals elu(x) + alpha; some texts print "
    "alpha*(exp(x) - 1), which is the function itself.",
)
def elu(m: Any, x: Any, alpha: Any) -> Any:
    """Go on below zero along an exponential that levels off at -alpha."""
    return m.where(x > 0, x, m.expm1_times(alpha, m.minimum(x, 0.0)))


def selu_derivative(m: Any, x: Any) -> Any:
    decay = SELU_SCALE * SELU_ALPHA * m.exp(m.minimum(x, 0.0))
    return m.where(x > 0, SELU_SCALE, decay)


@activation(
    family=FAMILY,
    derivative=selu_derivative,
    kinks=(Kink(0.0, SELU_SCALE * SELU_ALPHA),),
    source="Klambauer et al. 2017, arXiv:1706.02515",
    cures="Drifting scale in deep plain networks: mean 0 and variance 1 are a stable fixed point.",
    costs="Holds only with LeCun-normal weights, plain layers and alpha dropout.",
)
def selu(m: Any, x: Any) -> Any:
    """ELU with the two constants that make activations normalise themselves."""
    growth = m.expm1_times(SELU_SCALE * SELU_ALPHA, m.minimum(x, 0.0))
    return m.where(x > 0, SELU_SCALE * x, growth)


def celu_derivative(m: Any, x: Any, alpha: Any) -> Any:
    return m.where(x > 0, 1.0, m.exp_quotient(m.minimum(x, 0.0), alpha))


def celu_alpha_derivative(m: Any, x: Any, alpha: Any) -> Any:
    below = m.minimum(x, 0.0)
    inside = m.expm1(below / alpha) - below / alpha * m.exp_quotient(below, alpha)
    return m.where(x > 0, 0.0, inside)


@activation(
    family=FAMILY,
    parameters={"alpha": positive(1.0, "the value at minus infinity is -alpha")},
    derivative=celu_derivative,
    seams=(0.0,),
    source="Barron 2017, arXiv:1704.07483",
    cures="ELU's kink at 0 for alpha other than 1: the slope is 1 from both sides.",
    costs="As ELU.",
)
def celu(m: Any, x: Any, alpha: Any) -> Any:
    """ELU stretched so that its derivative is continuous for every alpha."""
    return m.where(x > 0, x, m.expm1_quotient(m.minimum(x, 0.0), alpha))


def softplus_definition(m: Any, x: Any, beta: Any, threshold: Any) -> Any:
    return m.where(beta * x > threshold, x, m.log(1.0 + m.exp(beta * x)) / beta)


def softplus_derivative(m: Any, x: Any, beta: Any, threshold: Any) -> Any:
    decay = m.exp_product(-beta, m.abs(x))
    smooth = m.where(x > 0, 1.0, decay) / (1.0 + decay)
    return m.where(beta * x > threshold, 1.0, smooth)


@activation(
    family=FAMILY,
    parameters={
        "beta": positive(1.0, "sharpness: large beta approaches ReLU"),
        "threshold": real(math.inf, "above this value of beta*x the function is x itself"),
    },
    derivative=softplus_derivative,
    definition=softplus_definition,
    kinks=lambda beta, threshold: (Kink(threshold / beta, _softplus_slope(threshold)),),
    source="Dugas et al. 2001, NIPS 13",
    cures="The kink of ReLU, where a smooth positive function is needed (variances, rates).",
    costs="An exponential and a logarithm an element, and no exact zeros.",
    note="PyTorch switches to the identity above threshold=20, because its form would overflow. "
    "This form does not, so the default here is no switch; in float32 and 16-bit the results "
    "are the same. A small threshold makes the value jump, here as in PyTorch.",
)
def softplus(m: Any, x: Any, beta: Any, threshold: Any) -> Any:
    """A smooth ReLU: log(1 + exp(beta*x)) / beta."""
    smooth = m.maximum(x, 0.0) + m.log1p_unit(m.exp_product(-beta, m.abs(x)), 1.0 / beta)
    return m.where(beta * x > threshold, x, smooth)


def _softplus_slope(threshold: float) -> float:
    """Sigmoid of the threshold: the smooth branch's slope where the switch happens."""
    decay = math.exp(-abs(threshold))
    return (1.0 if threshold >= 0 else decay) / (1.0 + decay)


def squareplus_derivative(m: Any, x: Any, b: Any) -> Any:
    root = m.hypot(x, m.sqrt(b))
    falling = m.excess(x, b, root) / root
    return m.where(x > 0, 1.0 - falling, falling)


@activation(
    family=FAMILY,
    parameters={"b": positive(4.0, "width of the bend around 0; the value there is sqrt(b)/2")},
    derivative=squareplus_derivative,
    definition=lambda m, x, b: (x + m.sqrt(x * x + b)) / 2.0,
    source="Barron 2021, arXiv:2112.11687",
    cures="The cost of softplus: only a square root.",
    costs="Approaches its asymptotes slowly (as 1/x), so far units still leak a little.",
)
def squareplus(m: Any, x: Any, b: Any) -> Any:
    """A smooth ReLU made of a square root: (x + sqrt(x**2 + b)) / 2."""
    root = m.hypot(x, m.sqrt(b))
    return m.where(x > 0, 0.5 * x + 0.5 * root, m.excess(x, b, root))


def logsigmoid_derivative(m: Any, x: Any) -> Any:
    return m.sigmoid(-x)


@activation(
    family=FAMILY,
    derivative=logsigmoid_derivative,
    definition=lambda m, x: m.log(m.sigmoid(x)),
    aliases=("log_sigmoid",),
    source="PyTorch nn.LogSigmoid; it is -softplus(-x)",
    cures="log(sigmoid(x)) in a loss, which is -inf in floating point where sigmoid is 0.",
    costs="An exponential and a logarithm an element; rarely of use inside a network.",
)
def logsigmoid(m: Any, x: Any) -> Any:
    """The logarithm of the sigmoid, finite for every finite x."""
    return m.minimum(x, 0.0) - m.log1p_unit(m.exp(-m.abs(x)))
