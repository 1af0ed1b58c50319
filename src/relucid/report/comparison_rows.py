"""A comparison as the rows of tables, for data frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relucid.records.comparison import Comparison, Trained

Cell = str | int | float | bool


def comparison_rows(comparison: Comparison, *, points: bool = False) -> list[dict[str, Cell]]:
    """Return a row for each run, or with ``points`` one for each point of each curve.

    A run's row says how it ended, where it stood then, and what its candidate costs: losses,
    quality, dead units, sparsity and gradient are those at its end. ``quality`` is the metric of
    the comparison, ``training`` the mean loss of the training steps since the point before,
    ``milliseconds`` the time of a step and ``kept`` the bytes that one keeps. What is not known is
    NaN, so that a column has one type; ``steps`` of a run that never began is 0. Candidates come
    in the order of the ranking, seeds in theirs.
    """
    places = {standing.candidate: i for i, standing in enumerate(comparison.standings)}
    runs = sorted(comparison.runs, key=lambda run: (places[run.candidate], run.seed))
    return _point_rows(runs) if points else _run_rows(comparison, runs)


def _run_rows(comparison: Comparison, runs: Sequence[Trained]) -> list[dict[str, Cell]]:
    known = {candidate.name: candidate for candidate in comparison.candidates}
    return [
        {
            "candidate": run.candidate,
            "baseline": run.candidate == comparison.baseline,
            "seed": run.seed,
            "ending": run.ending.value,
            "steps": run.last.step if run.last else 0,
            "quality": run.last.quality if run.last else math.nan,
            "loss": run.last.loss if run.last else math.nan,
            "training": run.last.training if run.last else math.nan,
            "dead": _number(run.dead),
            "sparsity": _number(run.sparsity),
            "gradient": _number(run.gradient),
            "seconds": run.seconds,
            "milliseconds": _number(known[run.candidate].milliseconds),
            "kept": _number(known[run.candidate].kept),
            "why": run.why,
        }
        for run in runs
    ]


def _point_rows(runs: Sequence[Trained]) -> list[dict[str, Cell]]:
    return [
        {
            "candidate": run.candidate,
            "seed": run.seed,
            "step": point.step,
            "quality": point.quality,
            "loss": point.loss,
            "training": point.training,
        }
        for run in runs
        for point in run.curve
    ]


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
