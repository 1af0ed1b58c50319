"""Parameters of activations: a default, a domain, and what is said when a value is outside."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

from relucid.errors import ParameterError


@dataclass(frozen=True)
class Parameter:
    """A real parameter with a default and an interval in which it makes sense.

    ``low`` and ``high`` bound the interval; each belongs to it unless its ``open`` flag is set.
    ``whole`` admits whole numbers only.
    """

    default: float
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    doc: str = ""
    whole: bool = False

    def check(self, activation: str, name: str, value: Any) -> Any:
        """Return a number in the domain, or raise :class:`ParameterError`.

        Arrays and tensors (learned or per-channel parameters) pass as they are.
        """
        if hasattr(value, "shape") and hasattr(value, "dtype") and not isinstance(value, Real):
            return value
        if isinstance(value, bool) or not isinstance(value, Real):
            raise ParameterError(
                f"{activation}: {name} must be a real number, and {value!r} is a "
                f"{type(value).__name__}; pass for example {name}={self.default:g}"
            )
        number = float(value)
        outside = not (self.low <= number <= self.high) or (self.open_low and number == self.low)
        if outside or (self.whole and number % 1.0 != 0.0):
            raise ParameterError(
                f"{activation}: {name} must be {self.domain}, and {number:g} is not; "
                f"the default is {self.default:g}"
            )
        return number

    @property
    def domain(self) -> str:
        """The domain in words: ``> 0``, ``in [0, 1]``, ``any real number``."""
        return f"{'a whole number ' if self.whole else ''}{self._interval}"

    @property
    def _interval(self) -> str:
        low, high = math.isfinite(self.low), math.isfinite(self.high)
        if low and high:
            return f"in {'(' if self.open_low else '['}{self.low:g}, {self.high:g}]"
        if low:
            return f"{'>' if self.open_low else '>='} {self.low:g}"
        return f"<= {self.high:g}" if high else "a real number"


def real(default: float, doc: str = "") -> Parameter:
    """Any real number."""
    return Parameter(default, doc=doc)


def positive(default: float, doc: str = "") -> Parameter:
    """A number greater than zero."""
    return Parameter(default, low=0.0, open_low=True, doc=doc)


def nonnegative(default: float, doc: str = "") -> Parameter:
    """A number of at least zero."""
    return Parameter(default, low=0.0, doc=doc)
