"""What would be printed to a terminal, as a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType


def printed(renderable: RenderableType) -> str:
    """Return a Rich renderable as plain text, at most 100 columns wide, without colours."""
    from rich.console import Console

    console = Console(width=100, no_color=True, force_terminal=False)
    with console.capture() as said:
        console.print(renderable)
    return said.get().rstrip()
