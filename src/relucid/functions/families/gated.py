"""Self-gated functions: x times a gate that opens with x.

All of them fall to zero exponentially on the left, where the gate alone would be subnormal long
before the product is. Their formulas therefore use the square root of the exponential twice.
"""

from __future__ import annotations

from typing import Any

from relucid.functions.declare import activation
from relucid.functions.elementwise import Kink
from relucid.functions.parameters import real
from relucid.functions.registry import register

FAMILY = "gated"


def silu_derivative(m: Any, x: Any, beta: Any) -> Any:
    half = m.exp_product(-0.5 * beta, x * m.sign(x * beta) * m.sign(beta))
    decay = half * half
    gate = 1.0 / (1.0 + decay)
    bounded = m.maximum(m.minimum(beta * x, 1e4), -1e4)
    right = gate + bounded * decay * gate * gate
    left = ((1.0 + bounded * gate) * half) * (half * gate)
    return m.where(beta * x >= 0, right, left)


def silu_beta_derivative(m: Any, x: Any, beta: Any) -> Any:
    half = m.exp_product(-0.5 * beta, x * m.sign(x * beta) * m.sign(beta))
    gate = 1.0 / (1.0 + half * half)
    pulled = m.maximum(m.minimum(x, 1e15), -1e15) * half
    return (pulled * gate) * (pulled * gate)


@activation(
    family=FAMILY,
    parameters={"beta": real(1.0, "sharpness of the gate: large beta approaches ReLU")},
    derivative=silu_derivative,
    partials={"beta": silu_beta_derivative},
    aliases=("swish", "sigmoid_linear_unit"),
    source="Elfwing et al. 2017, arXiv:1702.03118; with beta, Ramachandran et al. 2017, "
    "arXiv:1710.05941",
    cures="Dead units and ReLU's kink: smooth, and the gradient vanishes only far to the left.",
    costs="An exponential an element, no exact zeros, and not monotone: it dips to -0.278.",
    note="In float32 PyTorch returns 0 below -88.7 and NaN at minus infinity; the true values are "
    "still normal numbers there, and the limit is 0.",
)
def silu(m: Any, x: Any, beta: Any) -> Any:
    """The input times its own sigmoid."""
    half = m.exp_product(-0.5 * beta, x * m.sign(x * beta) * m.sign(beta))
    gate = 1.0 / (1.0 + half * half)
    left = m.where(half > 0, m.maximum(x, -1e37) * half, -0.0) * (half * gate)
    return m.where(beta * x >= 0, x * gate, left)


quick_gelu = register(
    silu.member(
        "quick_gelu",
        fixed={"beta": 1.702},
        partials={},
        aliases=("gelu_quick",),
        source="Hendrycks and Gimpel 2016, arXiv:1606.08415; used by CLIP",
        summary="The input times sigmoid(1.702*x): a fast stand-in for GELU.",
        cures="The cost of GELU's error function.",
        costs="Up to 0.02 away from GELU, so weights trained with one should not run with the other.",
    )
)


def gelu_derivative(m: Any, x: Any) -> Any:
    decay = m.normal_decay(x)
    bounded = m.maximum(m.minimum(x, 1e4), -1e4)
    pull = m.normal_tail(bounded) - m.abs(bounded) / m.sqrt(2.0 * m.pi)
    below = (pull * decay) * decay
    return m.where(x > 0, 1.0 - below, below)


@activation(
    family=FAMILY,
    derivative=gelu_derivative,
    aliases=("gelu_exact", "gelu_erf", "gaussian_error_linear_unit"),
    source="Hendrycks and Gimpel 2016, arXiv:1606.08415",
    cures="ReLU's kink and dead units; the usual choice in transformers.",
    costs="An error function an element, no exact zeros, and not monotone: it dips to -0.170.",
    note="x*(1 + erf(x/sqrt(2)))/2 loses all digits for x < -5 in float32, because 1 + erf "
    "cancels; PyTorch computes that. relucid uses the complementary error function. Three "
    'different functions are called GELU: get("gelu"), get("gelu_tanh"), get("quick_gelu").',
)
def gelu(m: Any, x: Any) -> Any:
    """The input times the probability that a standard normal number is below it."""
    decay = m.normal_decay(x)
    bounded = m.maximum(x, -1e4)
    below = (bounded * m.normal_tail(x) * decay) * decay
    return m.where(x > 0, x - m.minimum(x, 1e4) * m.normal_tail(x) * decay * decay, below)


def gelu_tanh_derivative(m: Any, x: Any) -> Any:
    half = m.gelu_decay(x)
    decay = half * half
    gate = 1.0 / (1.0 + decay)
    bounded = m.minimum(m.abs(x), 1e4)
    rate = 2.0 * m.sqrt(2.0 / m.pi) * (1.0 + 0.134145 * bounded * bounded)
    left = ((1.0 - bounded * rate * gate) * half) * (half * gate)
    return m.where(x > 0, gate + bounded * rate * gate * half * (half * gate), left)


@activation(
    family=FAMILY,
    derivative=gelu_tanh_derivative,
    aliases=("gelu_new", "gelu_pytorch_tanh", "gelu_approximate"),
    source="Hendrycks and Gimpel 2016, arXiv:1606.08415, section 2",
    cures="The cost of GELU's error function; GPT-2's and BERT's original code use it.",
    costs="Up to 0.0005 away from GELU; as GELU otherwise.",
    note="tanh(u) rounds to -1 on the left, so 1 + tanh(u) loses all digits there; x*sigmoid(2*u) "
    "is the same function without the cancellation.",
)
def gelu_tanh(m: Any, x: Any) -> Any:
    """GELU with tanh in place of the error function."""
    half = m.gelu_decay(x)
    gate = 1.0 / (1.0 + half * half)
    left = (m.maximum(x, -1e4) * half) * (half * gate)
    return m.where(x > 0, x * gate, left)


def mish_derivative(m: Any, x: Any) -> Any:
    half = m.exp(-0.5 * m.abs(x))
    decay = half * half
    bounded = m.minimum(m.abs(x), 1e4)
    # Numerator and denominator over exp(3x) for x > 0, and over exp(x) for x < 0.
    above = 1.0 + decay * (4.0 + decay * ((6.0 + 4.0 * bounded) + decay * 4.0 * (1.0 + bounded)))
    square = 1.0 + 2.0 * decay * (1.0 + decay)
    below = 4.0 * (1.0 - bounded) + decay * ((6.0 - 4.0 * bounded) + decay * (4.0 + decay))
    base = 2.0 + decay * (2.0 + decay)
    return m.where(x > 0, above / square / square, (below * half) * (half / base / base))


@activation(
    family=FAMILY,
    derivative=mish_derivative,
    source="Misra 2019, arXiv:1908.08681",
    cures="As SiLU, with a gate tanh(softplus(x)) that opens a little faster.",
    costs="The dearest of the common functions where it is not fused; dips to -0.309.",
    note="As written, x*tanh(softplus(x)) takes three transcendental functions; one exponential "
    "and a division give the same.",
)
def mish(m: Any, x: Any) -> Any:
    """The input times tanh(softplus(x))."""
    half = m.exp(-0.5 * m.abs(x))
    decay = half * half
    above = (1.0 + 2.0 * decay) / (1.0 + 2.0 * decay * (1.0 + decay))
    below = (decay + 2.0) / (2.0 + decay * (2.0 + decay))
    return m.where(x > 0, x * above, (m.maximum(x, -1e4) * half) * (half * below))


def hardswish_derivative(m: Any, x: Any) -> Any:
    return m.where(x < -3.0, 0.0, m.where(x <= 3.0, x / 3.0 + 0.5, 1.0))


@activation(
    family=FAMILY,
    derivative=hardswish_derivative,
    kinks=(Kink(-3.0, -0.5), Kink(3.0, 1.5)),
    aliases=("hard_swish", "hard_silu"),
    source="Howard et al. 2019 (MobileNetV3), arXiv:1905.02244",
    cures="The cost of SiLU on small processors.",
    costs="No gradient below -3, and kinks at -3 and 3.",
)
def hardswish(m: Any, x: Any) -> Any:
    """SiLU with a straight ramp for a gate."""
    return m.where(x <= -3.0, -0.0, m.where(x >= 3.0, x, x * ((x + 3.0) / 6.0)))
