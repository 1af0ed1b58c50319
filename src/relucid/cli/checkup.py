"""``relucid checkup``: what is wrong with a network's activations."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relucid.cli.told import Data, check_page, domain_of, tell

if TYPE_CHECKING:
    from relucid.checkup import Health
    from relucid.compare import Trial
    from relucid.report.progress import Tell

DIGITS_STEPS = 600

Settings = dict[str, Any]
"""How prescriptions are tried, by the names of :class:`relucid.Trial`."""


class FailOn(StrEnum):
    """The least severity at which the command exits with status 1."""

    ILL = "ill"
    TIP = "tip"


def checkup(
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODULE:FUNCTION]",
            help="A function that returns (model, data), perhaps with a loss and an optimizer "
            "behind them. Naming it here runs its code. Without it, two small networks are trained "
            "on shipped digits: one healthy, one sick.",
        ),
    ] = None,
    data: Data = None,
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
    trial: Annotated[
        bool,
        typer.Option(
            "--trial",
            help="Try what is prescribed on copies of the model, trained on these data. Give the "
            "optimizer too: (model, data, loss, optimizer).",
        ),
    ] = False,
    trial_steps: Annotated[
        int | None, typer.Option(min=1, help="Training steps of each copy (200).")
    ] = None,
    trial_seconds: Annotated[
        float | None,
        typer.Option(min=0.1, help="The most that the whole trial may take (120)."),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="How often each copy is trained in a trial (5).")
    ] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE.NAME=VALUE",
            help="Another limit than a rule's own, for example dead_units.share=0.2. May be "
            "repeated.",
        ),
    ] = None,
    domain: Annotated[
        str | None,
        typer.Option(
            metavar="LOW,HIGH",
            help="The range of every number that the model takes, for example 0,1. Tells the units "
            "that are dead, or always on, for every input of it. Token ids may be any.",
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
    check_page(html)
    limits, box = _limits(threshold or ()), domain_of(domain)
    given = {"steps": trial_steps, "seconds": trial_seconds, "seeds": seeds}
    asked = {name: value for name, value in given.items() if value is not None}
    settings = asked if trial or asked else None
    health = (
        _examine_digits(steps, data, settings, limits, box)
        if subject is None
        else _examine(subject, data, steps, settings, limits, box)
    )
    tell(health, html, json)
    if fail_on is not None and _at_least(health, fail_on):
        raise typer.Exit(1)


def _limits(given: Iterable[str]) -> dict[str, float]:
    """Read ``dead_units.share=0.2``."""
    from relucid.diagnose import values_in_force
    from relucid.errors import RuleError

    limits = {}
    for text in given:
        name, _, value = text.partition("=")
        try:
            limits[name.strip()] = float(value)
        except ValueError as error:
            raise RuleError(
                "--threshold takes RULE.NAME=VALUE with a number, for example "
                f"dead_units.share=0.2, and not {text!r}"
            ) from error
    values_in_force(limits)  # a typing error is told before the model runs
    return limits


def _examine(
    name: str,
    data: str | None,
    steps: int | None,
    settings: Settings | None,
    limits: dict[str, float],
    domain: tuple[float, float] | None,
) -> Health:
    from relucid.checkup import checkup as examine
    from relucid.cli.subject import load_subject
    from relucid.probes import count_batches
    from relucid.report.progress import bars

    subject = load_subject(name, data)
    known = [number for number in (steps, count_batches(subject.data)) if number is not None]
    with bars() as bar:
        return examine(
            subject.model,
            subject.data,
            subject.loss,
            title=name,
            batches=steps,
            thresholds=limits,
            progress=bar("Examining", min(known, default=None)),
            trial=_trial(settings, subject.optimizer, bar("Trying what may help")),
            domain=domain,
            bounding=bar("Bounding every input"),
        )


def _examine_digits(
    steps: int | None,
    data: str | None,
    settings: Settings | None,
    limits: dict[str, float],
    domain: tuple[float, float] | None,
) -> Health:
    from torch.nn.functional import cross_entropy

    from relucid.checkup import checkup as examine
    from relucid.cli.progress import tracking
    from relucid.demo import HEALTHY, SICK, accuracy, load_digits, train
    from relucid.errors import SubjectError
    from relucid.report.progress import bars

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
        with bars() as bar:
            trial = _trial(settings, recipe.optimizer, bar("Trying what may help"))
            health = examine(
                network,
                held_out,
                cross_entropy,
                title=recipe.title,
                story=story,
                thresholds=limits,
                trial=trial,
                domain=domain,
                bounding=bar("Bounding every input"),
            )
        found.append(health)
    return found[0] + found[1]


def _trial(settings: Settings | None, optimizer: Any, tell: Tell) -> bool | Trial:
    """Return the trial that was asked for, which tells a bar how far it is; or False."""
    if settings is None:
        return False
    from relucid.compare import Trial

    return Trial(**settings, optimizer=optimizer, progress=tell)


def _at_least(health: Health, limit: FailOn) -> bool:
    bad = {FailOn.ILL: {"ill"}, FailOn.TIP: {"ill", "tip"}}[limit]
    return health.worst.value in bad
