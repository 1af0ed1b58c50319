"""``relucid verify``: the accuracy of the activations on every float32 input."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from relucid.records.accuracy import Accuracy
    from relucid.verify import Plan, Store

RESULTS = Path("benchmarks") / "accuracy"


class Precision(StrEnum):
    """How relucid is asked to compute float32."""

    STANDARD = "standard"
    CORRECT = "correct"


class Route(StrEnum):
    """By which route relucid is asked to compute on a CPU."""

    PLAIN = "plain"
    LLVM = "llvm"


def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME[:PARAMETER=VALUE,...]]...",
            help="Functions, for example gelu elu:alpha=0.5. Without any: every elementwise "
            "function of the catalogue at its defaults.",
        ),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            min=1000,
            help="Measure about this many inputs a function, of every exponent and sign, instead "
            "of all 2^32.",
        ),
    ] = None,
    precision: Annotated[
        Precision, typer.Option(help="Ask relucid for this precision in float32.")
    ] = Precision.STANDARD,
    route: Annotated[
        Route | None, typer.Option(help="Force one of relucid's routes; default: as it chooses.")
    ] = None,
    peers: Annotated[
        str | None,
        typer.Option(
            metavar="pytorch,jax",
            help="What to measure beside relucid; an empty text for nothing. Default: PyTorch, "
            "and JAX where it is installed.",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes of one thread each; default: one a core.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Write the results as JSON to this file. A complete run of the catalogue writes "
            f"{RESULTS}/<date>-<processor>.json without being asked."
        ),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            help="Folder that remembers what has been measured. Default: relucid/verify in the "
            "user's cache folder."
        ),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Measure again what earlier runs have measured.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print the results as JSON instead of a table.")
    ] = False,
) -> None:
    """Measure value and derivative on every float32 input against a checked float64 truth.

    An interrupted run goes on where it was when the same command is given again, and what the
    same code has measured is not measured twice. Exit status: 0 when the accuracy contract is
    kept, 1 when a row is broken that is no known exception (or a known exception is none any
    more), 2 on wrong use.
    """
    from relucid.report import check_writable
    from relucid.verify import Store, default_folder, everything, measuring, plans, subject

    chosen = plans(
        [subject(name) for name in names] if names else everything(),
        peers=None if peers is None else [name for name in peers.split(",") if name],
        route=None if route is None else route.value,
        precision=precision.value,
        sample=sample,
    )
    whole = not names and sample is None
    target = output or (_default_target(route, precision) if whole else None)
    if target is not None:
        check_writable(target)
    store = Store(state or default_folder(), measuring())
    for plan in chosen if fresh else ():
        store.forget(plan)
    _tell(_measured(chosen, store, workers), target, json)


def _measured(chosen: list[Plan], store: Store, workers: int | None) -> Accuracy:
    import os

    from relucid.cli.progress import counting
    from relucid.verify import count, measure

    try:
        with _interruptible(), counting("Verifying", count(chosen)) as advance:
            return measure(chosen, store, workers=workers or os.cpu_count() or 1, progress=advance)
    except KeyboardInterrupt:
        typer.echo("Interrupted. The same command (without --fresh) goes on from here.", err=True)
        raise


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let a request to terminate end the run as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _tell(found: Accuracy, target: Path | None, json: bool) -> None:
    from relucid.records.accuracy import accuracy_json
    from relucid.report.files import write_atomically
    from relucid.verify import judge, show

    text, verdict = accuracy_json(found), judge(found)
    if target is not None:
        write_atomically(target, text)
        typer.echo(f"Results: {target}", err=True)
    if json:
        typer.echo(text)
    else:
        show(found, verdict)
    if not verdict.kept:
        raise typer.Exit(1)


def _default_target(route: Route | None, precision: Precision) -> Path:
    from datetime import UTC, datetime

    from relucid.verify.machine import processor, slug

    asked = [route or "", "" if precision == Precision.STANDARD else precision]
    parts = [datetime.now(UTC).date().isoformat(), slug(processor()), *filter(None, asked)]
    RESULTS.mkdir(parents=True, exist_ok=True)
    return RESULTS / f"{'-'.join(parts)}.json"
