"""Piecewise linear functions, and ReLU's square."""

from __future__ import annotations

from typing import Any

from relucid.functions.declare import activation
from relucid.functions.elementwise import Kink
from relucid.functions.parameters import nonnegative, positive, real
from relucid.functions.registry import preset, register

FAMILY = "piecewise linear"


@activation(
    family=FAMILY,
    derivative=lambda m, x: 1.0,
    saves="nothing",
    integers="kept",
    aliases=("linear",),
    source="no activation at all; PyTorch nn.Identity",
    cures="Nothing: a baseline that shows what the other functions contribute.",
    costs="A stack of linear layers without an activation is one linear layer.",
)
def identity(m: Any, x: Any) -> Any:
    """Return the input unchanged."""
    return x


def relu_derivative(m: Any, x: Any) -> Any:
    return m.where(x > 0, 1.0, 0.0)


@activation(
    family=FAMILY,
    derivative=relu_derivative,
    kinks=(Kink(0.0, 0.0),),
    saves="mask",
    integers="kept",
    aliases=("rectifier",),
    source="Nair and Hinton 2010, ICML; derivative at 0: Bertoin et al. 2021, arXiv:2106.12915",
    cures="Vanishing gradients: the derivative is exactly 1 wherever the unit fires. Sparse "
    "outputs, and nothing to compute but a comparison.",
    costs="A unit whose pre-activation is negative on all data has zero gradient and stays dead. "
    "The mean output is positive.",
    note="ReLU is continuous at 0; it is its derivative that is not. There the derivative may be "
    "chosen between 0 and 1: PyTorch, TensorFlow and JAX choose 0, and so does relucid unless "
    'asked: get("relu").at_kink(0.5).',
)
def relu(m: Any, x: Any) -> Any:
    """Pass what is positive and replace the rest by zero: max(0, x)."""
    return m.where(x < 0, 0.0, x)


def leak(m: Any, x: Any, slope: Any) -> Any:
    """Slope * x, which is 0 for slope 0 even at minus infinity."""
    return m.where((x < 0) & (slope == 0), 0.0, m.scaled(x, slope))


def leaky_relu_derivative(m: Any, x: Any, negative_slope: Any) -> Any:
    return m.where(x > 0, 1.0, negative_slope)


def leaky_relu_slope_derivative(m: Any, x: Any, negative_slope: Any) -> Any:
    return m.where(x > 0, 0.0, x)


@activation(
    family=FAMILY,
    parameters={"negative_slope": real(0.01, "slope for x < 0")},
    derivative=leaky_relu_derivative,
    partials={"negative_slope": leaky_relu_slope_derivative},
    kinks=lambda negative_slope: (Kink(0.0, negative_slope),) if negative_slope != 1.0 else (),
    saves="mask",
    aliases=("lrelu",),
    source="Maas et al. 2013, ICML workshop on deep learning for audio",
    cures="Dead units: a small gradient flows even where the unit does not fire.",
    costs="No exact zeros, so nothing to skip; the slope is one more number to choose.",
)
def leaky_relu(m: Any, x: Any, negative_slope: Any) -> Any:
    """Keep a small slope below zero instead of none."""
    return m.where(x <= 0, leak(m, x, negative_slope), x)


prelu = register(
    leaky_relu.member(
        "prelu",
        parameters={"negative_slope": real(0.25, "slope for x < 0, learned")},
        learned=("negative_slope",),
        aliases=("parametric_relu",),
        saves="input",
        source="He et al. 2015, arXiv:1502.01852",
        summary="Leaky ReLU whose negative slope is learned, shared or one a channel.",
        cures="Dead units, without a slope to choose by hand.",
        costs="A parameter a channel; weight decay pulls the slope to 0 and so back to ReLU.",
    )
)


def rrelu_derivative(m: Any, x: Any, lower: Any, upper: Any) -> Any:
    return m.where(x > 0, 1.0, (lower + upper) / 2.0)


@activation(
    family=FAMILY,
    parameters={
        "lower": real(1.0 / 8.0, "least slope for x < 0"),
        "upper": real(1.0 / 3.0, "greatest slope for x < 0"),
    },
    rising=("lower", "upper"),
    derivative=rrelu_derivative,
    kinks=lambda lower, upper: (Kink(0.0, (lower + upper) / 2.0),),
    saves="mask",
    aliases=("randomized_leaky_relu",),
    source="Xu et al. 2015, arXiv:1505.00853",
    cures="Dead units, and some overfitting: the slope is noise during training.",
    costs="Random in training: two runs differ unless seeded. What is declared here is the "
    "function used for inference, with the mean slope.",
)
def rrelu(m: Any, x: Any, lower: Any, upper: Any) -> Any:
    """Leaky ReLU whose slope is drawn anew for each element in training, and its mean after."""
    return m.where(x <= 0, leak(m, x, (lower + upper) / 2.0), x)


def hardtanh_derivative(m: Any, x: Any, min_val: Any, max_val: Any) -> Any:
    return m.where((x > min_val) & (x < max_val), 1.0, 0.0)


@activation(
    family=FAMILY,
    parameters={
        "min_val": real(-1.0, "lower clip"),
        "max_val": real(1.0, "upper clip"),
    },
    rising=("min_val", "max_val"),
    derivative=hardtanh_derivative,
    kinks=lambda min_val, max_val: (Kink(min_val, 0.0), Kink(max_val, 0.0)),
    saves="mask",
    integers="kept",
    aliases=("clip", "hard_tanh"),
    source="Collobert 2004, Large Scale Machine Learning (thesis)",
    cures="The cost of tanh; a bounded output for fixed-point hardware.",
    costs="No gradient outside the clips: units saturate exactly.",
)
def hardtanh(m: Any, x: Any, min_val: Any, max_val: Any) -> Any:
    """Clip to an interval."""
    return m.where(x < min_val, min_val, m.where(x > max_val, max_val, x))


relu6 = register(
    hardtanh.member(
        "relu6",
        fixed={"min_val": 0.0, "max_val": 6.0},
        source="Krizhevsky 2010, Convolutional Deep Belief Networks on CIFAR-10",
        summary="ReLU clipped at 6.",
        cures="Large activations in low-precision inference.",
        costs="Dead below 0 as ReLU is, and saturated above 6.",
    )
)


def hardsigmoid_derivative(m: Any, x: Any, shift: Any, width: Any) -> Any:
    return m.where((x > -shift) & (x < width - shift), 1.0 / width, 0.0)


@activation(
    family=FAMILY,
    parameters={
        "shift": real(3.0, "the ramp begins at -shift"),
        "width": positive(6.0, "the ramp is this long: its slope is 1/width"),
    },
    derivative=hardsigmoid_derivative,
    kinks=lambda shift, width: (Kink(-shift, 0.0), Kink(width - shift, 0.0)),
    saves="mask",
    aliases=("hard_sigmoid",),
    source="Courbariaux et al. 2015, arXiv:1511.00363; PyTorch's slope: Howard et al. 2019, "
    "arXiv:1905.02244",
    cures="The cost of sigmoid in gates and in quantised networks.",
    costs="No gradient outside the ramp.",
    note="Two conventions share the name: PyTorch's ramp is 6 wide (slope 1/6, the default here), "
    "ONNX's and Keras 2's is 5 wide (slope 0.2): shift=2.5, width=5.",
)
def hardsigmoid(m: Any, x: Any, shift: Any, width: Any) -> Any:
    """Climb from 0 to 1 along a straight ramp."""
    return m.ramp(x, shift, width)


preset("onnx_hard_sigmoid", hardsigmoid, shift=2.5, width=5.0)
preset("keras_hard_sigmoid", hardsigmoid, shift=2.5, width=5.0)


def threshold_derivative(m: Any, x: Any, threshold: Any, value: Any) -> Any:
    return m.where(x > threshold, 1.0, 0.0)


def threshold_kinks(threshold: float, value: float) -> tuple[Kink, ...]:
    return (Kink(threshold, 0.0),)


@activation(
    family=FAMILY,
    parameters={
        "threshold": real(0.0, "what is not above this is replaced"),
        "value": real(0.0, "by this"),
    },
    derivative=threshold_derivative,
    kinks=threshold_kinks,
    saves="mask",
    integers="kept",
    source="PyTorch nn.Threshold",
    cures="Small activations that carry noise.",
    costs="The value jumps at the threshold unless value equals it, and no gradient sees the jump.",
)
def threshold(m: Any, x: Any, threshold: Any, value: Any) -> Any:
    """Replace what does not exceed a threshold by a constant."""
    return m.where(x <= threshold, value, x)


thresholded_relu = register(
    threshold.member(
        "thresholded_relu",
        parameters={
            "threshold": real(1.0, "what is not above this becomes 0"),
        },
        fixed={"value": 0.0},
        aliases=("trelu",),
        source="Konda et al. 2015, arXiv:1402.3337",
        summary="Pass what exceeds a threshold, and zero for the rest.",
        cures="Weak activations in autoencoders with zero bias; more zeros than ReLU.",
        costs="The value jumps at the threshold, and no gradient sees the jump.",
    )
)


def hardshrink_derivative(m: Any, x: Any, lambd: Any) -> Any:
    return m.where((m.abs(x) > lambd) | (lambd == 0), 1.0, 0.0)


def shrink_kinks(lambd: float) -> tuple[Kink, ...]:
    return (Kink(-lambd, 0.0), Kink(lambd, 0.0)) if lambd > 0 else ()


@activation(
    family=FAMILY,
    parameters={"lambd": nonnegative(0.5, "half width of the zero region")},
    derivative=hardshrink_derivative,
    kinks=shrink_kinks,
    saves="mask",
    aliases=("hard_shrink",),
    source="Donoho and Johnstone 1994, Biometrika 81",
    cures="Small coefficients: they become exactly zero, and large ones are untouched.",
    costs="The value jumps at both edges.",
)
def hardshrink(m: Any, x: Any, lambd: Any) -> Any:
    """Replace what is small in magnitude by zero."""
    return m.where(m.abs(x) <= lambd, 0.0, x)


@activation(
    family=FAMILY,
    parameters={"lambd": nonnegative(0.5, "half width of the zero region")},
    derivative=hardshrink_derivative,
    kinks=shrink_kinks,
    saves="mask",
    aliases=("soft_shrink", "soft_threshold"),
    source="Donoho 1995, IEEE Transactions on Information Theory 41",
    cures="Small coefficients, without a jump: it is the proximal step of the L1 norm.",
    costs="Every value that passes is pulled towards zero by lambd.",
)
def softshrink(m: Any, x: Any, lambd: Any) -> Any:
    """Move every value towards zero by a constant, and stop there."""
    size = m.abs(x)
    shrunk = m.difference(size, lambd)
    return m.where(size <= lambd, 0.0, m.where(x > 0, shrunk, -shrunk))


def squared_relu_derivative(m: Any, x: Any) -> Any:
    return m.where(x > 0, 2.0 * x, 0.0)


@activation(
    family=FAMILY,
    derivative=squared_relu_derivative,
    seams=(0.0,),
    aliases=("relu_squared", "relu2"),
    source="So et al. 2021 (Primer), arXiv:2109.08668",
    cures="Quality of transformers' feed-forward layers at ReLU's sparsity; smooth at 0.",
    costs="Grows quadratically: outputs overflow float16 from x = 256, and gradients explode "
    "without normalisation. Units die as ReLU's do.",
)
def squared_relu(m: Any, x: Any) -> Any:
    """Square what is positive and replace the rest by zero."""
    return m.where(x > 0, x * x, 0.0)
