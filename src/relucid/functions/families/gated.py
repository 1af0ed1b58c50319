"""Self-gated functions: x times a gate that opens with x.

All of them fall to zero exponentially on the left, where the gate alone is subnormal before the
product is, and their derivatives cancel around a root. Words that keep the digits there are in
:mod:`relucid.functions.words`, and as kernels speak them in
:mod:`relucid.kernels.mathematics.gates`.
"""

from __future__ import annotations

from typing import Any

from relucid.functions.declare import activation
from relucid.functions.elementwise import Kink
from relucid.functions.parameters import real
from relucid.functions.registry import register

FAMILY = "gated"


def silu_derivative(m: Any, x: Any, beta: Any) -> Any:
    return m.silu_slope(x, beta)


def silu_beta_derivative(m: Any, x: Any, beta: Any) -> Any:
    finite = m.maximum(m.minimum(x, 3e38), -3e38)
    power, scale = m.decay(beta, m.where(beta * finite > 0, -finite, finite))
    below = 1.0 + power * scale
    return m.where(power > 0, x * power * x, 0.0) * scale / (below * below)


@activation(
    family=FAMILY,
    parameters={"beta": real(1.0, "sharpness of the gate: large beta approaches ReLU")},
    derivative=silu_derivative,
    definition=lambda m, x, beta: x * m.sigmoid(beta * x),
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
    return m.silu(x, beta)


quick_gelu = register(
    silu.member(
        "quick_gelu",
        fixed={"beta": 1.702},
        partials={},
        aliases=("gelu_quick",),
        source="Hendrycks and Gimpel 2016, arXiv:1606.08415; used by CLIP",
        summary="The input times sigmoid(1.702*x): a fast stand-in for GELU.",
        cures="The cost of GELU's error function.",
        costs="Up to 0.02 away from GELU, so weights trained with one should not run with the "
        "other.",
    )
)


def gelu_derivative(m: Any, x: Any) -> Any:
    below = m.normal_slope(x)
    return m.where(x > 0, 1.0 - below, below)


@activation(
    family=FAMILY,
    derivative=gelu_derivative,
    definition=lambda m, x: x * (1.0 + m.erf(x / m.sqrt(2.0))) / 2.0,
    aliases=("gelu_exact", "gelu_erf", "gelu_python", "gaussian_error_linear_unit"),
    source="Hendrycks and Gimpel 2016, arXiv:1606.08415",
    cures="ReLU's kink and dead units; the usual choice in transformers.",
    costs="An error function an element, no exact zeros, and not monotone: it dips to -0.170.",
    note="x*(1 + erf(x/sqrt(2)))/2 loses all digits for x < -5 in float32, because 1 + erf "
    "cancels; PyTorch computes that. relucid uses the complementary error function. Three "
    'different functions are called GELU: get("gelu"), get("gelu_tanh"), get("quick_gelu").',
)
def gelu(m: Any, x: Any) -> Any:
    """The input times the probability that a standard normal number is below it."""
    below = m.normal_below(x)
    return m.where(x >= 0, x - below, -below)


def gelu_tanh_definition(m: Any, x: Any) -> Any:
    u = m.sqrt(2.0 / m.pi) * (x + 0.044715 * x * x * x)
    return x * (1.0 + m.tanh(u)) / 2.0


def gelu_tanh_derivative(m: Any, x: Any) -> Any:
    return m.gelu_tanh_slope(x)


@activation(
    family=FAMILY,
    derivative=gelu_tanh_derivative,
    definition=gelu_tanh_definition,
    aliases=("gelu_new", "gelu_fast", "gelu_accurate", "gelu_pytorch_tanh", "gelu_approximate"),
    source="Hendrycks and Gimpel 2016, arXiv:1606.08415, section 2",
    cures="The cost of GELU's error function; GPT-2's and BERT's original code use it.",
    costs="Up to 0.0005 away from GELU; as GELU otherwise.",
    note="tanh(u) rounds to -1 on the left, so 1 + tanh(u) loses all digits there; x*sigmoid(2*u) "
    "is the same function without the cancellation.",
)
def gelu_tanh(m: Any, x: Any) -> Any:
    """GELU with tanh in place of the error function."""
    return m.gelu_tanh(x)


def mish_derivative(m: Any, x: Any) -> Any:
    return m.mish_slope(x)


@activation(
    family=FAMILY,
    derivative=mish_derivative,
    definition=lambda m, x: x * m.tanh(m.log(1.0 + m.exp(x))),
    source="Misra 2019, arXiv:1908.08681",
    cures="As SiLU, with a gate tanh(softplus(x)) that opens a little faster.",
    costs="The dearest of the common functions where it is not fused; dips to -0.309.",
    note="As written, x*tanh(softplus(x)) takes three transcendental functions; one exponential "
    "and a division give the same.",
)
def mish(m: Any, x: Any) -> Any:
    """The input times tanh(softplus(x))."""
    return m.mish(x)


def hardswish_derivative(m: Any, x: Any) -> Any:
    return m.where(x <= -3.0, 0.0, m.where(x < 3.0, (2.0 * x + 3.0) * (1.0 / 6.0), 1.0))


@activation(
    family=FAMILY,
    derivative=hardswish_derivative,
    kinks=(Kink(-3.0, 0.0), Kink(3.0, 1.0)),
    aliases=("hard_swish", "hard_silu"),
    source="Howard et al. 2019 (MobileNetV3), arXiv:1905.02244",
    cures="The cost of SiLU on small processors.",
    costs="No gradient below -3, and kinks at -3 and 3.",
)
def hardswish(m: Any, x: Any) -> Any:
    """SiLU with a straight ramp for a gate."""
    return m.where(x <= -3.0, -0.0, m.where(x >= 3.0, x, x * ((x + 3.0) * (1.0 / 6.0))))
