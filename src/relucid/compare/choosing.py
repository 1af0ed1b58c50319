"""Which engine carries out an experiment, and why."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from relucid.compare.experiment import Experiment, Job
from relucid.errors import EngineError, ParameterError
from relucid.machine import cores
from relucid.records.comparison import Point, Trained

ENGINES = ("auto", "stacked", "processes", "ray", "sequential")

Report = Callable[[Job, Point], bool]


@dataclass(frozen=True)
class Engine:
    """What runs the jobs; ``why`` says in words which it is, and why that one."""

    run: Callable[[Experiment, Sequence[Job], Report | None], Generator[Trained]]
    why: str


def chosen(
    experiment: Experiment, jobs: Sequence[Job], name: str, workers: int | None, ray: str | None
) -> Engine:
    """Return the engine of this name, or for ``auto`` the fastest that can run this.

    Raises :class:`~relucid.errors.EngineError` where a forced one cannot, with the reason.
    """
    if name not in ENGINES:
        raise ParameterError(f"engine must be one of {', '.join(ENGINES)}, not {name!r}")
    if name == "ray" or (name == "auto" and ray is not None):
        from relucid.compare.engines.ray import run as on_ray

        where = "a local Ray cluster" if ray is None else f"the Ray cluster {ray}"
        return Engine(partial(_given, on_ray, address=ray), f"on {where}")
    if name == "sequential":
        return _sequential("one after the other, as asked")
    if name == "processes":
        return _processes(workers, "in processes of their own, as asked")
    return _stacked_or(experiment, jobs, name, workers)


def _stacked_or(
    experiment: Experiment, jobs: Sequence[Job], name: str, workers: int | None
) -> Engine:
    from relucid.compare.engines.stacked import check
    from relucid.compare.engines.stacked import run as stacked

    try:
        check(experiment, jobs)
    except EngineError as reason:
        if name == "stacked":
            raise
        if len(jobs) < 2 or (workers or cores()) < 2:
            return _sequential(f"one after the other: {reason}")
        return _processes(workers, f"in processes of their own: {reason}")
    return Engine(partial(_given, stacked), "all at once, as one stacked network")


def _processes(workers: int | None, why: str) -> Engine:
    from relucid.compare.engines.processes import run

    return Engine(partial(_given, run, workers=workers), why)


def _sequential(why: str) -> Engine:
    from relucid.compare.engines.sequential import run

    return Engine(partial(_given, run), why)


def _given(
    run: Callable[..., Iterator[Trained]],
    experiment: Experiment,
    jobs: Sequence[Job],
    report: Report | None,
    **options: object,
) -> Generator[Trained]:
    yield from run(experiment, jobs, report=report, **options)
