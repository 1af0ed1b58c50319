"""Runs side by side, in processes of this machine.

A pool of multiprocessing or concurrent.futures is not used: where one worker is killed the one
waits for its result for ever, and the other ends all runs. Here each worker has pipes of its own,
so it is known which run it had. A worker is sent the experiment and then one job after the other on
its standard input, and answers on its standard output. Both speak pickle, which keeps every bit.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from queue import SimpleQueue

from relucid.compare.engines.workers.answers import RETRIES, Failure, Report, given_up, told_once
from relucid.compare.engines.workers.parcel import Parcel
from relucid.compare.engines.workers.process import Inbox, Message, Worker
from relucid.compare.engines.workers.settings import Settings
from relucid.compare.experiment import Experiment, Job
from relucid.errors import EngineError, ParameterError
from relucid.machine import cores
from relucid.records.comparison import Point, Trained


def run(
    experiment: Experiment,
    jobs: Sequence[Job],
    *,
    report: Report | None = None,
    workers: int | None = None,
) -> Iterator[Trained]:
    """Carry out jobs in ``workers`` processes (one a core), and yield each run as it ends.

    The cores are shared out: each worker computes with cores / workers threads of torch. Results
    have the same bits as those of the sequential engine with that number of threads; with another
    number sums are rounded otherwise, and losses differ from the last bits on.

    A run whose worker is killed is begun again, up to two times, and then counts as failed.
    Closing the iterator ends all workers at once; if this process is killed they end as well.
    Whatever the model prints goes to standard error.

    Raises:
        ParameterError: for less than one worker.
        EngineError: where the experiment cannot be sent to a process, or none can be started.
        Exception: an error of the user's code, as it was raised, with the worker's traceback as a
            note.

    """
    if workers is not None and workers < 1:
        raise ParameterError(f"workers must be at least 1, not {workers}")
    count = min(workers or cores(), len(jobs))
    settings = Settings.here(threads=max(1, cores() // max(1, count)))
    parcel = Parcel.of(experiment, settings)
    return _Crew(parcel, jobs, None if report is None else told_once(report)).results(count)


class _Crew:
    """The workers of a comparison and what is still to be done."""

    def __init__(self, parcel: Parcel, jobs: Sequence[Job], report: Report | None) -> None:
        self._parcel, self._report = parcel, report
        self._waiting, self._left = deque(jobs), len(jobs)
        self._workers: list[Worker] = []
        self._inbox: Inbox = SimpleQueue()
        self._deaths: Counter[Job | None] = Counter()
        """Of workers by the job they had; None is of those that had none yet."""

    def results(self, count: int) -> Iterator[Trained]:
        try:
            for _ in range(count):
                self._start()
            while self._left:
                trained = self._take(*self._inbox.get())
                if trained is not None:
                    self._left -= 1
                    yield trained
        finally:
            for worker in self._workers:
                worker.end()

    def _start(self) -> None:
        self._workers.append(Worker(self._parcel, self._report is not None, self._inbox))

    def _take(self, worker: Worker, message: Message) -> Trained | None:
        match message:
            case Point():
                assert self._report is not None and worker.job is not None
                worker.send(self._report(worker.job, message))
            case Failure():
                raise message.error()
            case None:
                return self._bury(worker)
            case _:
                worker.ready, worker.job = True, None
                self._next(worker)
                return message if isinstance(message, Trained) else None
        return None

    def _next(self, worker: Worker) -> None:
        if self._waiting:
            worker.job = self._waiting.popleft()
            worker.send(worker.job)

    def _bury(self, worker: Worker) -> Trained | None:
        """Let another worker begin the run of a dead one, at the end: the machine may be empty."""
        self._workers.remove(worker)
        reason = worker.end()
        self._deaths[worker.job] += 1
        spent = self._deaths[worker.job] > RETRIES
        if worker.job is None:
            self._replace(spent, reason)
            return None
        if not spent:
            self._waiting.append(worker.job)
        self._replace(False, reason)
        return given_up(worker.job, self._deaths[worker.job], f"it {reason}") if spent else None

    def _replace(self, spent: bool, reason: str) -> None:
        """See that what waits is done, unless too many workers died before they had a job."""
        if not self._waiting:
            return
        idle = [worker for worker in self._workers if worker.ready and worker.job is None]
        if idle:
            self._next(idle[0])
        elif not spent:
            self._start()
        elif not self._workers:
            raise EngineError(
                f"worker processes die before they train anything; the last {reason}. What they "
                "said is above; compare with engine='sequential' to see the error itself"
            )
