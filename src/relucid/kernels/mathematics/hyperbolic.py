"""tanh and what it leaves of x."""

from __future__ import annotations

from typing import Any

from relucid.kernels.mathematics.exponential import near_parts, parts
from relucid.kernels.mathematics.formats import FORMATS, balanced, copy_sign, power_of_two

# (x - tanh(x))/x**3 in powers of x**2 for abs(x) <= 1; relative error 2**-25.0.
_RESIDUAL = (
    0.3333333432674408, -0.13333413004875183, 0.0539785660803318, -0.021915407851338387,
    0.008932591415941715, -0.0035392262507230043, 0.0011584337335079908, -0.00020833341113757342,
)  # fmt: skip

_JOINT = 0.95
"""x - tanh(x) is taken from its series below."""

_FLAT = {32: 9.1, 64: 20.0}
"""tanh rounds to 1 from here on."""


def tanh(m: Any, x: Any) -> Any:
    """(1 - exp(-2*abs(x))) / (1 + exp(-2*abs(x))) with the sign of x.

    Error below 1.9 units in the last place.
    """
    exponent = m.maximum(-abs(x), -_FLAT[m.bits]) * 2.0
    s, pattern = near_parts(m, exponent, FORMATS[m.bits].bias)
    scale = power_of_two(m, pattern)
    size = m.fma(-scale, s, 1.0 - scale) / m.fma(scale, s, 1.0 + scale)
    return copy_sign(m, size, x)


def tanh_residual(m: Any, x: Any) -> Any:
    """X - tanh(x) in 32 bits, within 1.9 units in the last place."""
    size = m.abs(x)
    far = m.fma(2.0, _gap(m, size), size - 1.0)
    return m.where(size < _JOINT, _cubic(m, x), copy_sign(m, far, x))


def _cubic(m: Any, x: Any) -> Any:
    """X - tanh(x) from its series, for abs(x) < 1; what rounding took from x**3 is carried."""
    square = x * x
    cube = x * square
    lost = m.fma(x, m.fma(x, x, -square), m.fma(x, square, -cube))
    third, *further = _RESIDUAL
    bend = square * balanced(m, square, further)
    return m.fma(cube, third, m.fma(cube, bend, lost * third))


def _gap(m: Any, size: Any) -> Any:
    """(1 - tanh(size))/2 = d/(1 + d) for d = exp(-2*size), as d less d**2/(1 + d)."""
    scale, s = _power(m, size)
    decay = m.fma(scale, s, scale)
    lost = m.fma(scale, s, scale - decay)
    return decay + m.fma(-decay, decay / (1.0 + decay), lost)


def _power(m: Any, size: Any) -> tuple[Any, Any]:
    exponent = m.minimum(size, _FLAT[m.bits]) * -2.0
    s, pattern = parts(m, exponent, FORMATS[m.bits].bias)
    return power_of_two(m, pattern), s
