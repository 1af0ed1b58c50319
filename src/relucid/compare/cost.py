"""What a training step costs with each candidate: time, and what is kept for the backward pass."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from relucid.compare.experiment import Choice, Experiment, Job
from relucid.compare.learner import Learner
from relucid.compare.training import prepare
from relucid.errors import RelucidError
from relucid.probes.batches import ordinary

ROUNDS = 15
"""Steps of each candidate that are timed, in turn with the others."""
WARM = 3
SECONDS = 2.0
"""The most that the timing of one candidate may take."""


@dataclass(frozen=True)
class Cost:
    """Of one candidate."""

    milliseconds: float
    kept: int


def costs(experiment: Experiment, choices: Sequence[Choice]) -> Mapping[str, Cost]:
    """Measure them one beside the other: each in turn takes a step, so that all see the same noise.

    A candidate that cannot take a step is left out.
    """
    runners = {c.name: runner for c in choices if (runner := _runner(experiment, c)) is not None}
    kept = {name: kept_bytes(runner.learner, experiment) for name, runner in runners.items()}
    times: dict[str, list[float]] = {name: [] for name in runners}
    end = time.perf_counter() + SECONDS * len(runners)
    for turn in range(WARM + ROUNDS):
        for name, runner in runners.items():
            begun = time.perf_counter()
            next(runner.steps)
            times[name].append(time.perf_counter() - begun)
        if turn >= WARM and time.perf_counter() > end:
            break
    return {n: Cost(1e3 * median(times[n][WARM:]), kept[n]) for n in runners}


@dataclass
class _Runner:
    learner: Learner
    steps: Iterator[int]


def _runner(experiment: Experiment, choice: Choice) -> _Runner | None:
    """A learner that has shown that it can step."""
    seed = experiment.seeds[0]
    try:
        learner = prepare(experiment, Job(choice.name, seed))
        batches = experiment.samples.in_order(seed)
        steps = learner.train(batches, 1_000_000, experiment.subject.loss)
        next(steps)
    except RelucidError:
        return None
    return _Runner(learner, steps)


def kept_bytes(learner: Learner, experiment: Experiment) -> int:
    """Bytes of memory that one step keeps for its backward pass, besides weights and data."""
    batch = next(experiment.samples.in_order(experiment.seeds[0]))
    own = {_address(x) for x in (*learner.model.parameters(), *learner.model.buffers())}
    own |= {_address(x) for x in batch.tensors()}
    held: dict[int, int] = {}

    def pack(x: Tensor) -> Tensor:
        if _address(x) not in own:
            held[_address(x)] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        output = batch.mapped(ordinary).call(learner.model)
        value = experiment.subject.loss(output, batch.target)
    del output, value
    return sum(held.values())


def _address(x: Tensor) -> int:
    return x.untyped_storage().data_ptr()
