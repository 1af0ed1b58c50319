"""``relucid watch``: a training run as it goes on, and a checkup of what was seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relucid.cli.told import Data, check_page, tell

if TYPE_CHECKING:
    from relucid.checkup import Health
    from relucid.cli.training import Training
    from relucid.records import Observation

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it: 128 and the number of the signal."""


def watch(
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODULE:FUNCTION]",
            help="A function that returns (model, train), where train() trains the model as you "
            "always do, or (model, data, loss) and perhaps an optimizer. Naming it here runs its "
            "code. Without it, a small network is trained on shipped digits, at too high a "
            "learning rate.",
        ),
    ] = None,
    data: Data = None,
    every: Annotated[int, typer.Option(min=1, help="Watch every so many passes.")] = 1,
    window: Annotated[
        int,
        typer.Option(min=1, help="Watched passes without firing that make a unit window-dead."),
    ] = 1000,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="How often to go over the data (once).")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Training steps, over the data again if need be.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write the checkup at the end as one page.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the records at the end as JSON.")
    ] = False,
) -> None:
    """Watch every activation of a network while it is trained, in a live view.

    At the end, or after Ctrl-C, the checkup of what was seen is printed. Exit status: 0 when the
    training ended, 130 after Ctrl-C, 2 on wrong use.
    """
    from relucid.cli.subject import load_subject
    from relucid.cli.training import digits_training, training_of
    from relucid.errors import SubjectError

    check_page(html)
    if subject is not None:
        training = training_of(load_subject(subject, data), epochs, steps)
    elif data is not None or epochs is not None:
        raise SubjectError("--data and --epochs need a subject: relucid watch module:function")
    else:
        training = digits_training(steps)
    observation, interrupted = _watched(training, every, window)
    tell(_checked(training, observation, interrupted), html, json)
    if interrupted:
        raise typer.Exit(INTERRUPTED)


def _watched(training: Training, every: int, window: int) -> tuple[Observation, bool]:
    """Run the training under a probe; return what was seen, and whether Ctrl-C ended it."""
    from relucid.cli.screen import Screen
    from relucid.errors import SubjectError
    from relucid.probes import watch as begin

    interrupted = False
    with begin(training.model, every, window=window) as probe, Screen(probe, training.model) as on:
        try:
            training.run(on.tell)
        except KeyboardInterrupt:
            interrupted = True
    observation = probe.records()
    if not observation.batches and not interrupted:
        raise SubjectError(
            f"the training of {training.title} did not call the model that was returned; return "
            "the very model that is trained, not a copy or a compiled one"
        )
    return observation, interrupted


def _checked(training: Training, seen: Observation, interrupted: bool) -> Health:
    """Diagnose what was seen."""
    from relucid.checkup import Health

    told = f"{training.story} Ended by Ctrl-C.".strip() if interrupted else training.story
    passes = "pass" if seen.batches == 1 else "passes"
    data = f"{seen.samples:,} samples in {seen.batches:,} {passes} of its training"
    return Health.of(seen, title=training.title, data=data, story=told)
