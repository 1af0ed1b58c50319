"""What is to be run: arms that differ in one thing, on the same seeds, within a budget."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from relucid.compare.learner import Learner, MakeOptimizer, Optimizer
from relucid.errors import ParameterError


@dataclass(frozen=True)
class Arm:
    """One side of an experiment: a name, and what makes its learner for a seed.

    Random numbers are seeded when it is called, the same for all arms.
    """

    name: str
    learner: Callable[[int], Learner]


@dataclass(frozen=True)
class Trial:
    """How prescriptions are tried: ``checkup(..., trial=Trial(steps=100, optimizer=mine))``.

    Args:
        steps: training steps of each copy.
        seconds: the most that the whole trial may take; None for no limit. What is complete by
            then is reported.
        seeds: how often each copy is trained, each time with the batches in another order. With
            one nothing can be concluded.
        optimizer: the optimizer that trains the model (its class, settings and state are copied
            onto the copies), or a function of parameters that makes one, such as
            ``lambda parameters: torch.optim.SGD(parameters, lr=0.1)``. Where None, copies are
            trained by Adam at learning rate 0.001, and what changes the optimizer is not tried.
        progress: called with the steps done and the steps in all.

    Raises:
        ParameterError: for a number that makes no sense.

    """

    steps: int = 200
    seconds: float | None = 120.0
    seeds: int = 5
    optimizer: Optimizer | MakeOptimizer | None = None
    progress: Callable[[int, int], object] | None = None

    def __post_init__(self) -> None:
        for name in ("steps", "seeds"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ParameterError(f"a trial's {name} must be a whole number from 1, not {value}")
        if self.seconds is not None and not 0.0 < self.seconds < math.inf:
            raise ParameterError(
                f"a trial's seconds must be above 0, or None for no limit, not {self.seconds}"
            )
        if self.optimizer is not None and not callable(self.optimizer):
            if not isinstance(self.optimizer, Optimizer):
                raise ParameterError(
                    "a trial's optimizer must be a torch.optim.Optimizer or a function of "
                    f"parameters that makes one, not {self.optimizer!r}"
                )
