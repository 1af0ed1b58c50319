"""Every activation function, declared once: value, derivative, kinks, facts, source."""

from relucid.functions.base import Activation
from relucid.functions.bridge import speak_torch

from relucid.functions.families import (  # isort: skip  # in the order of the documentation
    piecewise,
    exponential,
    sigmoidal,
    gated,
    two_input,
    vector,
)
from relucid.functions.declare import activation
from relucid.functions.elementwise import Elementwise, Kink
from relucid.functions.facts import Gain
from relucid.functions.parameters import Parameter, nonnegative, positive, real
from relucid.functions.registry import (
    catalogue,
    declared,
    get,
    is_name,
    read,
    read_parameters,
    register,
)
from relucid.functions.two_input import TwoInput
from relucid.functions.vector import Vector

__all__ = [
    "Activation",
    "Elementwise",
    "Gain",
    "Kink",
    "Parameter",
    "TwoInput",
    "Vector",
    "activation",
    "catalogue",
    "declared",
    "get",
    "is_name",
    "nonnegative",
    "positive",
    "read",
    "read_parameters",
    "real",
    "register",
    "speak_torch",
]
del exponential, gated, piecewise, sigmoidal, two_input, vector  # imported to be declared
