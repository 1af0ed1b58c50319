"""The card of an activation as one HTML file that needs nothing else."""

from __future__ import annotations

from pathlib import Path

from relucid.records.cards import Card, Formula
from relucid.report import card_words
from relucid.report.card_svg import picture
from relucid.report.files import FilePath, write_atomically


def render_card_html(card: Card) -> str:
    """Return one HTML document that shows a card.

    It opens offline, follows the reader's light or dark theme, runs no script, and sets formulas
    in MathML, which browsers show by themselves.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def math(formula: Formula, before: str = "", after: str = "") -> Markup:
        """Set a formula; SymPy's printer has escaped every name in it."""
        inside = Markup(before) + Markup(formula.mathml) + Markup(after)
        return Markup('<math displaystyle="true">{}</math>').format(inside)

    environment = Environment(
        loader=PackageLoader("relucid.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "math": math,
        "real": card_words.real,
        "kink_sentence": card_words.kink_sentence,
        "parameter_sentence": card_words.parameter_sentence,
    }
    title = card_words.title(card)
    plot = Markup(picture(card.curves, title)) if card.curves else ""
    return environment.get_template("card.html").render(
        card=card, title=title, facts=list(card_words.facts(card)), plot=plot
    )


def save_card_html(card: Card, path: FilePath) -> Path:
    """Write :func:`render_card_html` to ``path`` and return the path.

    Raises :class:`~relucid.errors.OutputError` where it cannot be written.
    """
    return write_atomically(path, render_card_html(card))
