"""What a comparison runs: every candidate from every seed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from relucid.compare.samples import Samples, split
from relucid.compare.subject import Subject
from relucid.functions import Elementwise


@dataclass(frozen=True)
class Choice:
    """A candidate; ``activation`` is None for the model as its builder makes it."""

    name: str
    activation: Elementwise | None


@dataclass(frozen=True)
class Job:
    """One run that is to be done."""

    candidate: str
    seed: int


@dataclass(frozen=True)
class Experiment:
    """A comparison as it was asked for; together with a job it decides all of a run."""

    subject: Subject
    choices: tuple[Choice, ...]
    baseline: str
    old: str | None
    """The activation of the model whose place candidates take; None where the builder takes them
    as an argument."""
    seeds: tuple[int, ...]
    steps: int
    points: int = 20
    """Points of a curve after the first, at most."""
    right_gain: bool = True

    @cached_property
    def samples(self) -> Samples:
        """The data, split: read when first asked for, in each process that trains."""
        return split(self.subject.data)

    def choice(self, name: str) -> Choice:
        """Return the candidate of this name."""
        return next(choice for choice in self.choices if choice.name == name)

    def jobs(self) -> list[Job]:
        """Return all runs, seed by seed, so that whatever is done first can be compared."""
        return [Job(choice.name, seed) for seed in self.seeds for choice in self.choices]

    def stages(self) -> list[int]:
        """Return how many steps lie between a point of the curve and the next."""
        count = min(self.points, self.steps)
        ends = [round(self.steps * i / count) for i in range(count + 1)]
        return [after - before for before, after in pairwise(ends)]

    def __reduce__(self) -> Any:
        """Send what was asked for, and not the data that were read."""
        parts = (self.subject, self.choices, self.baseline, self.old, self.seeds, self.steps)
        return Experiment, (*parts, self.points, self.right_gain)
