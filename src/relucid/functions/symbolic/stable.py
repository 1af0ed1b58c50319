"""Rewriting for floating point: forms that overflow or cancel become words that do not."""

from __future__ import annotations

import sympy
from sympy.codegen.cfunctions import log1p

from relucid.functions.symbolic.atoms import Expr, sigmoid


def gates(expression: Expr) -> Expr:
    """Write every logistic share as a sigmoid, before or after differentiation.

    1/(1 + exp(u)) becomes sigmoid(-u), and exp(u)*sigmoid(-u), whose first factor overflows
    while the product does not, becomes sigmoid(u).
    """
    expression = expression.replace(_is_share, _share)
    return expression.replace(lambda e: e.is_Mul, _joined)


def softened(expression: Expr) -> Expr:
    """Write log(1 + exp(u)) as max(u, 0) + log1p(exp(-abs(u))), which does not overflow."""
    return expression.replace(_is_softplus, _softplus)


def _is_share(e: Expr) -> bool:
    return bool(e.is_Pow and e.exp.is_Integer and e.exp < 0 and _is_one_and_exp(e.base))


def _share(e: Expr) -> Expr:
    return sigmoid(-_inside(e.base)) ** -e.exp


def _is_one_and_exp(e: Expr) -> bool:
    """Whether it is 1 + exp(u)."""
    return bool(
        e.is_Add and len(e.args) == 2 and e.args[0] == 1 and isinstance(e.args[1], sympy.exp)
    )


def _inside(e: Expr) -> Expr:
    """Return the u of 1 + exp(u)."""
    return e.args[1].args[0]


def _joined(e: Expr) -> Expr:
    """Return a product with each exp(-k*u) * sigmoid(u)**k joined to sigmoid(-u)**k."""
    for power in e.args:
        share, most = power.as_base_exp()
        if not isinstance(share, sigmoid):
            continue
        for grown in e.args:
            count = _times(grown, share.args[0])
            if count.is_Integer and 0 < count <= most:
                return e / (grown * share**count) * sigmoid(-share.args[0]) ** count
    return e


def _times(grown: Expr, u: Expr) -> Expr:
    """Return the k of exp(-k*u), else 0."""
    return sympy.cancel(-grown.args[0] / u) if isinstance(grown, sympy.exp) else sympy.S.Zero


def _is_softplus(e: Expr) -> bool:
    if isinstance(e, log1p):
        return isinstance(e.args[0], sympy.exp)
    return isinstance(e, sympy.log) and _is_one_and_exp(e.args[0])


def _softplus(e: Expr) -> Expr:
    (argument,) = e.args
    u = argument.args[0] if isinstance(e, log1p) else _inside(argument)
    return sympy.Max(u, 0) + log1p(sympy.exp(-sympy.Abs(u)))
