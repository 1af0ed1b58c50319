"""What a training step costs with each candidate: time, and what is kept for the backward pass."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from relucid.compare.experiment import Experiment
from relucid.compare.learner import Learner
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


def costs(experiment: Experiment, learners: Mapping[str, Learner]) -> Mapping[str, Cost]:
    """Measure candidates beside each other: each in turn takes a step, so that all see one noise.

    A candidate that cannot take a step is left out.
    """
    found = {name: _runner(experiment, learner) for name, learner in learners.items()}
    runners = {name: runner for name, runner in found.items() if runner is not None}
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
    # What else the machine does only adds to a time: on a busy one medians of equal candidates
    # were 2.4 and 15 ms.
    return {n: Cost(1e3 * min(times[n][WARM:]), kept[n]) for n in runners}


@dataclass
class _Runner:
    learner: Learner
    steps: Iterator[int]


def _runner(experiment: Experiment, learner: Learner) -> _Runner | None:
    """A learner that has shown that it can step."""
    batches = experiment.samples.in_order(experiment.seeds[0])
    steps = learner.train(batches, 1_000_000, experiment.subject.loss)
    try:
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
