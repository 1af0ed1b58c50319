"""Runs on a Ray cluster: one that is running, or one on this machine for the purpose."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from relucid.compare.engines.workers.answers import RETRIES, Failure, Report, given_up, told_once
from relucid.compare.engines.workers.cluster import HERE, connected, import_ray, shared_out
from relucid.compare.engines.workers.parcel import Parcel
from relucid.compare.engines.workers.settings import Settings
from relucid.compare.engines.workers.task import carry_out, mailbox, versions
from relucid.compare.experiment import Experiment, Job
from relucid.errors import EngineError
from relucid.records.comparison import Trained

if TYPE_CHECKING:
    from ray import ObjectRef

AHEAD = 2
"""Runs that are handed to Ray for each one that it can carry out at a time: one is under way and
one waits, so that no worker does."""


def run(
    experiment: Experiment,
    jobs: Sequence[Job],
    *,
    report: Report | None = None,
    address: str | None = None,
    gpus: float = 0.0,
) -> Iterator[Trained]:
    """Carry out jobs as tasks of a Ray cluster, and yield each run as it ends.

    A connection that this process has already is used and kept: call ``ray.init`` before for
    anything out of the ordinary. Else ``address`` (``auto`` for a cluster of this machine, or
    ``ray://host:10001``), else the environment's ``RAY_ADDRESS`` says where; without these a
    cluster is started on this machine, and ended with the runs.

    The experiment is sent once, and workers load the data of a subject that knows its source. They
    need the same versions of Python, torch and relucid. They look for the user's modules and
    files in the folders that they have here; to a cluster at ``ray://`` the current folder is
    sent, without what its ``.gitignore`` names.

    Processors are shared out: where there are fewer runs than processors a run gets several, as
    threads of torch. Results have the same bits as those of the sequential engine with that number
    of threads, on processors of one kind.

    A run whose worker or machine dies is begun again, up to two times, and then counts as failed.
    Ray's own retries are not used: of a task that is out of memory they are without end.

    Args:
        experiment: what is run.
        jobs: which of its runs.
        report: told each point of a run, in this process.
        address: of the cluster.
        gpus: graphics processors that a run takes, or the part of one. A running cluster shows
            none to runs that do not ask.

    Raises:
        MissingDependencyError: without Ray.
        EngineError: where the cluster cannot be reached, its workers are of other versions, or no
            machine of it has so many graphics processors.
        Exception: an error of the user's code, as it was raised, with the worker's traceback as a
            note.

    """
    import_ray()
    where = address or os.environ.get("RAY_ADDRESS") or HERE
    settings = Settings.here(threads=1)
    if where.startswith("ray://"):
        settings = replace(settings, folder=None)  # the one that was sent is the current one
    parcel = Parcel.of(experiment, settings)
    asked = None if report is None else told_once(report)
    return _results(parcel, jobs, asked, where, gpus)


def _results(
    parcel: Parcel, jobs: Sequence[Job], report: Report | None, where: str, gpus: float
) -> Iterator[Trained]:
    with connected(where, len(parcel.experiment)):
        yield from _Runs(parcel, jobs, report, gpus).results()


class _Runs:
    """What is still to be done, and what is under way."""

    def __init__(
        self, parcel: Parcel, jobs: Sequence[Job], report: Report | None, gpus: float
    ) -> None:
        ray = import_ray()
        threads, at_once = shared_out(ray.nodes(), len(jobs), gpus)
        self._limit = AHEAD * at_once
        self._parcel = ray.put(replace(parcel, settings=replace(parcel.settings, threads=threads)))
        self._task = ray.remote(carry_out).options(num_cpus=threads, num_gpus=gpus, max_retries=0)
        self._waiting = deque(jobs)
        self._under_way: dict[ObjectRef, Job] = {}
        self._deaths: Counter[Job] = Counter()
        self._report = report
        self._mailbox = None if report is None else mailbox()
        self._versions = versions()

    def results(self) -> Iterator[Trained]:
        ray = import_ray()
        question = [] if self._mailbox is None else [self._mailbox.question.remote()]
        try:
            while self._waiting or self._under_way:
                self._submit()
                (ready, *_), _ = ray.wait([*question, *self._under_way], num_returns=1)
                if ready in question:
                    question = [self._answered(ready)]
                    continue
                trained = self._taken(ready)
                if trained is not None:
                    self._submit()
                    yield trained
        finally:
            for reference in self._under_way:
                ray.cancel(reference, force=True)
            if self._mailbox is not None:
                # Ray prints a message on a mailbox that is killed with a question still open.
                self._mailbox.close.remote()
                ray.wait(question, timeout=5)
                ray.kill(self._mailbox)

    def _submit(self) -> None:
        while self._waiting and len(self._under_way) < self._limit:
            job = self._waiting.popleft()
            reference = self._task.remote([self._parcel], job, self._mailbox, self._versions)
            self._under_way[reference] = job

    def _answered(self, question: ObjectRef) -> ObjectRef:
        """Answer a worker's question, and return the next."""
        assert self._report is not None and self._mailbox is not None
        job, point = _got(question)
        self._mailbox.answer.remote(job, point, self._report(job, point))
        return cast("ObjectRef", self._mailbox.question.remote())

    def _taken(self, reference: ObjectRef) -> Trained | None:
        """Return a finished run, or None where it is to be begun again."""
        errors = import_ray().exceptions
        job = self._under_way.pop(reference)
        try:
            result = _got(reference)
        except (errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError) as error:
            self._deaths[job] += 1
            if self._deaths[job] > RETRIES:
                return given_up(job, self._deaths[job], _first_line(error))
            self._waiting.append(job)
            return None
        if isinstance(result, Failure):
            raise result.error()
        return cast(Trained, result)


def _got(reference: ObjectRef) -> Any:
    """Return what a reference stands for; of Ray's own errors only those of dead workers pass."""
    ray = import_ray()
    errors = ray.exceptions
    try:
        return ray.get(reference)
    except (errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError):
        raise
    except errors.RayError as error:
        cause = getattr(error, "cause", None) or error
        raise EngineError(
            f"the Ray cluster cannot carry out the runs ({type(cause).__name__}: "
            f"{_first_line(cause)}); its workers need relucid and torch of the versions "
            f"{versions()}"
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
