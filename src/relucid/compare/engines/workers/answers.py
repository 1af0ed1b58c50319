"""What comes back from workers in other processes, and what is done where one dies."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import cloudpickle

from relucid.compare.experiment import Job
from relucid.errors import EngineError
from relucid.records.comparison import Ending, Point, Trained

RETRIES = 2
"""How often a run is begun again whose worker died under it."""

Report = Callable[[Job, Point], bool]
"""Told each point of a run; says True where the run is to be given up as hopeless."""


@dataclass(frozen=True)
class Failure:
    """An error in a worker, to be raised where the runs were asked for."""

    pickled: bytes
    words: str
    traceback: str

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """Pack an error with its traceback."""
        words = f"{type(error).__name__}: {error}"
        told = "".join(traceback.format_exception(error))
        try:
            return cls(cloudpickle.dumps(error), words, told)
        except Exception:  # it holds what cannot be sent: its words and traceback are
            return cls(b"", words, told)

    def error(self) -> Exception:
        """Return the error, with the worker's traceback as a note."""
        try:
            error = pickle.loads(self.pickled)
        except Exception:  # EOFError of none, or whatever an exception's own __init__ raises
            error = EngineError(f"a run ended with {self.words}")
        error.add_note(f"In a worker process:\n{self.traceback}")
        return cast(Exception, error)


def told_once(report: Report) -> Report:
    """Ask only once for each point: a run that is begun again passes the same ones again."""
    answers: dict[tuple[Job, int], bool] = {}

    def tell(job: Job, point: Point) -> bool:
        key = (job, point.step)
        if key not in answers:
            answers[key] = report(job, point)
        return answers[key]

    return tell


def given_up(job: Job, deaths: int, reason: str) -> Trained:
    """Return the record of a run whose worker died each time that it was begun."""
    why = f"its worker died {deaths} times: {reason}"
    return Trained(job.candidate, job.seed, Ending.FAILED, why=why)
