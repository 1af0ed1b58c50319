"""``relucid bench``: how fast the activations are beside PyTorch, torch.compile, JAX and NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from relucid.bench.choices import Dtype, Peer

_FIRST_USE = "gelu"


def bench(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAMES]...", help="Functions to measure; without any, all."),
    ] = None,
    size: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Elements of the tensors. May be repeated, as the next three."),
    ] = None,
    dtype: Annotated[list[Dtype] | None, typer.Option(help="Element type.")] = None,
    threads: Annotated[
        list[str] | None, typer.Option(metavar="N|all", help="Number of threads.")
    ] = None,
    peer: Annotated[
        list[Peer] | None, typer.Option(help="Whom to measure beside; without any, all.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Two forms in cache beside eager, with less repetition.")
    ] = False,
    json: Annotated[
        Path | None,
        typer.Option(
            help="Write the results as JSON to this file, or to <date>-<cpu>.json in this folder. "
            "Finished rows are kept beside it, and a rerun goes on after them."
        ),
    ] = None,
) -> None:
    """Measure speed beside PyTorch, torch.compile, JAX and NumPy, and check every result.

    Without --size, --dtype and --threads, the standard set is measured; with one of them, all
    combinations of those given. Exit status: 0 when it ran, 1 when a result of relucid breaks
    the accuracy contract, 2 on wrong use.
    """
    from relucid.bench.choices import peers, thread_counts
    from relucid.bench.plan import combinations, standard
    from relucid.bench.render import show
    from relucid.bench.run import bench as measure

    if size or dtype or threads:
        counts = thread_counts(threads or ("1",))
        tasks = combinations(names or (), peers(peer or ()), size or (), dtype or (), counts)
    else:
        tasks = standard(names or (), peers(peer or ()), quick)
    whole = not (names or size or dtype or threads or quick)
    with _remaining(sum(task.cost for task in tasks)) as advance:
        results = measure(
            tasks, json, quick=quick, first_use=_FIRST_USE if whole else None, advance=advance
        )
    show(results)
    if any(row.wrong for row in results.rows):
        raise typer.Exit(1)


@contextmanager
def _remaining(total: float) -> Iterator[Callable[[float], None]]:
    """A bar with the time left, and the function that tells it what part was just done."""
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("Measuring"),
        progress.BarColumn(),
        progress.TextColumn("{task.percentage:>3.0f}%"),
        progress.TimeElapsedColumn(),
        progress.TextColumn("left"),
        progress.TimeRemainingColumn(),
    )
    # Rows from memory take long and come together, so that the speed is taken over minutes.
    console = Console(stderr=True)
    with progress.Progress(*columns, console=console, speed_estimate_period=300) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.advance(task, done)
