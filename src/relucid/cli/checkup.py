"""``relucid checkup``: what is wrong with a network's activations."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from relucid.checkup import Health

DIGITS_STEPS = 600


class FailOn(StrEnum):
    """The least severity at which the command exits with status 1."""

    ILL = "ill"
    TIP = "tip"


def checkup(
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODULE:FUNCTION]",
            help="A function that returns (model, data) or (model, data, loss). Naming it here "
            "runs its code. Without it, two small networks are trained on shipped digits: one "
            "healthy, one sick.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Data instead of the subject's own: a .npz, .npy, .safetensors or .pt file with "
            "'inputs' and 'targets', or MODULE:FUNCTION."
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write the report as one self-contained page.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the records as JSON instead of text.")
    ] = False,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Batches to examine; without a subject, training steps on the digits "
            f"({DIGITS_STEPS}).",
        ),
    ] = None,
    fail_on: Annotated[
        FailOn | None,
        typer.Option(help="Exit with status 1 if something this bad is found."),
    ] = None,
) -> None:
    """Examine every activation of a network and say what is wrong with it.

    Exit status: 0 when the checkup ran, 1 when --fail-on applies, 2 on wrong use.
    """
    if html is not None:
        from relucid.report import check_writable

        check_writable(html)
    health = _examine_digits(steps, data) if subject is None else _examine(subject, data, steps)
    if html is not None:
        health.save(html)
    if json:
        typer.echo(health.to_json())
    else:
        health.show()
        if html is not None:
            typer.echo(f"Report with pictures: {html}")
    if fail_on is not None and _at_least(health, fail_on):
        raise typer.Exit(1)


def _examine(name: str, data: str | None, steps: int | None) -> Health:
    from relucid.checkup import checkup as examine
    from relucid.cli.progress import counting
    from relucid.cli.subject import load_subject
    from relucid.probes import count_batches

    subject = load_subject(name, data)
    known = [number for number in (steps, count_batches(subject.data)) if number is not None]
    with counting("Examining", min(known, default=None)) as advance:
        return examine(
            subject.model, subject.data, subject.loss, title=name, batches=steps, progress=advance
        )


def _examine_digits(steps: int | None, data: str | None) -> Health:
    from torch.nn.functional import cross_entropy

    from relucid.checkup import checkup as examine
    from relucid.cli.progress import tracking
    from relucid.demo import HEALTHY, SICK, accuracy, load_digits, train
    from relucid.errors import SubjectError

    if data is not None:
        raise SubjectError("--data needs a subject: relucid checkup module:function --data FILE")
    digits = load_digits()
    found = []
    for recipe in (HEALTHY, SICK):

        def watch(numbers: Iterable[int], title: str = recipe.title) -> Iterable[int]:
            return tracking(numbers, f"Training: {title}")

        network = train(recipe, digits, steps or DIGITS_STEPS, watch=watch)
        share = accuracy(network, digits)
        story = f"{recipe.story} It names {share:.1%} of "
        story += f"{len(digits.test_labels)} held-out digits rightly."
        held_out = list(
            zip(digits.test_images.split(100), digits.test_labels.split(100), strict=True)
        )
        found.append(examine(network, held_out, cross_entropy, title=recipe.title, story=story))
    return found[0] + found[1]


def _at_least(health: Health, limit: FailOn) -> bool:
    bad = {FailOn.ILL: {"ill"}, FailOn.TIP: {"ill", "tip"}}[limit]
    return health.worst.value in bad
