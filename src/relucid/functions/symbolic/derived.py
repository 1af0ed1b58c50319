"""Derivatives that nobody declared: differentiated, made safe for floating point, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy

from relucid.errors import DeclarationError
from relucid.functions.libraries import numpy_words
from relucid.functions.symbolic.atoms import Choice, Expr, X
from relucid.functions.symbolic.code import function_from, identifier, source_of
from relucid.functions.symbolic.differentiate import differentiate
from relucid.functions.symbolic.rules import positive
from relucid.functions.symbolic.stable import gates, softened
from relucid.functions.symbolic.trace import parameter_names, refuse, trace

# Where a limit is read off if arithmetic with infinity gives NaN; its cube is finite in float32.
_FAR = "x = m.where(m.abs(x) == float('inf'), m.maximum(m.minimum(x, 1e9), -1e9), x)"


def derived_formula(formula: Any, variable: str) -> Any:
    """Return d(formula)/d(variable) as a formula of the same arguments, in the words of ``m``.

    ``variable`` is ``"x"`` or a parameter's name. Where the derivative jumps, the one from the
    left of x is taken. Raises :class:`~relucid.errors.DeclarationError` where the formula is not
    symbolic or holds a function without a known derivative.
    """
    parameters = parameter_names(formula)
    if variable not in ("x", *parameters):
        raise refuse(formula, f"it has no argument {variable!r}")
    symbol = X if variable == "x" else sympy.Symbol(variable, real=True)
    expression = trace(formula)
    name = identifier(f"{formula.__name__}_by_{variable}")
    doc = f"The derivative of {identifier(formula.__name__)} with respect to {variable}."
    try:
        derivative = _safe_derivative(expression, symbol)
        function = function_from(source_of(derivative, name, parameters, doc), name)
        if _is_nan_at_infinity(function, parameters):
            function = function_from(source_of(derivative, name, parameters, doc, _FAR), name)
    except DeclarationError as error:
        raise refuse(formula, str(error)) from error
    return function


def _safe_derivative(expression: Expr, symbol: Expr) -> Expr:
    result = differentiate(gates(expression), symbol)
    if symbol == X:
        # sign(0) is neither side's; the derivative takes the left one throughout.
        result = result.replace(sympy.sign, _side)
    return softened(gates(result))


def _side(u: Expr) -> Expr:
    return Choice(positive(u), 1, -1) if u.has(X) else sympy.sign(u)


def _is_nan_at_infinity(function: Any, parameters: tuple[str, ...]) -> bool:
    ends = np.array([-np.inf, np.inf])
    with np.errstate(all="ignore"):
        values = function(numpy_words(), ends, **dict.fromkeys(parameters, 0.75))
    return bool(np.isnan(values).any())
