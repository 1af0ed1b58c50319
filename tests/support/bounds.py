"""What accuracy is promised, and the rows that do not keep it."""

from __future__ import annotations

from dataclasses import dataclass

from relucid.verify.contract import KNOWN

FLOAT32 = 0.501
"""float32, value and derivative: evaluated in float64 and rounded once. ULP."""
FLOAT64 = 4.0
"""float64, value, and derivative away from its roots. ULP."""
FLOAT64_ROOT = 3.0 * 2.0**-53
"""float64 derivative at x nearer to a root r than abs(r): absolute, unless within 4 ULP."""
HALF_FROM_FLOAT64 = 4.0 * 2.0**-52
"""16-bit results on NumPy are correctly rounded but for truths that are this close to halfway
between two numbers, relatively: float64's own error decides there."""
HALF_FROM_FLOAT32 = 8.0 * 2.0**-23
"""The same on PyTorch, where 16-bit computes in float32."""
HALF_ROOT = 1e-7
"""Absolute counterpart, near a root of the derivative."""


@dataclass(frozen=True)
class Spoiled:
    """A row that misses the bound: how far off it is allowed to be, and what spoils it."""

    ulp: float
    culprit: str


NOTICED = 0.6
"""A spoiled row whose error falls below this part of its bound is to be taken off the list."""

_PRODUCT = (
    "exp (0.7 on NumPy, 0.5 on PyTorch), the correction of its argument, two products and a "
    "quotient, each rounded"
)
_QUOTIENT = "the quotient by the parameter and what follows are each rounded"

SPOILED: dict[tuple[str, str, str], Spoiled] = {
    **{
        (case, "derivative", route): Spoiled(5.5, _PRODUCT)
        for case in ("gelu",)
        for route in ("numpy", "torch", "torch, correct")
    },
    **{
        (case, "derivative", "numpy"): Spoiled(5.5, _PRODUCT)
        for case in (
            "silu", "silu-beta=0.3", "silu-beta=-2", "quick_gelu", "gelu_tanh", "mish"
        )
    },
}  # fmt: skip
"""Of float64, by case, what is evaluated, and route."""

KERNEL: dict[tuple[str, str], Spoiled] = {
    **{
        (name, which): Spoiled(known.bound, known.reason)
        for (name, which, measure), known in KNOWN.items()
        if measure == "float32"
    },
    ("softplus-beta=0.7", "value"): Spoiled(2.8, _QUOTIENT),
    ("softplus-beta=10-threshold=20", "value"): Spoiled(2.4, _QUOTIENT),
    ("penalized_tanh-slope=0.1", "value"): Spoiled(3.0, "tanh (1.9), and a product with it"),
}
"""Of float32 in kernels, by case and what is evaluated: rows that miss the contract. For the
parameters' defaults those that the contract itself names, for others the tests' own."""
