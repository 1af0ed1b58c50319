"""``relucid list``: the catalogue of activation functions."""

from __future__ import annotations

from typing import Annotated

import typer


def list_functions(
    json: Annotated[bool, typer.Option("--json", help="Print the list as JSON instead.")] = False,
) -> None:
    """List every activation that relucid declares, by family."""
    from relucid.functions import catalogue
    from relucid.records.cards import ListedFunction

    rows = tuple(
        ListedFunction(
            name=activation.name,
            family=activation.family,
            kind=activation.kind,
            parameters=activation.parameters,
            aliases=activation.aliases,
            summary=activation.summary,
        )
        for activation in catalogue().values()
    )
    if json:
        from relucid.records.cards import catalogue_json

        typer.echo(catalogue_json(rows))
    else:
        from relucid.report.catalogue_text import show_catalogue

        show_catalogue(rows)
