"""Write docs/catalogue.md and its pictures from the declarations."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import relucid
from relucid.cards import card
from relucid.records.cards import Card, Case, ParameterFact
from relucid.report.card_svg import picture
from relucid.report.card_words import facts, kink_sentence, parameter_sentence, real

DOCS = Path(__file__).parent
PAGE = DOCS / "catalogue.md"
IMAGES = DOCS / "images"
SEPARATOR = r" \\ "
_HEAD = """\
# The catalogue

This page is generated: `python docs/generate.py` writes it from the declarations in
`src/relucid/functions/families/`. `relucid explain NAME` prints the same with the derivation of the
derivative, and for any parameters.

In the pictures the line is the function and the dashed line its derivative. A dot is what it is
exactly at a jump, a ring a one-sided limit that it does not take.
"""


def page(cards: list[Card]) -> str:
    """Return the text of docs/catalogue.md."""
    parts = [_HEAD, *_contents(cards)]
    for family, members in groupby(cards, key=lambda c: c.family):
        parts += [f"## {family.capitalize()} functions", ""]
        parts += ["\n".join(_section(member)) for member in members]
    return "\n".join(parts)


def cards() -> list[Card]:
    """Return the card of every function at its defaults."""
    return [card(activation) for activation in relucid.catalogue().values()]


def images(all_cards: list[Card]) -> Iterator[tuple[Path, str]]:
    """Yield path and text of each picture."""
    for one in all_cards:
        if one.curves:
            yield IMAGES / f"{one.name}.svg", picture(one.curves, one.name, standalone=True) + "\n"


def _contents(all_cards: list[Card]) -> Iterator[str]:
    for family, members in groupby(all_cards, key=lambda c: c.family):
        links = ", ".join(f"[{member.name}](#{member.name})" for member in members)
        yield f"- {family}: {links}"
    yield ""


def _section(one: Card) -> Iterator[str]:
    yield from (f"### {one.name}", "", one.summary, "")
    yield from (_display(one.signature, one.definition), "")
    for derivative in one.derivatives:
        yield from (f"{derivative.name.capitalize()}:", "", _display("", derivative.cases), "")
    if one.curves:
        yield from (f"![{one.name} and its derivative](images/{one.name}.svg)", "")
    for kink in one.kinks:
        yield from (kink_sentence(kink), "")
    yield from _parameters(one.parameters)
    rows = [*facts(one), ("Also called", ", ".join(f"`{alias}`" for alias in one.aliases))]
    rows += [("Cures", one.cures), ("Costs", one.costs), ("Source", one.source)]
    yield from ("| | |", "|---|---|")
    yield from (f"| {name} | {_cell(words)} |" for name, words in rows if words)
    yield ""
    if one.note:
        yield from (f"**Often wrong.** {one.note}", "")


def _display(signature: str, cases: tuple[Case, ...]) -> str:
    head = f"{_head(signature)} = " if signature else ""
    if len(cases) == 1:
        return f"$${head}{cases[0].formula.latex}$$"
    lines = (
        rf"{case.formula.latex} & \text{{for }} {case.where.latex}" if case.where else ""
        for case in cases
    )
    return f"$${head}\\begin{{cases}} {SEPARATOR.join(lines)} \\end{{cases}}$$"


def _head(signature: str) -> str:
    """Return ``relu(x)`` with its name upright, and ``y[i]`` with its index below."""
    if signature.endswith("]"):
        return signature.replace("[", "_{").replace("]", "}")
    name, _, arguments = signature.replace("_", r"\_").partition("(")
    return rf"\mathrm{{{name}}}({arguments}"


def _parameters(parameters: tuple[ParameterFact, ...]) -> Iterator[str]:
    for parameter in parameters:
        yield f"- `{parameter.name}={real(parameter.default)}`: {parameter_sentence(parameter)}"
    if parameters:
        yield ""


def _cell(words: str) -> str:
    return words.replace("|", "\\|")


if __name__ == "__main__":
    found = cards()
    PAGE.write_text(page(found), encoding="utf-8")
    IMAGES.mkdir(exist_ok=True)
    for path, text in images(found):
        path.write_text(text, encoding="utf-8")
