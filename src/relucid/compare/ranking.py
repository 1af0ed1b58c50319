"""From runs to a ranking: means, paired differences to the baseline, and the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from relucid.compare.statistics import paired
from relucid.records import Difference
from relucid.records.comparison import (
    Candidate,
    Ending,
    Metric,
    Standing,
    Trained,
    Verdict,
)

MARGIN: dict[Metric, float] = {"accuracy": 0.005, "loss": 0.01}
"""Differences that are too small to matter: half a point of accuracy, a hundredth of the loss."""
POWER = 0.8
"""Probability with which so many seeds as are said to be needed would show a difference."""
MOST = 10_000
"""Seeds beyond which it is not said how many would be needed."""


def ranking(
    runs: Sequence[Trained], candidates: Sequence[Candidate], baseline: str, metric: Metric
) -> tuple[Standing, ...]:
    """Rank the candidates by their mean difference to the baseline, the best first.

    Runs of one seed are compared with each other. A run that diverged counts: as an infinite loss,
    or with the accuracy that it ended at. A candidate of which a run was given up as hopeless is
    not compared, and comes after those that are: which of its runs went on was decided by how well
    they did, so that a mean over them flatters it. What is said of the others is no less sure than
    without giving up: it would have been said of the same runs then.
    """
    own = _by_seed(runs, baseline)
    others = [c.name for c in candidates if c.name != baseline]
    found = [_standing(c, runs, own, baseline, metric, len(others)) for c in candidates]
    front = _front(found, candidates, metric)
    placed = sorted(found, key=lambda standing: _place(standing, metric))
    return tuple(replace(standing, pareto=standing.candidate in front) for standing in placed)


def _standing(
    candidate: Candidate,
    runs: Sequence[Trained],
    own: dict[int, Trained],
    baseline: str,
    metric: Metric,
    comparisons: int,
) -> Standing:
    its = _by_seed(runs, candidate.name)
    pruned = sum(run.ending is Ending.PRUNED for run in its.values())
    complete = [run for run in its.values() if run.ending is Ending.COMPLETE and not pruned]
    ends = [run.curve[-1].quality for run in complete]
    difference = None
    if candidate.name != baseline and not pruned:
        difference = _difference(its, own, metric, comparisons)
    return Standing(
        candidate=candidate.name,
        runs=sum(_counts(run) for run in its.values()),
        diverged=sum(run.ending is Ending.DIVERGED for run in its.values()),
        failed=sum(run.ending is Ending.FAILED for run in its.values()),
        quality=_mean(ends),
        spread=float(np.std(ends, ddof=1)) if len(ends) > 1 else math.nan,
        area=_mean(area(run) for run in complete),
        verdict=_verdict(candidate.name == baseline, pruned, difference, metric),
        difference=difference,
        needed=_needed(its, own, metric, comparisons, difference),
        dead=_known(run.dead for run in complete),
        sparsity=_known(run.sparsity for run in complete),
        gradient=_known(run.gradient for run in complete),
        pruned=pruned,
    )


def _by_seed(runs: Iterable[Trained], candidate: str) -> dict[int, Trained]:
    return {run.seed: run for run in runs if run.candidate == candidate}


def _counts(run: Trained) -> bool:
    """Whether a run has an end that can be compared."""
    return run.ending in (Ending.COMPLETE, Ending.DIVERGED) and bool(run.curve)


def area(run: Trained) -> float:
    """Return the mean of the metric over a training: the area under its curve over its length."""
    steps = [point.step for point in run.curve]
    if len(steps) < 2:
        return math.nan
    heights = [point.quality for point in run.curve]
    return float(np.trapezoid(heights, steps)) / (steps[-1] - steps[0])


def _pairs(its: dict[int, Trained], own: dict[int, Trained]) -> tuple[list[float], list[float]]:
    """Return the ends of both on the seeds that both have."""
    seeds = [s for s, run in its.items() if _counts(run) and s in own and _counts(own[s])]
    return [_end(its[s]) for s in seeds], [_end(own[s]) for s in seeds]


def _end(run: Trained) -> float:
    return run.curve[-1].quality


def _scale(metric: Metric) -> Literal["ratio", "difference"]:
    return "ratio" if metric == "loss" else "difference"


def _difference(
    its: dict[int, Trained], own: dict[int, Trained], metric: Metric, comparisons: int
) -> Difference | None:
    changed, untouched = _pairs(its, own)
    if not changed:
        return None
    return paired(changed, untouched, comparisons=comparisons, scale=_scale(metric))


def _verdict(
    is_baseline: bool, pruned: int, difference: Difference | None, metric: Metric
) -> Verdict:
    if is_baseline:
        return Verdict.BASELINE
    if pruned:
        return Verdict.GIVEN_UP
    if difference is None:
        return Verdict.NOT_RUN
    if difference.excludes_no_difference:
        lower = difference.high < difference.neutral
        return Verdict.BETTER if lower == (metric == "loss") else Verdict.WORSE
    margin = MARGIN[metric]
    within = max(
        abs(difference.low - difference.neutral), abs(difference.high - difference.neutral)
    )
    return Verdict.SAME if within <= margin else Verdict.NOT_SHOWN


def _needed(
    its: dict[int, Trained],
    own: dict[int, Trained],
    metric: Metric,
    comparisons: int,
    difference: Difference | None,
) -> int | None:
    """Seeds with which a difference of this size and spread is shown with a probability of 80%."""
    if difference is None or difference.excludes_no_difference:
        return None
    changed, untouched = _pairs(its, own)
    gaps = [_gap(a, b, metric) for a, b in zip(changed, untouched, strict=True)]
    if len(gaps) < 2 or not all(map(math.isfinite, gaps)):
        return None
    effect = abs(float(np.mean(gaps))) / max(float(np.std(gaps, ddof=1)), 1e-300)
    return needed(effect, difference.confidence)


def _gap(a: float, b: float, metric: Metric) -> float:
    return a - b if metric == "accuracy" else 2.0 * (a - b) / (a + b) if a + b else math.nan


def needed(effect: float, confidence: float) -> int | None:
    """Return the pairs with which a t test shows a mean of ``effect`` standard deviations.

    With a probability of 80%; None where it would take more than 10,000.
    """
    if not _power(effect, MOST, confidence) >= POWER:
        return None
    low, high = 2, MOST
    while low < high:
        middle = (low + high) // 2
        low, high = (
            (low, middle) if _power(effect, middle, confidence) >= POWER else (middle + 1, high)
        )
    return low


def _power(effect: float, pairs: int, confidence: float) -> float:
    from scipy.stats import nct, t

    bar = t.ppf((1.0 + confidence) / 2.0, pairs - 1)
    return float(nct.sf(bar, pairs - 1, effect * math.sqrt(pairs)))


def _place(standing: Standing, metric: Metric) -> tuple[int, float, int]:
    """Sort by the difference; who cannot be compared comes last, by quality or by ended runs."""
    sign = 1.0 if metric == "loss" else -1.0
    if standing.verdict is Verdict.BASELINE:
        return 0, 1.0 if metric == "loss" else 0.0, 0
    if standing.difference is not None and not math.isnan(standing.difference.mean):
        return 0, sign * standing.difference.mean, 0
    quality = sign * standing.quality if math.isfinite(standing.quality) else math.inf
    return 1, quality, -standing.runs


def _front(
    standings: Sequence[Standing], candidates: Sequence[Candidate], metric: Metric
) -> set[str]:
    """Return those whom no other equals or beats in quality, time and memory at once."""
    sign = 1.0 if metric == "loss" else -1.0
    costs = {
        c.name: (sign * s.quality, c.milliseconds or 0.0, float(c.kept or 0))
        for c, s in zip(candidates, standings, strict=True)
        if math.isfinite(s.quality)
    }
    return {
        name
        for name, mine in costs.items()
        if not any(
            other != mine and all(a <= b for a, b in zip(other, mine, strict=True))
            for other in costs.values()
        )
    }


def _known(values: Iterable[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return _mean(found) if found else None


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return float(np.mean(found)) if found else math.nan
