"""Reading a formula as a SymPy expression, and saying where one cannot be read."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import sympy

from relucid.errors import DeclarationError
from relucid.functions.symbolic.atoms import Expr, X, exact
from relucid.functions.symbolic.words import VOCABULARY, WORDS

_REFUSALS = (TypeError, AttributeError, ValueError, NotImplementedError)


def parameter_names(formula: Any) -> tuple[str, ...]:
    """Return the names of the formula's arguments after ``m`` and ``x``, in its own order."""
    return tuple(inspect.signature(formula).parameters)[2:]


def trace(formula: Any, arguments: Mapping[str, Any] | None = None) -> Expr:
    """Return ``formula(m, x, **arguments)`` as an expression of the real symbol ``x``.

    Parameters that are not given become real symbols of their own names. Raises
    :class:`~relucid.errors.DeclarationError`, naming the line, where the formula does something
    that is not symbolic: ``if x > 0``, ``float(x)``, ``math.exp(x)``, an unknown word.
    """
    given = dict(arguments or {})
    for name in parameter_names(formula):
        given.setdefault(name, sympy.Symbol(name, real=True))
    try:
        expression = exact(formula(WORDS, X, **given))
    except _REFUSALS as error:
        raise _unreadable(formula, str(error), _line(formula, error.__traceback__)) from error
    if not isinstance(expression, sympy.Expr):
        raise _unreadable(formula, f"it returns {expression!r}, not a number", "")
    return expression


def refuse(formula: Any, reason: str) -> DeclarationError:
    """Return the error for a formula that can be read but not worked with."""
    return _unreadable(formula, reason, "")


def _unreadable(formula: Any, reason: str, line: str) -> DeclarationError:
    place = line or _home(formula)
    return DeclarationError(
        f"the formula of {formula.__name__} cannot be differentiated symbolically ({place}): "
        f"{reason}; write it in the words of m ({', '.join(VOCABULARY)}), with m.where(x > 0, a, "
        "b) for a choice, or declare its derivative: derivative=..., and partials={...} for "
        "learned parameters"
    )


def _line(formula: Any, traceback: TracebackType | None) -> str:
    """``file.py:line`` of the last line of the formula itself that ran."""
    code = getattr(formula, "__code__", None)
    found = ""
    while traceback is not None:
        if traceback.tb_frame.f_code is code:
            found = f"{traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return found


def _home(formula: Any) -> str:
    code = getattr(formula, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(formula)
