"""``relucid explain``: the card of an activation function."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def explain(
    name: Annotated[
        str, typer.Argument(help="Name or alias of a function; `relucid list` prints them.")
    ],
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            "--parameter",
            "-p",
            metavar="NAME=VALUE",
            help="A parameter other than its default, for example alpha=0.5. May be repeated.",
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write the card as one self-contained page instead.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the card's record as JSON instead.")
    ] = False,
) -> None:
    """Explain an activation: formula, derivative and its derivation, kinks, facts, a plot."""
    from relucid.cards import card
    from relucid.functions import read_parameters

    found = card(name, **read_parameters(parameter or ()))
    if html is not None:
        from relucid.report.card_html import save_card_html

        typer.echo(f"Card of {found.name}: {save_card_html(found, html)}", err=json)
    if json:
        from relucid.records.cards import card_json

        typer.echo(card_json(found))
    if not json and html is None:
        from relucid.report.card_text import show_card

        show_card(found)
