"""How the command tells an error: one line on standard error, status 2, no traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable

from relucid.errors import RelucidError


def run(command: Callable[[], object]) -> None:
    """Run a command; an error that relucid raises on purpose becomes one line and status 2."""
    try:
        command()
    except RelucidError as error:
        _print_error(str(error))
        sys.exit(2)


def _print_error(message: str) -> None:
    from rich.console import Console
    from rich.text import Text

    from relucid.report.words import one_line

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(Text("error: ", style="bold red") + Text(one_line(message), style="red"))
