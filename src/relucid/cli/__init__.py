"""The command: one file a verb, and nothing here but putting them together.

A new verb is a module with one function, and one line below.
"""

from __future__ import annotations

import typer

from relucid.cli.bench import bench
from relucid.cli.checkup import checkup
from relucid.cli.compare import compare
from relucid.cli.errors import run
from relucid.cli.explain import explain
from relucid.cli.listing import list_functions
from relucid.cli.shrink import shrink
from relucid.cli.verify import verify
from relucid.cli.watch import watch

app = typer.Typer(
    name="relucid",
    help="See, choose, repair and speed up the activation functions of PyTorch networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(checkup)
app.command()(watch)
app.command()(compare)
app.command()(shrink)
app.command()(explain)
app.command("list")(list_functions)
app.command()(verify)
app.command()(bench)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"relucid {version('relucid')}")
        raise typer.Exit()


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """See, choose, repair and speed up the activation functions of PyTorch networks."""


def main() -> None:
    """Run the command; errors that relucid raises on purpose end it with status 2."""
    run(app)
