"""Running an experiment: every arm on one seed, then on the next, until all is done or it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from relucid.compare.learner import Learner, Loss, seed_all
from relucid.compare.plan import Arm, Trial
from relucid.compare.samples import Samples
from relucid.errors import RelucidError
from relucid.records import Run

Measure = Callable[[Learner, int], Run]


@dataclass
class Results:
    """What has been run so far, by the name of the arm."""

    runs: dict[str, dict[int, Run]]
    failed: dict[str, str] = field(default_factory=dict)
    """Arms that could not be run, and why."""
    stopped: str = ""

    def pairs(self, arm: str, with_arm: str) -> list[tuple[Run, Run]]:
        """Return the runs of two arms on the seeds that both have."""
        one, other = self.runs[arm], self.runs[with_arm]
        return [(one[seed], other[seed]) for seed in one if seed in other]


class _TimeIsOverError(Exception):
    """The budget is used up."""


class _HopelessError(Exception):
    """What all are compared with cannot be run."""


def run(
    arms: Sequence[Arm], samples: Samples, loss: Loss, plan: Trial, measure: Measure
) -> Results:
    """Train every arm on the same batches, seed by seed, and measure what came of each.

    The first arm is what the others are compared with; where it cannot be run, nothing is. An
    arm that fails is left out from then on. Where time is over, or at an interrupt (Ctrl-C), the
    run in progress is dropped and the rest is returned.
    """
    return _Running(arms, samples, loss, plan, measure).all()


class _Running:
    def __init__(
        self, arms: Sequence[Arm], samples: Samples, loss: Loss, plan: Trial, measure: Measure
    ) -> None:
        self._arms, self._samples, self._loss = arms, samples, loss
        self._plan, self._measure = plan, measure
        self._results = Results({arm.name: {} for arm in arms})
        self._end = None if plan.seconds is None else time.monotonic() + plan.seconds
        self._done, self._total = 0, len(arms) * plan.seeds * plan.steps

    def all(self) -> Results:
        results = self._results
        try:
            for seed in range(self._plan.seeds):
                for arm in self._arms:
                    if arm.name not in results.failed:
                        self._one(arm, seed)
        except _TimeIsOverError:
            results.stopped = f"its {self._plan.seconds:g} seconds were over"
        except KeyboardInterrupt:
            results.stopped = "it was interrupted"
        except _HopelessError as error:
            results.stopped = f"the {self._arms[0].name} copy cannot be trained: {error}"
        return results

    def _one(self, arm: Arm, seed: int) -> None:
        """Train and measure one arm; an error of the model after a change ends that arm only."""
        try:
            seed_all(seed)
            learner = arm.learner(seed)
            seed_all(seed)  # however many numbers a change drew, dropout is the same from here on
            for _ in learner.train(self._samples.in_order(seed), self._plan.steps, self._loss):
                self._tell()
            self._results.runs[arm.name][seed] = self._measure(learner, seed)
        except RelucidError as error:
            if arm is self._arms[0]:
                raise _HopelessError(str(error)) from error
            self._results.failed[arm.name] = str(error)
            self._total -= (self._plan.seeds - seed) * self._plan.steps

    def _tell(self) -> None:
        self._done += 1
        if self._plan.progress is not None:
            self._plan.progress(self._done, self._total)
        if self._end is not None and time.monotonic() > self._end:
            raise _TimeIsOverError
