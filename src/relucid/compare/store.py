"""The store of a comparison's runs: Optuna's storage, which outlives the process."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from datetime import timedelta
from os import PathLike
from typing import TYPE_CHECKING

from relucid.compare.described import digest
from relucid.compare.experiment import Experiment, Job
from relucid.compare.fingerprint import deciding, made_of
from relucid.compare.storage import Place, opened, place_of, told
from relucid.errors import StoreError
from relucid.records.comparison import Ending, Metric, Trained
from relucid.records.serialise import decode, encode

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial, TrialState

FORMAT = 1
"""Version of what is kept. To be raised where a record reads otherwise, and where relucid trains
otherwise: it stands for relucid's own code, which the fingerprint of an experiment leaves out."""
_RANK = {Ending.FAILED: 0, Ending.PRUNED: 1, Ending.DIVERGED: 2, Ending.COMPLETE: 2}
"""Of two runs of one job that one counts which got further, and the first of equals."""
_SHOWN = ("ending", "why", "dead", "sparsity", "gradient")
"""Of a record, what the dashboard has columns for."""
_TITLE = 80


@dataclass(frozen=True)
class _Kept:
    """A run as it was read, and what its candidate was made of."""

    record: Trained
    made_of: str

    @property
    def job(self) -> Job:
        return Job(self.record.candidate, self.record.seed)

    @property
    def rank(self) -> int:
        return _RANK[self.record.ending]


class Store:
    """The finished runs of one experiment, in a SQLite file or a PostgreSQL database.

    An experiment with its candidates is a study of Optuna, whose dashboard shows it
    (``optuna-dashboard sqlite:///FILE``): a run is a trial with its candidate and seed, its quality
    along the curve and at the end. Many experiments live in one store, and do not meet.

    The study is named after the subject and a fingerprint of what decides the results (see
    :func:`relucid.compare.fingerprint.deciding`); seeds and candidates are no part of that
    fingerprint. Optuna fixes the choices of a study once and for all, so another set of candidates
    is another study, which takes over the runs of its own candidates from those of the same
    fingerprint when it is opened. Runs by the same ``FORMAT`` of relucid are taken to be equal,
    whatever its version; those of another are refused.

    A run is written in one transaction: it is there as a whole or not at all, whenever the process
    is killed. It is not written where it is there already. Two processes that run the same
    experiment at the same time may yet both write it; then the first counts.
    """

    def __init__(self, study: Study, place: Place, experiment: Experiment) -> None:
        self._study, self._place = study, place
        self._seeds = experiment.seeds
        self._made_of = {choice.name: made_of(choice) for choice in experiment.choices}
        self._runs: dict[int, _Kept] = {}

    @classmethod
    def open(cls, where: str | PathLike[str] | None, experiment: Experiment) -> Store:
        """Open the store at a path or URL, and make it where there is none.

        ``where`` is the path of a SQLite file, ``sqlite:///FILE`` or
        ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE``; None is what the environment variable
        ``RELUCID_STORE`` names, or ``comparisons.db`` in the user's data folder.

        Raises:
            StoreError: where it cannot be opened, or holds runs of this experiment that another
                version of relucid kept.
            MissingDependencyError: without the driver of the database.

        """
        place = place_of(where)
        parts, storage = deciding(experiment), opened(place)
        with told(place, f"the store {place.shown} cannot be used"):
            study, others = _studies(storage, place, experiment, parts)
        store = cls(study, place, experiment)
        for other in others:
            for trained in cls(other, place, experiment).done(pruned=True).values():
                store.add(trained)
        return store

    def done(self, *, pruned: bool = False) -> dict[Job, Trained]:
        """Return the runs that need not be done again, in the order in which they were kept.

        A failed run is not among them: what failed may have been the machine. A run that was given
        up early is, where that is wanted again (``pruned``).
        """
        with told(self._place, f"the store {self._place.shown} cannot be read"):
            kept = self._kept()
        least = _RANK[Ending.PRUNED if pruned else Ending.COMPLETE]
        return {job: run.record for job, run in kept.items() if run.rank >= least}

    def add(self, trained: Trained) -> None:
        """Keep a run, unless one of the same job is there that got as far.

        Raises :class:`~relucid.errors.StoreError` where it cannot be written; what was kept before
        is there still, and the same comparison goes on from it.
        """
        job, trial = Job(trained.candidate, trained.seed), self._trial(trained)
        what = (
            f"the run of {job.candidate} from seed {job.seed} cannot be written to the store "
            f"{self._place.shown}, which keeps the runs before it"
        )
        with told(self._place, what):
            there = self._kept().get(job)
            if there is None or there.rank < _RANK[trained.ending]:
                self._study.add_trial(trial)

    def _kept(self) -> dict[Job, _Kept]:
        """Return the one run of each job that counts, of this experiment's candidates."""
        kept: dict[Job, _Kept] = {}
        for trial in self._study.get_trials(deepcopy=False):
            run = self._read(trial)
            if run is None or self._made_of.get(run.job.candidate) != run.made_of:
                continue
            if run.job not in kept or kept[run.job].rank < run.rank:
                kept[run.job] = run
        return kept

    def _read(self, trial: FrozenTrial) -> _Kept | None:
        """Read a trial, once; None is one that relucid did not make."""
        if trial.number not in self._runs and "record" in trial.user_attrs:
            try:
                record: Trained = decode(Trained, trial.user_attrs["record"])
            except (KeyError, OverflowError, TypeError, ValueError) as error:
                raise StoreError(
                    f"trial {trial.number} of {self._study.study_name!r} in the store "
                    f"{self._place.shown} is damaged ({error!r}); delete that study, or name "
                    "another store"
                ) from error
            self._runs[trial.number] = _Kept(record, trial.user_attrs.get("made of", ""))
        return self._runs.get(trial.number)

    def _trial(self, trained: Trained) -> FrozenTrial:
        from optuna.trial import TrialState, create_trial

        record, state, last = encode(trained), _state(trained), trained.last
        shown = {name: record[name] for name in _SHOWN if record[name] not in (None, "")}
        made = self._made_of[trained.candidate]
        trial = create_trial(
            state=state,
            value=None if last is None or state is TrialState.FAIL else last.quality,
            params={"candidate": trained.candidate, "seed": _nearest(trained.seed)},
            distributions=self._distributions(trained.seed),
            intermediate_values={point.step: point.quality for point in trained.curve},
            user_attrs={**shown, "made of": made, "record": record},
        )
        assert trial.datetime_complete is not None
        trial.datetime_start = trial.datetime_complete - timedelta(seconds=trained.seconds)
        return trial

    def _distributions(self, seed: int) -> dict[str, BaseDistribution]:
        from optuna.distributions import CategoricalDistribution, IntDistribution

        seeds = [_nearest(number) for number in (*self._seeds, seed)]
        return {
            "candidate": CategoricalDistribution(sorted(self._made_of)),
            "seed": IntDistribution(min(seeds), max(seeds)),
        }


def _studies(
    storage: RDBStorage, place: Place, experiment: Experiment, parts: dict[str, str]
) -> tuple[Study, list[Study]]:
    """Return the study of an experiment, and those of the same with other candidates."""
    import optuna

    mark = digest(parts)
    name = _name(experiment, mark)
    others = [n for n in optuna.get_all_study_names(storage) if f"({mark}-" in n and n != name]
    metric = experiment.subject.metric
    study = optuna.create_study(
        storage=storage,
        study_name=name,
        direction="maximize" if metric == "accuracy" else "minimize",
        load_if_exists=True,
    )
    rest = [optuna.load_study(study_name=name, storage=storage) for name in others]
    for one in (study, *rest):
        _check(one, place)
    _label(study, parts, metric)
    return study, rest


def _name(experiment: Experiment, mark: str) -> str:
    """Name a study for people, and so that the name is that of one experiment only.

    The name is what is there from the first moment; labels come in transactions of their own.
    """
    title = "".join(c if c.isprintable() else " " for c in experiment.subject.name)[:_TITLE]
    made = sorted((choice.name, made_of(choice)) for choice in experiment.choices)
    return f"{title}: {len(made)} activations ({mark}-{digest(made)[:6]})"


def _check(study: Study, place: Place) -> None:
    version = study.user_attrs.get("relucid", FORMAT)  # none yet: it has no runs
    if version != FORMAT:
        raise StoreError(
            f"the store {place.shown} holds runs of this comparison that another version of "
            f"relucid kept (format {version!r}, and this one reads {FORMAT}); use that version, or "
            "name another store"
        )


def _label(study: Study, parts: dict[str, str], metric: Metric) -> None:
    from optuna.exceptions import ExperimentalWarning

    labels = {"relucid": FORMAT, "decided by": parts}
    for key in labels.keys() - study.user_attrs.keys():
        study.set_user_attr(key, labels[key])
    if study.metric_names is None:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", r".*set_metric_names is experimental", ExperimentalWarning
            )
            study.set_metric_names([metric])


def _state(trained: Trained) -> TrialState:
    """Return Optuna's word for how a run ended; it has no complete trials without a value."""
    from optuna.trial import TrialState

    if trained.last is None or math.isnan(trained.last.quality):
        return TrialState.FAIL
    if trained.ending is Ending.PRUNED:
        return TrialState.PRUNED
    return TrialState.COMPLETE if trained.ending is Ending.COMPLETE else TrialState.FAIL


def _nearest(seed: int) -> int:
    """Return the number that a database has for a seed: it holds parameters as float64."""
    return int(float(seed))
