"""The decorator by which every activation, built in or a user's own, is declared."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from relucid.errors import DeclarationError
from relucid.functions.derive import derive, derive_kinks, derive_seams
from relucid.functions.elementwise import Elementwise, Kink, Kinks
from relucid.functions.evaluate import Formula, Integers
from relucid.functions.parameters import Parameter
from relucid.functions.registry import register


def activation(
    *,
    source: str,
    parameters: Mapping[str, Parameter] | None = None,
    derivative: Formula | None = None,
    definition: Formula | None = None,
    partials: Mapping[str, Formula] | None = None,
    kinks: Iterable[Kink] | Callable[..., tuple[Kink, ...]] | None = None,
    family: str = "own",
    saves: Literal["nothing", "mask", "input"] = "input",
    seams: Iterable[float] = (),
    integers: Integers = "refused",
    aliases: Iterable[str] = (),
    learned: Iterable[str] = (),
    rising: Iterable[str] = (),
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
        definition: the formula as a text prints it, in the same words, where the accurate formula
            reads differently. It is shown, and checked against the formula; it is never computed.
        partials: derivatives with respect to parameters, by name; others are derived when needed.
        kinks: points where the derivative jumps, with the derivative to use exactly there; or a
            function of the parameters that returns them. Where both they and the derivative are
            left out, they are found from the formula, with the derivative from the left.
        family: heading under which it is listed.
        saves: what backward needs of x.
        seams: points where pieces meet smoothly, so that only the second derivative jumps; found
            from the formula as the kinks are.
        integers: what becomes of integers: ``refused``, ``kept`` (integers again) or ``promoted``
            to the default float.
        aliases: other names.
        learned: parameters that a module learns unless asked otherwise.
        rising: parameters whose values must not fall from one to the next.
        summary: a sentence that says what it does; the docstring's first line where left out.
        cures: what it is good against.
        costs: what it costs.
        note: what texts often get wrong about it.

    Raises:
        DeclarationError: if the formula's arguments and the declared parameters differ, the name
            is taken, or no derivative is given and none can be derived.

    """

    def declare(formula: Formula) -> Elementwise:
        declared = dict(parameters or {})
        _check_signature(formula, declared)
        slope = derivative or derive(formula, "x")
        given = () if kinks is None and derivative else kinks
        defaults = {name: parameter.default for name, parameter in declared.items()}
        joints = tuple(seams) or (() if derivative else derive_seams(formula, defaults))
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
                rising=tuple(rising),
                formula=formula,
                slope=slope,
                definition=definition,
                partials=dict(partials or {}),
                kinks_declared=_kinks(given, formula, slope),
                kink_overrides=() if derivative else _overrides(given),
                saves=saves,
                seams=joints,
                integers=integers,
            )
        )

    return declare


def _kinks(
    given: Iterable[Kink] | Callable[..., tuple[Kink, ...]] | None, formula: Formula, slope: Formula
) -> Kinks:
    if given is not None:
        return given if callable(given) else tuple(given)
    found = derive_kinks(formula, slope)
    return lambda **arguments: tuple(Kink(*pair) for pair in found(**arguments))


def _overrides(given: Any) -> tuple[tuple[float, float], ...]:
    """Return what replaces a derived derivative, which takes the left slope at a kink."""
    fixed = () if given is None or callable(given) else tuple(given)
    return tuple((kink.at, kink.derivative) for kink in fixed)


def _check_signature(formula: Formula, parameters: dict[str, Any]) -> None:
    arguments = list(inspect.signature(formula).parameters)
    expected = ["m", "x", *parameters]
    if arguments[:2] != ["m", "x"] or set(arguments) != set(expected):
        raise DeclarationError(
            f"the formula of {formula.__name__} takes ({', '.join(arguments)}), and its "
            f"declaration asks for ({', '.join(expected)}); name the first two arguments m and x "
            "and declare one parameter for each further one"
        )
