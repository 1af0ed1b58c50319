"""The card of an activation for a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from relucid.records.cards import Card, Case, Curve
from relucid.report import card_words
from relucid.report.dots import drawing
from relucid.report.pen import Pen

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.table import Table
    from rich.text import Text

_SPELLED = str.maketrans(
    {
        "·": "*", "²": "^2", "³": "^3", "⁴": "^4", "√": "sqrt", "π": "pi", "σ": "sigmoid",
        "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "θ": "theta", "λ": "lambda",
        "μ": "mu", "τ": "tau", "ω": "omega", "Σ": "sum", "≠": "!=", "ᵀ": "^T",
    }
)  # fmt: skip
_PLOT_HEIGHT = 9
_LARGEST_PLOT = 44


def render_card(card: Card) -> RenderableType:
    """Return a Rich renderable of a card; it fits 80 columns and keeps to ASCII where it must."""
    return _Page(card)


def show_card(card: Card, console: Console | None = None) -> None:
    """Print :func:`render_card` to ``console``, by default the standard output."""
    from rich.console import Console

    (console or Console()).print(render_card(card))


class _Speller(Pen):
    """A pen that spells Greek letters and signs out where the terminal takes ASCII alone."""

    def write(self, text: str, style: str = "") -> Text:
        """Return ``text`` as :meth:`Pen.write` does, spelled out first."""
        if self.narrow:
            text = re.sub(r"√(\w+)", r"√(\1)", text).translate(_SPELLED)
        return super().write(text, style)


class _Page:
    """Known to Rich by ``__rich_console__``, where the terminal's letters are known at last."""

    def __init__(self, card: Card) -> None:
        self.card = card

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        pen, card = _Speller(narrow=options.ascii_only), self.card
        yield from _head(pen, card)
        yield from _formulas(pen, card)
        yield from _plots(pen, card, options.max_width)
        yield from _kinks(pen, card)
        yield from _steps(pen, card)
        yield from _facts(pen, card)
        yield from _texts(pen, card)


def _head(pen: Pen, card: Card) -> Iterator[RenderableType]:
    yield pen.write(card_words.title(card), "bold")
    also = f"; also called {', '.join(card.aliases)}" if card.aliases else ""
    yield pen.write(f"{card.family}{also}", "dim")
    if card.summary:
        yield pen.write(card.summary)
    yield ""


def _formulas(pen: Pen, card: Card) -> Iterator[RenderableType]:
    rows = [(card.signature, card.definition)]
    rows += [(derivative.name, derivative.cases) for derivative in card.derivatives]
    table = _grid(3)
    for label, cases in rows:
        for i, case in enumerate(cases):
            table.add_row(pen.write("" if i else label, "cyan"), *_case(pen, case))
    yield table
    yield ""


def _case(pen: Pen, case: Case) -> tuple[Text, Text]:
    where = f"for {case.where.text}" if case.where is not None else ""
    return pen.write(case.formula.text, "bold"), pen.write(where, "dim")


def _plots(pen: Pen, card: Card, width: int) -> Iterator[RenderableType]:
    if not card.curves:
        return
    each = min((width - 4) // max(len(card.curves), 1), _LARGEST_PLOT)
    if each < 16:
        return
    from rich.columns import Columns

    styles = ("green", "yellow")
    yield Columns(
        [_plot(pen, curve, each, style) for curve, style in zip(card.curves, styles, strict=False)],
        padding=(0, 4, 0, 0),
    )
    yield ""


def _plot(pen: Pen, curve: Curve, width: int, style: str) -> RenderableType:
    from rich.console import Group

    *rows, scale = drawing(curve, width, _PLOT_HEIGHT, narrow=pen.narrow)
    lines = [pen.write(row, style) for row in rows]
    for line in lines:
        line.highlight_regex(r"[─│┼|+-]+", "bright_black")
    return Group(pen.write(curve.name, f"bold {style}"), *lines, pen.write(scale, "dim"))


def _kinks(pen: Pen, card: Card) -> Iterator[RenderableType]:
    if card.kinks:
        yield pen.write("Kinks" if len(card.kinks) > 1 else "Kink", "bold")
        for kink in card.kinks:
            yield pen.indent(card_words.kink_sentence(kink), 2)
        yield ""


def _steps(pen: Pen, card: Card) -> Iterator[RenderableType]:
    if not card.steps:
        return
    yield pen.write("How the derivative is found", "bold")
    table = _grid(2)
    variable = "g" if card.kind == "two-input" else "x"
    for step in card.steps:
        line = f"d/d{variable}[{step.of.text}] = {step.gives.text}"
        table.add_row(pen.write(f"  {step.rule}", "dim"), pen.write(line))
    yield table
    yield ""


def _facts(pen: Pen, card: Card) -> Iterator[RenderableType]:
    table = _grid(2)
    for name, words in card_words.facts(card):
        table.add_row(pen.write(name, "cyan"), pen.write(words))
    for parameter in card.parameters:
        value = f"{parameter.name} = {card_words.real(parameter.value)}"
        words = f"{card_words.parameter_sentence(parameter)}"
        table.add_row(pen.write(value, "cyan"), pen.write(words))
    if table.row_count:
        yield table
        yield ""


def _texts(pen: Pen, card: Card) -> Iterator[RenderableType]:
    texts: Sequence[tuple[str, str]] = (
        ("Cures", card.cures),
        ("Costs", card.costs),
        ("Often wrong", card.note),
        ("Source", card.source),
    )
    table = _grid(2)
    for name, words in texts:
        if words:
            table.add_row(pen.write(name, "cyan"), pen.write(words))
    yield table


def _grid(columns: int) -> Table:
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(columns):
        table.add_column(overflow="fold")
    return table
