"""What became of prescriptions that were tried on copies of a model."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Outcome(StrEnum):
    """What a trial says of a prescription."""

    HELPS = "helps"
    NO_DIFFERENCE = "no difference"
    NO_EVIDENCE = "no evidence"
    HURTS = "hurts"
    NOT_TRIED = "not tried"


@dataclass(frozen=True)
class Run:
    """One copy after its training, measured on the held-out samples in evaluation mode."""

    seed: int
    loss: float
    """Mean loss; NaN or infinite where the copy diverged."""
    dead: float | None = None
    """Share of units that are dead on the held-out samples."""
    gradient: float | None = None
    """Root mean square of the gradient at the first site over that at the last one."""


@dataclass(frozen=True)
class Difference:
    """A mean over pairs of runs that differ in one thing, with its confidence interval.

    On the scale ``ratio`` the numbers say how many times the untouched copy's loss the changed
    copy's is: 1 is no difference, 0 means that only the untouched copies diverged. On the scale
    ``difference``, for losses that are not positive, they are the changed copy's loss less the
    untouched one's, and 0 is no difference.
    """

    scale: Literal["ratio", "difference"]
    pairs: int
    mean: float
    low: float
    high: float
    confidence: float
    """Of this interval; more than 0.95 where several prescriptions share an error of 5%."""

    @property
    def neutral(self) -> float:
        """The value that means no difference."""
        return 1.0 if self.scale == "ratio" else 0.0

    @property
    def excludes_no_difference(self) -> bool:
        """Whether the interval lies on one side of no difference."""
        return self.high < self.neutral or self.low > self.neutral


@dataclass(frozen=True)
class Tried:
    """One prescription: what was done to the copies, and what came of it."""

    name: str
    """Name of the trial, as in :attr:`~relucid.records.Prescription.trial`."""
    change: str
    """What was changed on the copies, in words; where it was not tried, why."""
    outcome: Outcome
    runs: tuple[Run, ...] = ()
    difference: Difference | None = None


@dataclass(frozen=True)
class Trials:
    """All prescriptions of a checkup that were tried, the most helpful first."""

    optimizer: str
    """What the copies were trained with, in words."""
    steps: int
    """Training steps of each run."""
    seeds: int
    """Runs of each copy that were planned."""
    batch: int
    """Samples of a training step; where samples cannot be mixed, 0: the batches are as given."""
    training: int
    """Samples that were trained on."""
    held_out: int
    """Samples that were kept apart, and measured on."""
    before: float | None
    """Loss of the model as it is on the held-out samples."""
    untouched: tuple[Run, ...]
    """The copies that were trained on without a change."""
    tried: tuple[Tried, ...]
    seconds: float
    """What all of it took."""
    stopped: str = ""
    """Why it ended before all was done, in words; empty where nothing is missing."""
    at_start: Run | None = None
    """The model as it is, measured like the copies: what dead units and gradients were before."""

    @property
    def recommended(self) -> tuple[Tried, ...]:
        """Those that help, the most helpful first."""
        return tuple(tried for tried in self.tried if tried.outcome is Outcome.HELPS)
