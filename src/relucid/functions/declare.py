"""The decorator by which every activation, built in or a user's own, is declared."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from relucid.errors import DeclarationError
from relucid.functions.derive import derive
from relucid.functions.elementwise import Elementwise, Kink, Kinks
from relucid.functions.evaluate import Formula
from relucid.functions.parameters import Parameter
from relucid.functions.registry import register


def activation(
    *,
    source: str,
    parameters: Mapping[str, Parameter] | None = None,
    derivative: Formula | None = None,
    partials: Mapping[str, Formula] | None = None,
    kinks: Iterable[Kink] | Callable[..., tuple[Kink, ...]] = (),
    family: str = "own",
    saves: Literal["nothing", "mask", "input"] = "input",
    seams: Iterable[float] = (),
    integers: bool = False,
    aliases: Iterable[str] = (),
    learned: Iterable[str] = (),
    constraint: str = "",
    summary: str = "",
    cures: str = "",
    costs: str = "",
    note: str = "",
) -> Callable[[Formula], Elementwise]:
    """Declare an elementwise activation from its formula.

    The decorated function is ``formula(m, x, **parameters)``: ordinary Python in which ``m`` is
    the mathematics to speak (``m.exp``, ``m.where``, ...; see
    :class:`relucid.functions.words.Words`). Its name becomes the activation's name. Write
    choices as ``m.where`` and keep the branch not taken finite (``m.expm1(m.minimum(x, 0.0))``):
    both branches are computed.

    Args:
        source: where the function comes from, for example ``"Clevert et al. 2016,
            arXiv:1511.07289"``.
        parameters: a :class:`Parameter` for each further argument of the formula.
        derivative: the derivative's formula with the same arguments, accurate in the tails; where
            it is left out, SymPy derives one from the formula at declaration.
        partials: derivatives with respect to parameters, by name; others are derived when needed.
        kinks: points where the derivative jumps, with the derivative to use exactly there; or a
            function of the parameters that returns them.
        family: heading under which it is listed.
        saves: what backward needs of x.
        seams: points where pieces meet smoothly, so that only the second derivative jumps.
        integers: whether integer arrays are taken.
        aliases: other names.
        learned: parameters that a module learns unless asked otherwise.
        constraint: a relation between parameters, in Python.
        summary, cures, costs, note: sentences for the card.

    Raises:
        DeclarationError: if the formula's arguments and the declared parameters differ, the name
            is taken, or no derivative is given and none can be derived.
    """

    def declare(formula: Formula) -> Elementwise:
        declared = dict(parameters or {})
        _check_signature(formula, declared)
        kinks_declared: Kinks = kinks if callable(kinks) else tuple(kinks)
        return register(
            Elementwise(
                name=formula.__name__,
                family=family,
                source=source,
                summary=summary or (inspect.getdoc(formula) or "").partition("\n\n")[0],
                cures=cures,
                costs=costs,
                note=note,
                aliases=tuple(aliases),
                parameters_declared=declared,
                learned=tuple(learned),
                constraint=constraint,
                formula=formula,
                slope=derivative or derive(formula, "x"),
                partials=dict(partials or {}),
                kinks_declared=kinks_declared,
                saves=saves,
                seams=tuple(seams),
                integers=integers,
            )
        )

    return declare


def _check_signature(formula: Formula, parameters: dict[str, Any]) -> None:
    arguments = list(inspect.signature(formula).parameters)
    expected = ["m", "x", *parameters]
    if arguments[:2] != ["m", "x"] or set(arguments) != set(expected):
        raise DeclarationError(
            f"the formula of {formula.__name__} takes ({', '.join(arguments)}), and its "
            f"declaration asks for ({', '.join(expected)}); name the first two arguments m and x "
            "and declare one parameter for each further one"
        )
