"""The card of an activation: everything that its declaration says or implies, as a record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from relucid.errors import DeclarationError
from relucid.functions import Activation, Elementwise, TwoInput, Vector, get
from relucid.functions.curves import Graph, graph
from relucid.records.cards import (
    Card,
    Case,
    Curve,
    DerivationStep,
    Derivative,
    Dot,
    Facts,
    Formula,
    KinkFact,
    Line,
    ParameterFact,
    Stretch,
)

SPAN = (-4.0, 4.0)
POINTS = 241
DIGITS = 6
_NOTHING: Mapping[Any, Any] = MappingProxyType({})


def card(activation: Any, **parameters: Any) -> Card:
    """Return the card of what :func:`relucid.get` finds for ``activation`` and ``parameters``.

    The formulas, the derivation, the kinks, limits and direction come from the symbolic view.
    Raises :class:`~relucid.errors.DeclarationError` where the declaration is not symbolic.
    """
    found = get(activation, **parameters)
    makers: dict[type, Callable[[Any], dict[str, Any]]] = {
        Elementwise: _elementwise,
        TwoInput: _two_input,
        Vector: _vector,
    }
    for kind, make in makers.items():
        if isinstance(found, kind):
            return Card(**_common(found), **make(found))
    raise DeclarationError(f"{found.name} is of a kind that has no card: {type(found).__name__}")


def _common(activation: Activation) -> dict[str, Any]:
    return {
        "name": activation.name,
        "kind": activation.kind,
        "family": activation.family,
        "aliases": activation.aliases,
        "summary": activation.summary,
        "parameters": _parameters(activation),
        "cures": activation.cures,
        "costs": activation.costs,
        "note": activation.note,
        "source": activation.source,
    }


def _parameters(activation: Activation) -> tuple[ParameterFact, ...]:
    from relucid.functions.symbolic.greek import GREEK

    return tuple(
        ParameterFact(
            name=name,
            symbol=GREEK.get(name, name),
            value=activation.parameters[name],
            default=declared.default,
            domain=declared.domain,
            meaning=declared.doc,
            learned=name in activation.learned,
        )
        for name, declared in activation.parameters_declared.items()
    )


def _elementwise(activation: Elementwise) -> dict[str, Any]:
    from relucid.functions.symbolic.view import symbolic_view

    view = symbolic_view(activation)
    return {
        "signature": f"{activation.name}(x)",
        "definition": _definition(view),
        "derivatives": (Derivative("derivative", _slopes(view)),),
        "steps": _steps(view),
        "kinks": _kinks(activation, view),
        "facts": _facts(activation, view),
        "curves": _curves(activation, "value", "derivative"),
    }


def _two_input(activation: TwoInput) -> dict[str, Any]:
    """Return the gate function's formulas in the letter g, and times the value v."""
    from relucid.functions.symbolic.atoms import GATE, VALUE, X
    from relucid.functions.symbolic.view import symbolic_view

    gate = replace(
        activation.gate, fixed=activation.gate.arguments, parameters_declared={}, values={}
    )
    view, names = symbolic_view(gate), {X: GATE}
    return {
        "signature": f"{activation.name}(v, g)",
        "definition": _definition(view, names, VALUE),
        "derivatives": (
            Derivative("by the value v", _definition(view, names)),
            Derivative("by the gate g", _slopes(view, names, VALUE)),
        ),
        "steps": _steps(view, names),
        "kinks": (),
        "facts": None,
        "curves": _curves(activation.gate, "gate", "gate's derivative"),
    }


def _vector(activation: Vector) -> dict[str, Any]:
    from relucid.functions.symbolic.entries import entry

    value, slope = entry(activation)
    return {
        "signature": "y[i]",
        "definition": (Case(_formula(value)),),
        "derivatives": (Derivative("Jacobian, dy[i]/dx[j]", (Case(_formula(slope)),)),),
        "steps": (),
        "kinks": (),
        "facts": None,
        "curves": (),
    }


def _formula(expression: Any) -> Formula:
    from relucid.functions.symbolic.mathml import mathml
    from relucid.functions.symbolic.show import latex, plain_text

    return Formula(plain_text(expression), latex(expression), mathml(expression))


def _definition(view: Any, names: Any = _NOTHING, factor: Any = 1) -> tuple[Case, ...]:
    """Return the cases of ``factor`` times the value, with symbols renamed."""
    if view.whole is not None:
        return (Case(_formula(factor * view.whole.xreplace(names))),)
    return _cases(((b.piece.expression, b.condition()) for b in view.branches), names, factor)


def _slopes(view: Any, names: Any = _NOTHING, factor: Any = 1) -> tuple[Case, ...]:
    """Return the derivative's cases, open at the kinks: what is used there is said apart."""
    if len(view.branches) == 1:
        return (Case(_formula(factor * view.branches[0].derivative.xreplace(names))),)
    is_open = bool(view.kinks)
    rows = ((b.derivative, b.condition(open_ends=is_open)) for b in view.branches)
    return _cases(rows, names, factor)


def _cases(rows: Iterable[tuple[Any, Any]], names: Any, factor: Any) -> tuple[Case, ...]:
    return tuple(
        Case(_formula(factor * value.xreplace(names)), _formula(where.xreplace(names)))
        for value, where in rows
    )


def _steps(view: Any, names: Any = _NOTHING) -> tuple[DerivationStep, ...]:
    steps = ((s.rule, s.expression.xreplace(names), s.result.xreplace(names)) for s in view.steps)
    return tuple(DerivationStep(rule, _formula(of), _formula(gives)) for rule, of, gives in steps)


def _kinks(activation: Elementwise, view: Any) -> tuple[KinkFact, ...]:
    used = {kink.at: kink.derivative for kink in activation.kinks}
    return tuple(
        KinkFact(
            at=meeting.joint.at,
            jump=meeting.jump,
            value_left=view.number(meeting.value_left),
            value=float(activation(meeting.joint.at)),
            value_right=view.number(meeting.value_right),
            slope_left=view.number(meeting.slope_left),
            slope_right=view.number(meeting.slope_right),
            used=used.get(meeting.joint.at, float(activation.derivative(meeting.joint.at))),
        )
        for meeting in view.kinks
    )


def _facts(activation: Elementwise, view: Any) -> Facts:
    gain = activation.gain()
    return Facts(
        limits=activation.limits,
        derivative_limits=activation.derivative_limits,
        range=activation.range,
        monotone=activation.monotone,
        stretches=tuple(Stretch(s.low, s.high, s.direction) for s in view.direction),
        lipschitz=activation.lipschitz,
        smoothness=float(activation.smoothness),
        seams=tuple(meeting.joint.at for meeting in view.seams),
        zero_region=activation.zero_region,
        gain_forward=gain.forward,
        gain_backward=gain.backward,
        saves=activation.saves,
    )


def _curves(activation: Elementwise, value: str, derivative: str) -> tuple[Curve, Curve]:
    span = _span(activation)
    slopes = graph(activation, span, POINTS, derivative=True)
    return _curve(value, graph(activation, span, POINTS)), _curve(derivative, slopes)


def _span(activation: Elementwise) -> tuple[float, float]:
    """Return the x shown: -4 to 4, or wider where a kink lies further out."""
    reach = [1.5 * kink.at for kink in activation.kinks if abs(kink.at) < 1e3]
    return min([SPAN[0], *reach]), max([SPAN[1], *reach])


def _curve(name: str, drawn: Graph) -> Curve:
    lines = tuple(Line(_rounded(x), _rounded(y)) for x, y in drawn.pieces)
    filled = [Dot(x, y, filled=True) for x, y in drawn.filled]
    return Curve(name, lines, (*filled, *(Dot(x, y, filled=False) for x, y in drawn.open)))


def _rounded(values: Iterable[Any]) -> tuple[float, ...]:
    return tuple(float(f"{value:.{DIGITS}g}") for value in values)
