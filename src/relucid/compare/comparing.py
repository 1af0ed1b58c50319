"""A whole comparison: what was asked for, run by an engine, kept in a store, and ranked."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

import torch

from relucid.compare.advice import advice
from relucid.compare.choosing import Engine, chosen
from relucid.compare.cost import Cost, costs
from relucid.compare.experiment import Choice, Experiment, Job
from relucid.compare.halving import RULE, halving
from relucid.compare.learner import Learner, in_words
from relucid.compare.ranking import ranking
from relucid.compare.store import Store
from relucid.compare.training import placed, prepare
from relucid.errors import StoreError
from relucid.records.comparison import Candidate, Comparison, Trained

Progress = Callable[[int, int], object]
"""Told the runs that are done, and of how many."""


@dataclass(frozen=True)
class Way:
    """How a comparison is carried out; what decides its results is in the experiment."""

    engine: str = "auto"
    workers: int | None = None
    ray: str | None = None
    store: str | None = None
    prune: bool = False
    budget: float | None = None
    progress: Progress | None = None


def carry_out(experiment: Experiment, way: Way) -> Comparison:
    """Run what the store does not hold yet, and rank everything.

    At an interrupt (Ctrl-C), or where the budget of seconds is used up, what is done is ranked.
    """
    return _Comparing(experiment, way).all()


class _Comparing:
    def __init__(self, experiment: Experiment, way: Way) -> None:
        self._experiment, self._way = experiment, way
        self._store = Store.open(way.store, experiment)
        self._runs = self._wanted(self._store.done(pruned=way.prune))
        self._begun, self._stopped = time.monotonic(), ""

    def all(self) -> Comparison:
        """Run, measure and rank."""
        jobs = [job for job in self._experiment.jobs() if job not in self._runs]
        engine = chosen(self._experiment, jobs, self._way.engine, self._way.workers, self._way.ray)
        self._run(engine, jobs)
        return self._comparison(engine)

    def _wanted(self, done: dict[Job, Trained]) -> dict[Job, Trained]:
        return {job: done[job] for job in self._experiment.jobs() if job in done}

    def _run(self, engine: Engine, jobs: Sequence[Job]) -> None:
        done = self._store.done(pruned=True).values()  # in the order in which they ended
        report = halving(self._experiment, done) if self._way.prune else None
        self._tell()
        try:
            with closing(engine.run(self._experiment, jobs, report)) as runs:
                for trained in runs:
                    self._keep(trained)
                    if self._is_over():
                        self._stopped = f"its {self._way.budget:g} seconds were over"
                        break
        except KeyboardInterrupt:
            self._stopped = "it was interrupted"
        except StoreError as error:  # what was run is in memory still, and is ranked
            self._stopped = str(error)

    def _keep(self, trained: Trained) -> None:
        self._runs[Job(trained.candidate, trained.seed)] = trained
        self._store.add(trained)
        self._tell()

    def _tell(self) -> None:
        if self._way.progress is not None:
            self._way.progress(len(self._runs), len(self._experiment.jobs()))

    def _is_over(self) -> bool:
        budget = self._way.budget
        return budget is not None and time.monotonic() - self._begun > budget

    def _comparison(self, engine: Engine) -> Comparison:
        experiment, samples = self._experiment, self._experiment.samples
        candidates, metric = self._candidates(), experiment.subject.metric
        runs = tuple(self._runs[job] for job in experiment.jobs() if job in self._runs)
        standings = ranking(runs, candidates, experiment.baseline, metric)
        return Comparison(
            title=experiment.subject.name,
            metric=metric,
            baseline=experiment.baseline,
            candidates=candidates,
            runs=runs,
            standings=standings,
            advice=advice(standings, candidates, experiment.baseline, metric),
            seeds=experiment.seeds,
            steps=experiment.steps,
            batch=samples.batch,
            training=samples.training_size,
            held_out=samples.held_out_size,
            optimizer=in_words(self._first(), experiment.subject.optimizer is not None),
            engine=engine.why,
            pruned=RULE if self._way.prune else "",
            machine=_machine(),
            seconds=time.monotonic() - self._begun,
            stopped=self._stopped,
        )

    def _first(self) -> Learner:
        return prepare(self._experiment, Job(self._experiment.baseline, self._experiment.seeds[0]))

    def _candidates(self) -> tuple[Candidate, ...]:
        """What each candidate is and costs; costs are not measured where all was stopped."""
        choices = self._experiment.choices
        measured = {} if self._stopped else costs(self._experiment, choices)
        return tuple(self._candidate(choice, measured.get(choice.name)) for choice in choices)

    def _candidate(self, choice: Choice, cost: Cost | None) -> Candidate:
        put = placed(self._experiment, choice)
        return Candidate(
            name=choice.name,
            swapped=put.sites,
            refused=put.refused,
            gain=put.gain,
            milliseconds=None if cost is None else cost.milliseconds,
            kept=None if cost is None else cost.kept,
        )


def _machine() -> str:
    return f"{platform.machine()}, {torch.get_num_threads()} threads, PyTorch {torch.__version__}"
