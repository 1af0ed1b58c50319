"""A whole comparison: what was asked for, run by an engine, kept in a store, and ranked."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass

import torch

from relucid.compare.advice import advice
from relucid.compare.choosing import Engine, Report, chosen
from relucid.compare.cost import Cost, costs
from relucid.compare.experiment import Experiment, Job
from relucid.compare.halving import RULE, halving
from relucid.compare.learner import Learner, in_words
from relucid.compare.ranking import ranking
from relucid.compare.store import Store
from relucid.compare.training import Placed, prepared
from relucid.errors import RelucidError, StoreError
from relucid.records.comparison import Candidate, Comparison, Point, Trained
from relucid.report.words import plural

Progress = Callable[[float, int], object]
"""Told the runs that are done, those under way in part, and of how many."""
INTERRUPTED = "it was interrupted"
OVER = "were over"
"""How the reason ends for which a comparison within a budget does."""


@dataclass(frozen=True)
class Way:
    """How a comparison is carried out; what decides its results is in the experiment."""

    engine: str = "auto"
    workers: int | None = None
    ray: str | None = None
    gpus: float = 0.0
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
        self._under_way: dict[Job, float] = {}
        self._begun, self._stopped = time.monotonic(), ""

    def all(self) -> Comparison:
        """Run, measure and rank."""
        jobs = [job for job in self._experiment.jobs() if job not in self._runs]
        way = self._way
        engine = chosen(self._experiment, jobs, way.engine, way.workers, way.ray, way.gpus)
        self._run(engine, jobs)
        return self._comparison(engine)

    def _wanted(self, done: dict[Job, Trained]) -> dict[Job, Trained]:
        return {job: done[job] for job in self._experiment.jobs() if job in done}

    def _run(self, engine: Engine, jobs: Sequence[Job]) -> None:
        report = self._report() if engine.tells or self._way.prune else None
        self._tell()
        try:
            for part in self._parts(engine, jobs):
                self._train(engine, part, report)
                if self._is_over():
                    self._stopped = f"its {self._way.budget:g} seconds {OVER}"
                if self._stopped:
                    break
        except KeyboardInterrupt:
            self._stopped = INTERRUPTED
        except StoreError as error:  # what was run is in memory still, and is ranked
            self._stopped = str(error)

    def _parts(self, engine: Engine, jobs: Sequence[Job]) -> list[list[Job]]:
        """Return all jobs, or within a budget those of each seed where they end together."""
        if engine.at_once and self._way.budget is not None:
            seeds = dict.fromkeys(job.seed for job in jobs)
            return [[job for job in jobs if job.seed == seed] for seed in seeds]
        return [list(jobs)] if jobs else []

    def _train(self, engine: Engine, jobs: Sequence[Job], report: Report | None) -> None:
        with closing(engine.run(self._experiment, jobs, report)) as runs:
            for trained in runs:
                self._keep(trained, engine)
                if self._is_over() and not engine.at_once:
                    break

    def _report(self) -> Report:
        """Return what is told each point of a curve, and says whether the run is hopeless."""
        done = self._store.done(pruned=True).values()  # in the order in which they ended
        judge = halving(self._experiment, done) if self._way.prune else None

        def report(job: Job, point: Point) -> bool:
            if point.step < self._experiment.steps:
                self._under_way[job] = point.step / self._experiment.steps
                self._tell()
            return judge is not None and judge(job, point)

        return report

    def _keep(self, trained: Trained, engine: Engine) -> None:
        job = Job(trained.candidate, trained.seed)
        self._runs[job] = trained
        self._under_way.pop(job, None)
        try:
            if not self._stopped:
                self._store.add(trained)
        except StoreError as error:
            if not engine.at_once:
                raise
            self._stopped = str(error)  # and go on: the others are trained already
        self._tell()

    def _tell(self) -> None:
        if self._way.progress is not None:
            done = len(self._runs) + sum(self._under_way.values())
            self._way.progress(done, len(self._experiment.jobs()))

    def _is_over(self) -> bool:
        budget, left = self._way.budget, len(self._experiment.jobs()) - len(self._runs)
        return budget is not None and left > 0 and time.monotonic() - self._begun > budget

    def _comparison(self, engine: Engine) -> Comparison:
        experiment, samples = self._experiment, self._experiment.samples
        built, metric = self._built(), experiment.subject.metric
        first, _ = built[experiment.baseline]
        optimizer = in_words(first, experiment.subject.optimizer is not None)
        candidates = self._candidates(built)
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
            optimizer=optimizer,
            engine=engine.why,
            pruned=RULE if self._way.prune else "",
            machine=_machine(),
            seconds=time.monotonic() - self._begun,
            stopped=self._stopped,
        )

    def _built(self) -> dict[str, tuple[Learner, Placed]]:
        """Build each candidate once more; one that cannot be built has failed in all its runs."""
        built = {}
        for choice in self._experiment.choices:
            with suppress(RelucidError):
                job = Job(choice.name, self._experiment.seeds[0])
                built[choice.name] = prepared(self._experiment, job)
        return built

    def _candidates(self, built: dict[str, tuple[Learner, Placed]]) -> tuple[Candidate, ...]:
        """What each candidate is and costs; costs are not measured where all was stopped."""
        learners = {name: learner for name, (learner, _) in built.items()}
        measured = {} if self._stopped else costs(self._experiment, learners)
        places = {name: placed for name, (_, placed) in built.items()}
        names = (choice.name for choice in self._experiment.choices)
        return tuple(
            _candidate(name, places.get(name, Placed(0)), measured.get(name)) for name in names
        )


def _candidate(name: str, placed: Placed, cost: Cost | None) -> Candidate:
    return Candidate(
        name=name,
        swapped=placed.sites,
        refused=placed.refused,
        gain=placed.gain,
        milliseconds=None if cost is None else cost.milliseconds,
        kept=None if cost is None else cost.kept,
    )


def _machine() -> str:
    threads = plural(torch.get_num_threads(), "thread")
    return f"{platform.machine()}, {threads}, PyTorch {torch.__version__}"
