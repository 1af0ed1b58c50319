"""Early stop of the hopeless: successive halving, by Optuna's pruner."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from relucid.compare.experiment import Experiment, Job
from relucid.compare.storage import quiet
from relucid.records.comparison import Point, Trained

if TYPE_CHECKING:
    from optuna import Study, Trial

RULE = (
    "at a quarter and at half of the steps a run went on only where it was in the better half of "
    "those that had got there; runs of the baseline always went on"
)
"""What is done, in words."""
KEPT = 2
"""One in so many goes on: the least that there is. Optuna's own 4 would leave one run in 16."""
RUNGS = 2
"""How often a run is judged. Earlier than a quarter, a curve says little of its end."""


def halving(experiment: Experiment, done: Iterable[Trained] = ()) -> Callable[[Job, Point], bool]:
    """Return what an engine tells each point of a curve, and which says where a run is hopeless.

    It follows Jamieson and Talwalkar 2016 in the asynchronous form of Li et al. 2020
    (:class:`optuna.pruners.SuccessiveHalvingPruner`): a run is judged when it gets to a rung, among
    all candidates and seeds that have got there, and need not wait for the others. The first to
    come are judged by few; the best so far always goes on. The same reports in the same order have
    the same answers. Runs of the baseline count, and are never given up: all are compared with
    them.

    ``done`` are the runs of earlier sittings, in the order in which they were finished: with
    them a resumed comparison judges as one that was never interrupted.

    The pruner works on a study in memory. In the store's own study a run would have to be there
    while it is under way, and one that is killed would stay there as running for ever.
    """
    judge = _Judge(experiment)
    for trained in done:
        for point in trained.curve:
            judge(Job(trained.candidate, trained.seed), point)
    return judge


class _Judge:
    def __init__(self, experiment: Experiment) -> None:
        self._baseline, self._steps = experiment.baseline, experiment.steps
        self._study = _study(experiment)
        self._trials: dict[Job, Trial] = {}
        self._told: dict[Job, int] = {}

    def __call__(self, job: Job, point: Point) -> bool:
        """Take a point, and say whether its run is hopeless."""
        if point.step >= self._steps or point.step <= self._told.get(job, -1):
            return False  # at its end anyway, or begun anew by an engine that had lost it
        self._told[job] = point.step
        if job not in self._trials:
            self._trials[job] = self._study.ask()
        trial = self._trials[job]
        trial.report(point.quality, point.step)
        return trial.should_prune() and job.candidate != self._baseline


def _study(experiment: Experiment) -> Study:
    import optuna

    # Rounded up, so that no rung but the end lies behind the last.
    first = -(-experiment.steps // KEPT**RUNGS)
    with quiet():
        return optuna.create_study(
            direction="maximize" if experiment.subject.metric == "accuracy" else "minimize",
            sampler=optuna.samplers.RandomSampler(),  # it is never asked; others load more
            pruner=optuna.pruners.SuccessiveHalvingPruner(first, KEPT),
        )
