"""What a comparison of activations measured: runs, their differences, and who stands where."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from relucid.records.trials import Difference

Metric = Literal["accuracy", "loss"]


class Ending(StrEnum):
    """How a run ended."""

    COMPLETE = "complete"
    DIVERGED = "diverged"
    """Its loss became NaN or infinite."""
    PRUNED = "pruned"
    """It was stopped early as hopeless."""
    FAILED = "failed"
    """The model or the worker raised an error."""


class Verdict(StrEnum):
    """What the runs say of a candidate beside the baseline."""

    BASELINE = "baseline"
    BETTER = "better"
    WORSE = "worse"
    SAME = "no difference worth a change"
    """The whole interval lies within what is too small to matter."""
    NOT_SHOWN = "no difference shown"
    GIVEN_UP = "given up early"
    """Runs of it were stopped as hopeless. Those that were not are the lucky ones, so that their
    mean is none of its own: it is not compared."""
    NOT_RUN = "not run to an end"
    """It has no run with an end that the baseline has too."""


@dataclass(frozen=True)
class Point:
    """Where a run stood after some steps, on the held-out samples in evaluation mode."""

    step: int
    loss: float
    """Mean loss on the held-out samples."""
    quality: float
    """The metric of the comparison on the held-out samples: the loss again, or the accuracy."""
    training: float
    """Mean loss of the training steps since the last point."""


@dataclass(frozen=True)
class Trained:
    """One run: a candidate, trained from the weights and on the batches of one seed."""

    candidate: str
    seed: int
    ending: Ending
    curve: tuple[Point, ...] = ()
    """The first point is before any training, the last after the last step."""
    why: str = ""
    """Why it ended otherwise than complete, in words."""
    dead: float | None = None
    """Share of units that are dead on the held-out samples, after training."""
    sparsity: float | None = None
    """Share of activations that are exactly zero there."""
    gradient: float | None = None
    """Root mean square of the gradient at the first site over that at the last one."""
    seconds: float = 0.0
    """What the run took on the wall clock; of runs trained together an equal share."""

    @property
    def last(self) -> Point | None:
        """Where it ended, or None where it never began."""
        return self.curve[-1] if self.curve else None


@dataclass(frozen=True)
class Candidate:
    """One activation of a comparison, and what was done to put it into the model."""

    name: str
    """With its parameters: ``elu(alpha=0.5)``."""
    swapped: int
    """Sites that have it in place of the model's own; 0 where it is the model's own."""
    refused: tuple[str, ...] = ()
    """Sites that kept the model's own, and why."""
    gain: float = 1.0
    """Factor on the initial weights of the layers that read it."""
    milliseconds: float | None = None
    """Least time of a training step on this machine, of some that were taken in turn."""
    kept: int | None = None
    """Bytes that one training step keeps for its backward pass."""


@dataclass(frozen=True)
class Standing:
    """A candidate in the ranking."""

    candidate: str
    runs: int
    """Runs with an end that can be compared: complete, or diverged."""
    diverged: int
    failed: int
    quality: float
    """Mean of the metric over the complete runs, at their ends; NaN where there is none, and where
    others were given up."""
    spread: float
    """Its standard deviation over seeds."""
    area: float
    """Mean of the metric over the whole training: the area under its curve, over its length."""
    verdict: Verdict
    difference: Difference | None = None
    """To the baseline, paired by seed; None for the baseline."""
    needed: int | None = None
    """Seeds that would probably show a difference of this size, where none was shown."""
    dead: float | None = None
    sparsity: float | None = None
    gradient: float | None = None
    pruned: int = 0
    """Runs that were given up as hopeless."""
    pareto: bool = False
    """Whether no other is at least as good in quality, time and memory, and better in one."""


@dataclass(frozen=True)
class Comparison:
    """A comparison of activations on one model and data."""

    title: str
    """The subject."""
    metric: Metric
    baseline: str
    candidates: tuple[Candidate, ...]
    runs: tuple[Trained, ...]
    standings: tuple[Standing, ...]
    """Best first."""
    advice: str
    """One sentence with its evidence."""
    seeds: tuple[int, ...]
    steps: int
    """Training steps of a complete run."""
    batch: int
    """Samples of a training step; 0 where batches are as given."""
    training: int
    """Samples that were trained on."""
    held_out: int
    """Samples that were kept apart, and measured on."""
    optimizer: str
    """What trained, in words."""
    engine: str
    """How runs were carried out, and why so, in words."""
    pruned: str = ""
    """How hopeless runs were stopped early, in words; empty where none were."""
    machine: str = ""
    """Processor, threads and versions that the times belong to."""
    seconds: float = 0.0
    """What all of it took, the earlier sittings of a resumed one too."""
    stopped: str = ""
    """Why it ended before all was done; empty where nothing is missing."""
