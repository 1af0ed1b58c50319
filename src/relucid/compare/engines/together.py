"""Runs in one stack, from the first batch to the last."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree

from relucid.compare.engines.optimizers import joined, keep
from relucid.compare.engines.rehearsal import alone, rehearse
from relucid.compare.engines.stack import Stack
from relucid.compare.experiment import Experiment, Job
from relucid.compare.learner import Learner
from relucid.compare.measure import judged, mean
from relucid.compare.training import ending, failed, finished, prepare, train
from relucid.errors import RelucidError
from relucid.probes.batches import Batch
from relucid.probes.observe import checked_loss
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
        firsts = {job.seed: next(experiment.samples.in_order(job.seed)) for job in jobs}
        expected, loss = [], experiment.subject.loss
        for job in sorted(jobs, key=lambda job: names.index(job.candidate)):
            try:
                learner = prepare(experiment, job)
                expected.append(alone(learner, firsts[job.seed], loss))
            except RelucidError:
                self._failing.append(job)
            else:
                self._runs.append(_Run(job, learner))
        if self._runs:
            learners = [run.learner for run in self._runs]
            candidates = [run.job.candidate for run in self._runs]
            skeleton = prepare(experiment, self._runs[0].job).model
            self._stack = Stack(skeleton, [learner.model for learner in learners], candidates)
            self._optimizer = joined(learners, self._stack)
            rehearse(self._stack, learners, candidates, expected, self._of_each_seed(firsts), loss)
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
        samples, loss = self._experiment.samples, self._experiment.subject.loss
        orders = {run.job.seed: samples.in_order(run.job.seed) for run in self._runs}
        for step in range(self._experiment.steps):

            def judge(output: Any, target: Any, step: int = step) -> Tensor:
                return checked_loss(loss, output, target, step)

            batch = self._of_each_seed({seed: next(order) for seed, order in orders.items()})
            yield Batch((judge, batch), {}, None)

    def _of_each_seed(self, batches: dict[int, Batch]) -> Batch:
        """Stack the batches of the runs: (models, ...); those of one seed share one."""
        seeds = list(batches)
        which = torch.tensor([seeds.index(run.job.seed) for run in self._runs])
        parts = [_pytree.tree_flatten(_parts(batch)) for batch in batches.values()]
        leaves = [
            torch.stack(same)[which.to(same[0].device)] if isinstance(same[0], Tensor) else same[0]
            for same in zip(*(leaves for leaves, _ in parts), strict=True)
        ]
        return Batch(*_pytree.tree_unflatten(leaves, parts[0][1]))

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

        def judge(output: Any, target: Any) -> Tensor:
            return judged(self._experiment.subject, output, target, index)

        def for_all(x: Any) -> Any:
            return x.expand(len(self._runs), *x.shape) if isinstance(x, Tensor) else x

        said: Tensor = self._stack(judge, Batch(*_pytree.tree_map(for_all, _parts(batch))))
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
