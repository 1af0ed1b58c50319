"""One run, by itself: what every engine must agree with."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from torch import nn

from relucid.compare.experiment import Choice, Experiment, Job
from relucid.compare.learner import Learner, made, seed_all
from relucid.compare.measure import dead_units, gradient_ratio, held_out, observed, zeros
from relucid.errors import RelucidError
from relucid.records.comparison import Ending, Point, Trained
from relucid.swap import swap
from relucid.swap.gains import Pair, reading_layers, scale

Report = Callable[[Point], bool]
"""Told each point of a curve; says True where the run is to be given up as hopeless."""


def train(experiment: Experiment, job: Job, report: Report | None = None) -> Trained:
    """Train one candidate from one seed, and say how it went.

    An error that the model raises with this candidate ends the run as failed; errors of ``report``,
    and of the user's own code that are none of relucid's, pass through.
    """
    run, end = _run(experiment, job), None
    while True:
        try:
            point = run.send(end)
        except StopIteration as over:
            trained: Trained = over.value
            return trained
        end = ending(point, report)


def _run(experiment: Experiment, job: Job) -> Generator[Point, tuple[Ending, str] | None, Trained]:
    """Yield each point of a run, to be sent how it ends there."""
    begun, curve = time.monotonic(), list[Point]()
    try:
        learner, end = prepare(experiment, job), (Ending.COMPLETE, "")
        for point in _points(experiment, job, learner):
            curve.append(point)
            end = (yield point) or end
            if end[0] is not Ending.COMPLETE:
                break
        return finished(experiment, job, learner, curve, *end, time.monotonic() - begun)
    except RelucidError as error:
        return failed(job, curve, error, time.monotonic() - begun)


def ending(point: Point, report: Report | None) -> tuple[Ending, str]:
    """Return how a run ends at a point, and why; complete where it goes on."""
    if not math.isfinite(point.loss):
        return Ending.DIVERGED, f"the loss was {point.loss} after {point.step} steps"
    if report is not None and report(point):
        return Ending.PRUNED, f"given up after {point.step} steps"
    return Ending.COMPLETE, ""


def failed(job: Job, curve: list[Point], error: RelucidError, seconds: float) -> Trained:
    """Return the record of a run that ended with an error."""
    return Trained(*_names(job), Ending.FAILED, tuple(curve), str(error), seconds=seconds)


@dataclass(frozen=True)
class Placed:
    """What was done to put a candidate into a model."""

    sites: int
    refused: tuple[str, ...] = ()
    gain: float = 1.0
    """Factor on the initial weights of the layers that read it."""


def prepare(experiment: Experiment, job: Job) -> Learner:
    """Build the model of a job with its optimizer, the random numbers seeded for its training."""
    return prepared(experiment, job)[0]


def prepared(experiment: Experiment, job: Job) -> tuple[Learner, Placed]:
    """Do what :func:`prepare` does, and say what was done to put the candidate in."""
    seed_all(job.seed)
    model, placed = _built(experiment, experiment.choice(job.candidate))
    model.train()
    learner = Learner(model, made(model, experiment.subject.optimizer))
    seed_all(job.seed)  # however many numbers a candidate drew, dropout is the same from here on
    return learner, placed


def _built(experiment: Experiment, choice: Choice) -> tuple[nn.Module, Placed]:
    if experiment.old is None:
        return _given(experiment, choice)
    model = experiment.subject.model()
    return model, _swapped(experiment, choice, model)


def _given(experiment: Experiment, choice: Choice) -> tuple[nn.Module, Placed]:
    """Let the builder put the candidate in; the baseline keeps the weights that it draws."""
    modules: list[nn.Module] = []
    model = experiment.subject.model(choice.activation, modules)
    if not experiment.right_gain or choice.name == experiment.baseline:
        return model, Placed(len(modules))
    old = experiment.choice(experiment.baseline).activation
    pairs = [Pair(module, old, choice.activation) for module in modules]
    layers = reading_layers(model, experiment.samples.example(), pairs)
    scaled = scale(model, layers)
    factors = [layers[name].factor for name in scaled]
    return model, Placed(len(modules), (), factors[0] if factors else 1.0)


def _swapped(experiment: Experiment, choice: Choice, model: nn.Module) -> Placed:
    if choice.activation is None:
        return Placed(0)
    done = swap(
        model,
        experiment.old,
        to=choice.activation,
        example=experiment.samples.example(),
        right_gain=experiment.right_gain,
    )
    refused = tuple(f"{site.path}: {site.why}" for site in done.refused)
    factors = [gain.factor for gain in done.gain if gain.scaled]
    return Placed(len(done.changed), refused, factors[0] if factors else 1.0)


def check(experiment: Experiment) -> None:
    """Take one step with the baseline and judge one batch, so that what fails for all is told now.

    Raises the :class:`~relucid.errors.RelucidError` that every run would end in.
    """
    first, samples = experiment.seeds[0], experiment.samples
    learner = prepare(experiment, Job(experiment.baseline, first))
    next(learner.train(samples.in_order(first), 1, experiment.subject.loss))
    held_out(learner.model, replace(samples, held_out=samples.held_out[:1]), experiment.subject)


def finished(
    experiment: Experiment,
    job: Job,
    learner: Learner,
    curve: list[Point],
    ending: Ending,
    why: str,
    seconds: float,
) -> Trained:
    """Return the record of a run whose training is over, with what its units do at the end."""
    if ending is not Ending.COMPLETE:
        return Trained(*_names(job), ending, tuple(curve), why, seconds=seconds)
    seen = observed(learner.model, experiment.samples, experiment.subject.loss)
    return Trained(
        *_names(job),
        ending,
        tuple(curve),
        dead=dead_units(seen),
        sparsity=zeros(seen),
        gradient=gradient_ratio(seen),
        seconds=seconds,
    )


def _points(experiment: Experiment, job: Job, learner: Learner) -> Iterator[Point]:
    """Train, and yield where the run stands: before the first step, and after each stage."""
    subject, samples = experiment.subject, experiment.samples
    loss, quality = held_out(learner.model, samples, subject)
    yield Point(0, loss, quality, math.nan)
    steps = learner.train(samples.in_order(job.seed), experiment.steps, subject.loss)
    done = 0
    for stage in experiment.stages():
        losses = [learner.loss for _ in islice(steps, stage)]
        done += stage
        loss, quality = held_out(learner.model, samples, subject)
        yield Point(done, loss, quality, sum(losses) / len(losses))


def _names(job: Job) -> tuple[str, int]:
    return job.candidate, job.seed
