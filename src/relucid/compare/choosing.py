"""Which engine carries out an experiment, and why."""

from __future__ import annotations

import math
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
    at_once: bool = False
    """Whether runs end together, however many they are."""
    tells: bool = True
    """Whether it costs next to nothing to be told each point of a curve."""


def chosen(
    experiment: Experiment,
    jobs: Sequence[Job],
    name: str,
    workers: int | None,
    ray: str | None,
    gpus: float = 0.0,
) -> Engine:
    """Return the engine of this name, or for ``auto`` the fastest that can run this.

    Raises :class:`~relucid.errors.EngineError` where a forced one cannot, with the reason.
    """
    if name not in ENGINES:
        raise ParameterError(f"engine must be one of {', '.join(ENGINES)}, not {name!r}")
    is_ray = name == "ray" or (name == "auto" and ray is not None)
    _check_gpus(gpus, is_ray)
    if is_ray:
        from relucid.compare.engines.ray import run as on_ray

        where = "a local Ray cluster" if ray is None else f"the Ray cluster {ray}"
        return Engine(partial(_given, on_ray, address=ray, gpus=gpus), f"on {where}", tells=False)
    if name == "sequential":
        return _sequential("one after the other, as asked")
    if name == "processes":
        return _processes(workers, "in processes of their own, as asked")
    return _stacked_or(experiment, jobs, name, workers)


def _check_gpus(gpus: float, is_ray: bool) -> None:
    if not 0.0 <= gpus < math.inf or (gpus > 1.0 and gpus != int(gpus)):
        raise ParameterError(
            f"gpus must be a part of one graphics processor or a whole number, not {gpus}"
        )
    if gpus and not is_ray:
        raise ParameterError(
            "gpus says what a run takes on a Ray cluster; give ray= its address too, or leave it "
            "out: the other engines compute where the builder puts the model"
        )


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
    return Engine(partial(_given, stacked), "all at once, as one stacked network", at_once=True)


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
