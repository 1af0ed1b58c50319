"""A card's facts as words, the same in the terminal and on a page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from relucid.records.cards import Card, Facts, KinkFact, ParameterFact, Stretch

_FEW_STRETCHES = 6
_SAVES = {
    "nothing": "nothing: the derivative is constant",
    "mask": "one bit an element: on which side x is",
    "input": "x itself",
}
_DIRECTIONS = {"rising": "rises", "falling": "falls", "constant": "is constant"}
_MONOTONE = {
    "increasing": "yes: it never falls",
    "decreasing": "yes: it never rises",
    "constant": "constant",
    "none": "no",
}


def real(value: float) -> str:
    """Write a number with up to six digits; infinity as a sign."""
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return "undefined" if math.isnan(value) else f"{value + 0.0:.6g}"


def title(card: Card) -> str:
    """Return the name with the parameters that are not at their defaults: ``elu, alpha = 0.5``."""
    changed = (f"{p.name} = {real(p.value)}" for p in card.parameters if p.value != p.default)
    return ", ".join((card.name, *changed))


def facts(card: Card) -> Iterator[tuple[str, str]]:
    """Yield name and words of each fact that the card knows."""
    if card.facts is not None:
        yield from _facts(card.facts)


def _facts(known: Facts) -> Iterator[tuple[str, str]]:
    yield "Range", f"from {real(known.range[0])} to {real(known.range[1])}"
    yield "Limits", f"{real(known.limits[0])} at -∞, {real(known.limits[1])} at +∞"
    low, high = known.derivative_limits
    yield "Derivative's limits", f"{real(low)} at -∞, {real(high)} at +∞"
    yield "Monotone", _MONOTONE[known.monotone]
    if known.monotone == "none":
        yield "Turns", _turns(known.stretches)
    yield "Smoothness", smoothness(known)
    yield "Lipschitz constant", real(known.lipschitz)
    if known.zero_region is not None:
        low, high = known.zero_region
        yield "Exactly 0 on", f"{'(' if math.isinf(low) else '['}{real(low)}, {real(high)}]"
    yield "Gain forward", f"{real(known.gain_forward)} = 1/sqrt(E[f(z)^2]), z ~ N(0, 1)"
    yield "Gain backward", f"{real(known.gain_backward)} = 1/sqrt(E[f'(z)^2])"
    yield "Backward saves", _SAVES[known.saves]


def smoothness(known: Facts) -> str:
    """Say how often the function can be differentiated."""
    if known.smoothness < 0:
        return "the value itself jumps"
    if known.smoothness == 0:
        return "continuous; its derivative jumps"
    if math.isinf(known.smoothness):
        return "smooth: all derivatives are continuous"
    where = " and ".join(map(real, known.seams))
    return "the derivative is continuous; the second derivative jumps" + (
        f" at {where}" if where else ""
    )


def kink_sentence(kink: KinkFact) -> str:
    """Say what happens at a kink: the value, the slopes on both sides, and the one used."""
    at = real(kink.at)
    if kink.jump == "value":
        value = (
            f"the value jumps from {real(kink.value_left)} to {real(kink.value_right)} and is "
            f"{real(kink.value)} there"
        )
    else:
        value = f"the value is continuous, {real(kink.value)}"
    return (
        f"At {at} {value}; the derivative is {real(kink.slope_left)} on the left and "
        f"{real(kink.slope_right)} on the right, and relucid uses {real(kink.used)} there."
    )


def parameter_sentence(parameter: ParameterFact) -> str:
    """Say what a parameter is and may be."""
    shown = f"{parameter.symbol}: " if parameter.symbol != parameter.name else ""
    learned = "; learned by its module" if parameter.learned else ""
    default = f"by default {real(parameter.default)}"
    return f"{shown}{parameter.meaning or 'a parameter'}; {parameter.domain}, {default}{learned}"


def _turns(stretches: Sequence[Stretch]) -> str:
    if len(stretches) > _FEW_STRETCHES:
        return "rises and falls again and again"
    return "; ".join(map(_stretch, stretches))


def _stretch(stretch: Stretch) -> str:
    verb = _DIRECTIONS[stretch.direction]
    if math.isinf(stretch.low) and math.isinf(stretch.high):
        return verb
    if math.isinf(stretch.low):
        return f"{verb} up to {real(stretch.high)}"
    if math.isinf(stretch.high):
        return f"{verb} from {real(stretch.low)}"
    return f"{verb} from {real(stretch.low)} to {real(stretch.high)}"
