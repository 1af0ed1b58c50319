"""The functions of formulas as straight-line sequences of operations."""

from relucid.kernels.mathematics.error import erf, erfc
from relucid.kernels.mathematics.exponential import exp, expm1, expm1_times
from relucid.kernels.mathematics.hyperbolic import tanh
from relucid.kernels.mathematics.logarithm import log, log1p, log1p_unit
from relucid.kernels.mathematics.trigonometric import arctan, hypot

__all__ = [
    "arctan", "erf", "erfc", "exp", "expm1", "expm1_times", "hypot", "log", "log1p", "log1p_unit",
    "tanh",
]  # fmt: skip
