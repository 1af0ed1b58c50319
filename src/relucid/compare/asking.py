"""From what a user asks for to an experiment, or to an error that says what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from typing import Any

from torch import nn

from relucid.compare.candidates import (
    activation_of,
    check_different,
    check_taken,
    choice_of,
)
from relucid.compare.experiment import Choice, Experiment
from relucid.compare.learner import Loss, MakeOptimizer
from relucid.compare.samples import SMALLEST, Samples, split
from relucid.compare.subject import Subject
from relucid.compare.tasks import task
from relucid.compare.training import check
from relucid.errors import DataError, LossError, ModelError, ParameterError
from relucid.records.comparison import Metric

EPOCHS = 10


def subject_of(
    build: Any,
    data: Any,
    loss: Loss | None,
    optimizer: MakeOptimizer | None,
    metric: Metric | None,
    title: str | None,
) -> Subject:
    """Return what is trained: a builder and its data, or a built-in task by name or path."""
    if isinstance(build, str | PathLike):
        build = task(build, metric=metric)  # which workers make with this metric, too
    if isinstance(build, Subject):
        return build if metric is None else replace(build, metric=metric)
    if isinstance(build, nn.Module) or not callable(build):
        raise ModelError(
            "compare needs a function that builds a fresh model, and was given "
            f"{type(build).__name__}; pass lambda: MyModel(...), or a function of that name"
        )
    if data is None:
        raise DataError("there is nothing to train on; pass compare(build, data, loss=...)")
    if loss is None:
        raise LossError("there is nothing to train by; pass loss=torch.nn.functional.cross_entropy")
    if metric not in (None, "accuracy", "loss"):
        raise ParameterError(f"metric must be 'accuracy' or 'loss', not {metric!r}")
    name = title or str(getattr(build, "__name__", type(build).__name__))
    return Subject(name, build, data, loss, optimizer, metric or "loss")


def experiment_of(
    subject: Subject,
    among: Sequence[Any],
    *,
    baseline: Any = None,
    swap: Any = None,
    seeds: int | Sequence[int] = 5,
    steps: int | None = None,
    epochs: float | None = None,
    right_gain: bool = True,
) -> Experiment:
    """Check what is asked for, and settle what was left open."""
    numbers, samples = _seeds(seeds), split(subject.data)
    _check_size(samples, subject.name)
    choices, first, old = _choices(subject, samples, among, baseline, swap)
    check_different(choices)
    if len(choices) < 2:
        raise ParameterError(f"there is only {first} to compare; name others in among")
    experiment = Experiment(
        subject=subject,
        choices=tuple(choices),
        baseline=first,
        old=old,
        seeds=numbers,
        steps=_steps(samples, steps, epochs),
        right_gain=right_gain,
    )
    experiment.__dict__["samples"] = samples  # they are read once
    check(experiment)
    return experiment


def _choices(
    subject: Subject, samples: Samples, among: Sequence[Any], baseline: Any, swap: Any
) -> tuple[list[Choice], str, str | None]:
    """Return the candidates with the baseline first, its name, and whose place they take."""
    wanted = [choice_of(what) for what in among]
    own = None if baseline is None else choice_of(baseline)
    if subject.takes_activation:
        if not wanted and own is None:
            raise ParameterError("there is nothing to compare; name candidates in among")
        choices = _first(own or wanted[0], wanted)
        check_taken(subject, samples, choices)
        return choices, choices[0].name, None
    old = activation_of(subject, samples, None if swap is None else choice_of(swap).name)
    wanted = [Choice(c.name, None) if c.name == old else c for c in wanted]
    first = Choice(old, None) if own is None or own.name == old else own
    return _first(first, wanted), first.name, old


def _first(first: Choice, others: Sequence[Choice]) -> list[Choice]:
    """Put the baseline first, and not again where it is first among the others' equals."""
    rest = list(others)
    same = [i for i, choice in enumerate(rest) if choice.name == first.name]
    if same:
        del rest[same[0]]
    return [first, *rest]


def _seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    if isinstance(seeds, int):
        if isinstance(seeds, bool) or seeds < 1:
            raise ParameterError(f"seeds must be a whole number from 1 or a list, not {seeds}")
        return tuple(range(seeds))
    numbers = tuple(seeds)
    if not numbers or len(set(numbers)) < len(numbers):
        raise ParameterError("seeds must be different whole numbers, and at least one")
    if not all(isinstance(n, int) and 0 <= n < 2**63 for n in numbers):
        raise ParameterError(f"seeds must be whole numbers from 0, not {list(numbers)}")
    return numbers


def _check_size(samples: Samples, name: str) -> None:
    size = samples.training_size + samples.held_out_size
    if size < SMALLEST:
        raise DataError(
            f"{name} has {size} samples, too few to keep a fifth apart and tell activations by it; "
            f"give at least {SMALLEST}"
        )


def _steps(samples: Samples, steps: int | None, epochs: float | None) -> int:
    if steps is not None and epochs is not None:
        raise ParameterError("steps and epochs say the same thing twice; give one of them")
    for name, value in (("steps", steps), ("epochs", epochs)):
        if value is not None and not value > 0:
            raise ParameterError(f"{name} must be above 0, not {value}")
    if steps is not None:
        return steps
    length = samples.training_size // samples.batch if samples.batch else len(samples.training)
    return max(1, round((EPOCHS if epochs is None else epochs) * max(length, 1)))
