"""The options that several commands share, and how those that end in a checkup tell it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from relucid.checkup import Health

Data = Annotated[
    str | None,
    typer.Option(
        help="Data instead of the subject's own: a .npz, .npy, .safetensors or .pt file with "
        "'inputs' and 'targets', or MODULE:FUNCTION."
    ),
]


def check_page(html: Path | None) -> None:
    """Raise now, and not after the work, if the page cannot be written."""
    if html is not None:
        from relucid.report import check_writable

        check_writable(html)


def tell(health: Health, html: Path | None, json: bool) -> None:
    """Write the page that was asked for, and print the records as JSON or the findings."""
    if html is not None:
        health.save(html)
    if json:
        typer.echo(health.to_json())
        return
    health.show()
    if html is not None:
        typer.echo(f"Report with pictures: {html}")


def domain_of(text: str | None) -> tuple[float, float] | None:
    """Read ``0,1``, the range of every input."""
    from relucid.errors import DomainError

    if text is None:
        return None
    try:
        low, high = map(float, text.split(","))
    except ValueError as error:
        raise DomainError(f"--domain takes LOW,HIGH, for example 0,1, and not {text!r}") from error
    return low, high
