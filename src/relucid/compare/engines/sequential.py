"""One run after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from relucid.compare.experiment import Experiment, Job
from relucid.compare.training import train
from relucid.records.comparison import Point, Trained


def run(
    experiment: Experiment,
    jobs: Sequence[Job],
    *,
    report: Callable[[Job, Point], bool] | None = None,
) -> Iterator[Trained]:
    """Yield each run when it is over, in the order of the jobs.

    ``report`` is told each point of a curve, and says True where that run is to be given up.
    """
    for job in jobs:
        yield train(experiment, job, None if report is None else partial(report, job))
