"""Bounded, S-shaped functions and their relatives."""

from __future__ import annotations

from typing import Any

from relucid.functions.declare import activation
from relucid.functions.elementwise import Kink
from relucid.functions.parameters import real

FAMILY = "sigmoidal"


def sigmoid_derivative(m: Any, x: Any) -> Any:
    return m.sigmoid_slope(x)


@activation(
    family=FAMILY,
    derivative=sigmoid_derivative,
    integers="promoted",
    aliases=("logistic", "expit"),
    source="Verhulst 1845; in networks, Rumelhart et al. 1986, Nature 323",
    cures="Outputs that must be probabilities, and gates.",
    costs="The derivative is at most 1/4: ten layers shrink a gradient a million times. "
    "Saturates on both sides, and its mean output is 1/2.",
    note="The derivative s*(1 - s) is exact on paper only: in float32 1 - s is 0 from x = 17.4 "
    "on. relucid computes s(x)*s(-x).",
)
def sigmoid(m: Any, x: Any) -> Any:
    """Squash to the interval from 0 to 1: 1 / (1 + exp(-x))."""
    return m.sigmoid(x)


def tanh_derivative(m: Any, x: Any) -> Any:
    return m.sigmoid_slope(2.0 * x, 4.0)


@activation(
    family=FAMILY,
    derivative=tanh_derivative,
    integers="promoted",
    source="LeCun et al. 1998, Efficient BackProp",
    cures="Sigmoid's positive mean: outputs are centred at 0 and the slope there is 1.",
    costs="Saturates on both sides, so gradients vanish in deep networks.",
    note="The derivative 1 - tanh(x)**2 is exact on paper only: in float32 it is 0 from "
    "abs(x) = 9.1 on. relucid computes it from exp(-2*abs(x)).",
)
def tanh(m: Any, x: Any) -> Any:
    """Squash to the interval from -1 to 1."""
    return m.tanh(x)


def softsign_derivative(m: Any, x: Any) -> Any:
    reach = 1.0 + m.abs(x)
    return 1.0 / reach / reach


@activation(
    family=FAMILY,
    derivative=softsign_derivative,
    integers="promoted",
    definition=lambda m, x: x / (1.0 + m.abs(x)),
    seams=(0.0,),
    source="Bergstra et al. 2009, Quadratic Polynomials Learn Better Image Features",
    cures="Tanh's hard saturation: the tails fall as 1/x**2 instead of exponentially.",
    costs="Still saturates; the second derivative jumps at 0.",
)
def softsign(m: Any, x: Any) -> Any:
    """Squash to the interval from -1 to 1 by a division: x / (1 + abs(x))."""
    magnitude = m.minimum(m.abs(x), 1e30)
    return m.where(m.abs(x) < 1e30, x / (1.0 + magnitude), m.sign(x))


def tanhshrink_derivative(m: Any, x: Any) -> Any:
    # x - (x - tanh(x)) has fewer roundings than tanh, and the square doubles them.
    squashed = m.where(m.abs(x) < 1.0, x - m.tanh_residual(x), m.tanh(x))
    return squashed * squashed


@activation(
    family=FAMILY,
    derivative=tanhshrink_derivative,
    integers="promoted",
    aliases=("tanh_shrink",),
    source="PyTorch nn.Tanhshrink",
    cures="Small coefficients, smoothly: near 0 it is x**3/3.",
    costs="Flat at 0, so a network that starts small learns slowly.",
)
def tanhshrink(m: Any, x: Any) -> Any:
    """What tanh takes away: x - tanh(x)."""
    return m.tanh_residual(x)


def penalized_tanh_derivative(m: Any, x: Any, slope: Any) -> Any:
    steepness = tanh_derivative(m, x)
    return m.where(x > 0, steepness, slope * steepness)


@activation(
    family=FAMILY,
    parameters={"slope": real(0.25, "factor for x < 0")},
    derivative=penalized_tanh_derivative,
    kinks=lambda slope: (Kink(0.0, slope),) if slope != 1.0 else (),
    source="Xu et al. 2016, arXiv:1602.05980; found best across tasks of language by Eger et al. "
    "2018, arXiv:1901.02671",
    cures="Tanh's symmetry: the negative side is damped, as in leaky ReLU, yet bounded.",
    costs="Saturates on both sides; a kink at 0.",
)
def penalized_tanh(m: Any, x: Any, slope: Any) -> Any:
    """Tanh whose negative side is scaled down."""
    squashed = m.tanh(x)
    return m.where(x > 0, squashed, slope * squashed)


def arctan_derivative(m: Any, x: Any) -> Any:
    inverse = 1.0 / m.maximum(m.abs(x), 1.0)
    far = inverse * (inverse / (1.0 + inverse * inverse))
    near = m.minimum(m.abs(x), 1.0)
    return m.where(m.abs(x) > 1.0, far, 1.0 / (1.0 + near * near))


@activation(
    family=FAMILY,
    derivative=arctan_derivative,
    integers="promoted",
    aliases=("atan",),
    source="PyTorch torch.atan; as an activation, Kamruzzaman and Aziz 2002, IJCNN",
    cures="Tanh's fast saturation: the tails fall as 1/x**2.",
    costs="Bounded, so it still saturates.",
)
def arctan(m: Any, x: Any) -> Any:
    """The angle whose tangent is x, between -pi/2 and pi/2."""
    return m.arctan(x)
