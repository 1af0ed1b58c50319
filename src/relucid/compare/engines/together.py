"""Runs in one stack, from the first batch to the last."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree

from relucid.compare.engines.losses import Judge, Quality
from relucid.compare.engines.optimizers import joined, keep
from relucid.compare.engines.rehearsal import alone, rehearse
from relucid.compare.engines.stack import Stack
from relucid.compare.experiment import Experiment, Job
from relucid.compare.learner import Learner
from relucid.compare.measure import mean
from relucid.compare.training import ending, failed, finished, prepare, train
from relucid.errors import RelucidError
from relucid.probes.batches import Batch
from relucid.records.comparison import Ending, Point, Trained

Report = Callable[[Job, Point], bool]


@dataclass
class _Run:
    job: Job
    learner: Learner
    curve: list[Point] = field(default_factory=list)
    seconds: float = 0.0


class Together:
    """Runs that are trained at once, made ready and rehearsed.

    Raises :class:`~relucid.errors.EngineError` for runs that cannot be stacked.
    """

    def __init__(self, experiment: Experiment, jobs: Sequence[Job]) -> None:
        begun = time.monotonic()
        self._experiment = experiment
        self._failing: list[Job] = []
        self._runs: list[_Run] = []
        self._losses = torch.empty(0)
        names = [choice.name for choice in experiment.choices]
        expected, loss = [], experiment.subject.loss
        for job in sorted(jobs, key=lambda job: names.index(job.candidate)):
            try:
                learner = prepare(experiment, job)
                expected.append(alone(learner, next(experiment.samples.in_order(job.seed)), loss))
            except RelucidError:
                self._failing.append(job)
            else:
                self._runs.append(_Run(job, learner))
        if self._runs:
            learners = [run.learner for run in self._runs]
            candidates = [run.job.candidate for run in self._runs]
            skeleton = prepare(experiment, self._runs[0].job).model
            models, seeds = zip(
                *((run.learner.model, run.job.seed) for run in self._runs), strict=True
            )
            self._stack = Stack(skeleton, models, candidates, seeds)
            self._optimizer = joined(learners, self._stack)
            first = self._batch({seed: next(order) for seed, order in self._orders().items()})
            rehearse(self._stack, learners, candidates, expected, first, loss)
            self._share(begun)

    def all(self, report: Report | None) -> Iterator[Trained]:
        """Train, and yield runs as they end."""
        for job in self._failing:  # by itself, so that it fails as it does there
            yield train(self._experiment, job, None if report is None else partial(report, job))
        if not self._runs:
            return
        stack, done = Learner(self._stack, self._optimizer), 0
        steps = stack.train(self._batches(), self._experiment.steps, self._total)
        for stage in (0, *self._experiment.stages()):
            begun, done = time.monotonic(), done + stage
            try:
                losses = [self._losses for _ in islice(steps, stage)]
                points = self._points(done, losses)
            except RelucidError as error:
                yield from (failed(r.job, r.curve, error, r.seconds) for r in self._runs)
                return
            self._share(begun)
            yield from self._over(points, report)
            if not self._runs:
                return
        for index, run in enumerate(self._runs):
            self._stack.put_back(index, run.learner.model)
            yield self._finished(run, Ending.COMPLETE, "")

    def _batches(self) -> Iterator[Batch]:
        """Yield what the stack is called with: the batch that each run has next."""
        orders, loss = self._orders(), self._experiment.subject.loss
        for step in range(self._experiment.steps):
            batch = self._batch({seed: next(order) for seed, order in orders.items()})
            yield Batch((Judge(loss, step), batch), {}, None)

    def _orders(self) -> dict[int, Iterator[Tensor]]:
        """The samples of each seed's batches, by number: in the order of a run by itself."""
        samples = self._experiment.samples
        numbers = Batch((torch.arange(samples.training_size),), {}, None)
        numbered = replace(samples, training=(numbers,))
        seeds = dict.fromkeys(run.job.seed for run in self._runs)
        return {seed: (b.args[0] for b in numbered.in_order(seed)) for seed in seeds}

    def _batch(self, chosen: Mapping[int, Tensor]) -> Batch:
        """Return the samples chosen for each seed as one batch of all runs, (models, ...)."""
        samples, each = (
            self._experiment.samples,
            torch.stack([chosen[r.job.seed] for r in self._runs]),
        )

        def of_all(x: Any) -> Any:
            if isinstance(x, Tensor) and x.ndim > 0 and len(x) == samples.training_size:
                return x[each.to(x.device)]
            return self._same(x)

        return Batch(*_pytree.tree_map(of_all, _parts(samples.training[0])))

    def _same(self, x: Any) -> Any:
        """Give a tensor to each run."""
        return x.expand(len(self._runs), *x.shape) if isinstance(x, Tensor) else x

    def _total(self, losses: Tensor, _: None) -> Tensor:
        """Return the sum of the models' losses: its gradient by a weight is that of its model's.

        A loss that is NaN makes those of no other model NaN: none reads another's values.
        """
        self._losses = losses.detach().flatten()
        return losses.sum()

    def _points(self, step: int, losses: list[Tensor]) -> list[Point]:
        """Measure all models, after training steps of these losses (models,)."""
        rows = mean(self._stack, self._experiment.samples, self._judged).tolist()
        trained = (
            torch.stack(losses).double().mean(0).tolist() if losses else [math.nan] * len(rows)
        )
        return [
            Point(step, loss, quality, training)
            for (loss, quality), training in zip(rows, trained, strict=True)
        ]

    def _judged(self, batch: Batch, index: int) -> Tensor:
        """Return loss and quality of each model on a held-out batch, (models, 2)."""
        judge = Quality(self._experiment.subject, index)
        said: Tensor = self._stack(judge, Batch(*_pytree.tree_map(self._same, _parts(batch))))
        return said

    def _over(self, points: Sequence[Point], report: Report | None) -> Iterator[Trained]:
        """Yield the runs that end at these points, and go on with the others."""
        ends = []
        for run, point in zip(self._runs, points, strict=True):
            run.curve.append(point)
            ends.append(ending(point, None if report is None else partial(report, run.job)))
        runs, on = self._runs, [i for i, end in enumerate(ends) if end[0] is Ending.COMPLETE]
        over = [
            (run, end) for run, end in zip(runs, ends, strict=True) if end[0] is not Ending.COMPLETE
        ]
        if over:
            gone = [run.learner.model for run, _ in over]
            keep(self._optimizer, self._stack, on, gone)
            self._runs = [runs[i] for i in on]
        for run, end in over:
            yield self._finished(run, *end)

    def _finished(self, run: _Run, end: Ending, why: str) -> Trained:
        try:
            return finished(
                self._experiment, run.job, run.learner, run.curve, end, why, run.seconds
            )
        except RelucidError as error:
            return failed(run.job, run.curve, error, run.seconds)

    def _share(self, begun: float) -> None:
        """Share the time since then out among the runs."""
        each = (time.monotonic() - begun) / len(self._runs)
        for run in self._runs:
            run.seconds += each


def _parts(batch: Batch) -> tuple[Any, ...]:
    return batch.args, dict(batch.kwargs), batch.target
