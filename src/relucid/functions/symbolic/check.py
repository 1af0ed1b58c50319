"""Contradictions between what a declaration says and what follows from its formula."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import mpmath
import sympy

from relucid.functions.elementwise import Elementwise, Kink
from relucid.functions.symbolic.atoms import Expr, X, textbook
from relucid.functions.symbolic.differentiate import differentiate
from relucid.functions.symbolic.numerics import evaluator
from relucid.functions.symbolic.pieces import Piece, pieces
from relucid.functions.symbolic.trace import trace
from relucid.functions.symbolic.view import SymbolicView, symbolic_view, symbols_of

_DIGITS = 80
# Constants such as sqrt(2/pi) are float64 in a formula; wrong formulas differ by far more.
_RELATIVE, _ABSOLUTE = 1e-11, 1e-18
_POINTS = (-17.3, -6.1, -3.7, -2.2, -1.3, -0.71, -0.31, -0.043, 0.019, 0.27, 0.83, 1.9, 4.4, 9.7)
_EXACT = 1e-9


def check_declaration(activation: Elementwise) -> list[str]:
    """Compare a declaration, at its present parameters, with what its formula implies.

    The formula as texts print it, the derivative and the declared partial derivatives are
    compared at points of every piece to 11 digits; kinks, seams, limits, direction and what is
    saved for backward exactly. Returns a sentence for each contradiction; an empty list means
    that the declaration is right. Raises :class:`~relucid.errors.DeclarationError` where the
    formula is not symbolic.
    """
    view = symbolic_view(activation)
    with mpmath.workdps(_DIGITS):
        found = [*_formulas(activation, view), *_partials(activation, view)]
    found += [*_kinks(activation, view), *_seams(activation, view), *_limits(activation, view)]
    return [*found, *_direction(activation, view), *_saved(activation, view)]


def _formulas(activation: Elementwise, view: SymbolicView) -> Iterator[str]:
    given, _ = symbols_of(activation)
    if activation.definition is not None:
        accurate = textbook(trace(activation.formula, given))
        values = [branch.piece.expression for branch in view.branches]
        yield from _compare(view, "accurate formula", accurate, values)
    slope = textbook(trace(activation.slope, given))
    yield from _compare(view, "declared derivative", slope, [b.derivative for b in view.branches])


def _partials(activation: Elementwise, view: SymbolicView) -> Iterator[str]:
    given, _ = symbols_of(activation)
    for name, partial in activation.partials.items():
        derived = [textbook(differentiate(b.piece.expression, given[name])) for b in view.branches]
        declared = textbook(trace(partial, given))
        yield from _compare(view, f"declared derivative by {name}", declared, derived)


def _compare(
    view: SymbolicView, what: str, declared: Expr, derived: Iterable[Expr]
) -> Iterator[str]:
    """Compare an expression of all x with one expression a branch, at points of each branch."""
    own = [
        (branch.piece, evaluator(expression, view.numbers))
        for branch, expression in zip(view.branches, derived, strict=True)
    ]
    for piece in pieces(declared, view.numbers):
        said = evaluator(piece.expression, view.numbers)
        for x, implied in ((x, f) for interval, f in own for x in _inside(piece, interval)):
            a, b = said(x), implied(x)
            if abs(a - b) > _RELATIVE * abs(b) + _ABSOLUTE:
                yield (
                    f"the {what} of {view.activation.name} is {float(a):.6g} at x = {x:g}, and "
                    f"its definition gives {float(b):.6g}"
                )
                return


def _inside(*intervals: Piece) -> list[float]:
    """Return points common to all intervals, off their ends: near 0, near the ends, and between."""
    low = max((p.low.at for p in intervals if p.low), default=-math.inf)
    high = min((p.high.at for p in intervals if p.high), default=math.inf)
    ends = [end for end in (low, high) if math.isfinite(end)]
    between = [low + (high - low) * k / 8 for k in range(1, 8)] if len(ends) == 2 else []
    points = [*_POINTS, *between, *(end + point for end in ends for point in _POINTS)]
    return [x for x in points if low < x < high and abs(x) < 1e3]


def _kinks(activation: Elementwise, view: SymbolicView) -> Iterator[str]:
    declared = [kink.at for kink in activation.kinks]
    for meeting in view.kinks:
        if not any(_same(meeting.joint.at, at) for at in declared):
            left, right = view.number(meeting.slope_left), view.number(meeting.slope_right)
            what = "value" if meeting.jump == "value" else "derivative"
            yield (
                f"{activation.name} has a kink at {meeting.joint.at:g} that is not declared: the "
                f"{what} jumps there (slope {left:g} on the left, {right:g} on the right)"
            )
    for kink in activation.kinks:
        yield from _kink(activation, view, kink)


def _kink(activation: Elementwise, view: SymbolicView, kink: Kink) -> Iterator[str]:
    """Check a declared kink: that it is one, and the derivative used there."""
    name, at, used = activation.name, kink.at, kink.derivative
    meeting = next((m for m in view.kinks if _same(m.joint.at, at)), None)
    if meeting is None:
        yield f"{name} declares a kink at {at:g}, and its derivative does not jump there"
        return
    low, high = sorted((view.number(meeting.slope_left), view.number(meeting.slope_right)))
    if not low - _EXACT <= used <= high + _EXACT:
        yield (
            f"{name} uses the derivative {used:g} at its kink at {at:g}, which is not between the "
            f"slopes {low:g} and {high:g} beside it"
        )
    evaluated = float(activation.derivative(at))
    if not _same(evaluated, used):
        yield (
            f"{name} declares the derivative {used:g} at its kink at {at:g}, and its derivative "
            f"formula gives {evaluated:g}"
        )


def _seams(activation: Elementwise, view: SymbolicView) -> Iterator[str]:
    kinks = [kink.at for kink in activation.kinks]
    found = [meeting.joint.at for meeting in view.seams]
    for at in found:
        if not any(_same(at, seam) for seam in activation.seams):
            yield (
                f"the second derivative of {activation.name} jumps at {at:g}, which is no declared "
                "seam"
            )
    for seam in activation.seams:
        if not any(_same(seam, at) for at in (*found, *kinks)) and not _smooth_here(view, seam):
            yield f"{activation.name} declares a seam at {seam:g}, where no pieces meet"


def _smooth_here(view: SymbolicView, seam: float) -> bool:
    """Whether pieces that meet here happen to be one function for the present parameters."""
    return any(_same(seam, meeting.joint.at) for meeting in view.meetings)


def _limits(activation: Elementwise, view: SymbolicView) -> Iterator[str]:
    facts = (
        ("value", activation.limits, view.limits),
        ("derivative", activation.derivative_limits, view.derivative_limits),
    )
    for what, computed, derived in facts:
        for side, have, expect in zip(("minus", "plus"), computed, derived, strict=True):
            if expect is not sympy.nan and not _same(have, float(expect)):
                yield (
                    f"the {what} of {activation.name} at {side} infinity is {have:g}, and the "
                    f"limit is {float(expect):g}"
                )


def _direction(activation: Elementwise, view: SymbolicView) -> Iterator[str]:
    directions = {stretch.direction for stretch in view.direction}
    for meeting in (m for m in view.kinks if m.jump == "value"):
        rises = view.number(meeting.value_right) > view.number(meeting.value_left)
        directions.add("rising" if rises else "falling")
    words = {"rising": "increasing", "falling": "decreasing"}
    moving = directions - {"constant"}
    expected = "none" if len(moving) == 2 else words[moving.pop()] if moving else "constant"
    if activation.monotone != expected:
        yield f"{activation.name} is said to be monotone: {activation.monotone}, and is: {expected}"


def _saved(activation: Elementwise, view: SymbolicView) -> Iterator[str]:
    """Check that what backward keeps is enough for the derivative."""
    slopes = {branch.derivative for branch in view.branches}
    if activation.saves == "input":
        return
    room = 1 if activation.saves == "nothing" else 2
    if any(slope.has(X) for slope in slopes) or len(slopes) > room:
        yield (
            f"{activation.name} saves {activation.saves} for backward, which cannot tell its "
            f"derivatives {', '.join(map(str, slopes))} apart"
        )


def _same(a: float, b: float) -> bool:
    return a == b or math.isclose(a, b, rel_tol=_EXACT, abs_tol=_EXACT)
