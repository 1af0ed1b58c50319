"""What there is to know about an activation function, as a card shows it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from relucid.records.serialise import encode

FORMAT = "relucid.card"
CATALOGUE_FORMAT = "relucid.catalogue"
VERSION = 1


@dataclass(frozen=True)
class Formula:
    """One expression in three notations."""

    text: str
    """One line: ``α·(exp(x) - 1)``."""
    latex: str
    mathml: str
    """Presentation MathML without the outer ``math`` element."""


@dataclass(frozen=True)
class Case:
    """A formula, and where it holds: None for everywhere."""

    formula: Formula
    where: Formula | None = None


@dataclass(frozen=True)
class Derivative:
    """A derivative with its name: ``derivative``, ``by the gate g``, ``Jacobian``."""

    name: str
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class DerivationStep:
    """One rule of differentiation applied: ``of`` has the derivative ``gives``."""

    rule: str
    of: Formula
    gives: Formula
    """Derivatives that are still to be found stand in it as d/dx[...]; later steps find them."""


@dataclass(frozen=True)
class KinkFact:
    """A point where the value or the derivative jumps."""

    at: float
    jump: Literal["value", "slope"]
    value_left: float
    value: float
    value_right: float
    slope_left: float
    slope_right: float
    used: float
    """The derivative that is used exactly there."""


@dataclass(frozen=True)
class ParameterFact:
    """A parameter, its value on this card, and what it may be."""

    name: str
    symbol: str
    """How formulas show it: ``α``."""
    value: float
    default: float
    domain: str
    meaning: str
    learned: bool
    """Whether a module learns it unless asked otherwise."""


@dataclass(frozen=True)
class Stretch:
    """An interval, perhaps infinite, and what the function does on it."""

    low: float
    high: float
    direction: Literal["rising", "falling", "constant"]


@dataclass(frozen=True)
class Facts:
    """What follows from an elementwise function's formula, at the card's parameters."""

    limits: tuple[float, float]
    """Values at minus and plus infinity."""
    derivative_limits: tuple[float, float]
    range: tuple[float, float]
    monotone: str
    stretches: tuple[Stretch, ...]
    lipschitz: float
    smoothness: float
    """Number of continuous derivatives: -1 where the value jumps, infinite for smooth."""
    seams: tuple[float, ...]
    """Points where only the second derivative jumps."""
    zero_region: tuple[float, float] | None
    gain_forward: float
    gain_backward: float
    saves: Literal["nothing", "mask", "input"]
    """What backward needs of x."""


@dataclass(frozen=True)
class Dot:
    """A point of a plot: filled where the function has this value, open where it only nears it."""

    x: float
    y: float
    filled: bool


@dataclass(frozen=True)
class Line:
    """An unbroken line of a plot."""

    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True)
class Curve:
    """A function as drawn: unbroken lines, and dots at its jumps."""

    name: str
    lines: tuple[Line, ...]
    dots: tuple[Dot, ...] = ()


@dataclass(frozen=True)
class Card:
    """All about one activation, at given parameters."""

    name: str
    kind: Literal["elementwise", "two-input", "vector"]
    family: str
    aliases: tuple[str, ...]
    summary: str
    signature: str
    """How the definition is headed: ``elu(x)``, ``swiglu(v, g)``, ``softmax(x)[i]``."""
    parameters: tuple[ParameterFact, ...]
    definition: tuple[Case, ...]
    derivatives: tuple[Derivative, ...]
    steps: tuple[DerivationStep, ...]
    kinks: tuple[KinkFact, ...]
    facts: Facts | None
    curves: tuple[Curve, ...]
    cures: str
    costs: str
    note: str
    """What texts get wrong about it."""
    source: str


@dataclass(frozen=True)
class ListedFunction:
    """A line of the catalogue."""

    name: str
    family: str
    kind: str
    parameters: dict[str, float]
    """Parameters with their defaults."""
    aliases: tuple[str, ...]
    summary: str


def card_json(card: Card, *, indent: int | None = 1) -> str:
    """Return a card as a versioned JSON text; infinities become the texts ``"Infinity"``."""
    document = {"format": FORMAT, "version": VERSION, "card": encode(card)}
    return json.dumps(document, indent=indent, allow_nan=False, ensure_ascii=False)


def catalogue_json(rows: Sequence[ListedFunction], *, indent: int | None = 1) -> str:
    """Return the catalogue as a versioned JSON text."""
    functions = [encode(row) for row in rows]
    document = {"format": CATALOGUE_FORMAT, "version": VERSION, "functions": functions}
    return json.dumps(document, indent=indent, allow_nan=False, ensure_ascii=False)
