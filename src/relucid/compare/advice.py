"""The one sentence that a comparison ends in, with its evidence."""

from __future__ import annotations

from collections.abc import Sequence

from relucid.records import Difference
from relucid.records.comparison import Candidate, Metric, Standing, Verdict


def advice(
    standings: Sequence[Standing],
    candidates: Sequence[Candidate],
    baseline: str,
    metric: Metric,
) -> str:
    """Say which activation to use, or what is missing to say it."""
    own = next(s for s in standings if s.candidate == baseline)
    others = [s for s in standings if s.candidate != baseline]
    compared = [s for s in others if s.difference is not None]
    if not compared or own.runs == 0:
        return f"Nothing can be said yet: no run of {baseline} and another has come to its end."
    pairs = max(s.difference.pairs for s in compared if s.difference)
    if pairs < 2:
        return (
            "Nothing can be concluded from one seed: the differences may be chance. "
            "Run it again with 5 seeds or more."
        )
    better = [s for s in others if s.verdict is Verdict.BETTER]
    if better:
        return _use(better, candidates, baseline, metric, len(others))
    return _stay(others, baseline, metric, pairs)


def _use(
    better: Sequence[Standing],
    candidates: Sequence[Candidate],
    baseline: str,
    metric: Metric,
    count: int,
) -> str:
    first, *rest = better
    difference = first.difference
    assert difference is not None
    equal = [s.candidate for s in rest if s.difference and _overlap(difference, s.difference)]
    also = f"; {_listed(equal)} did about as well" if equal else ""
    cost = _cost(first.candidate, baseline, candidates)
    of = f", corrected for {count} candidates" if count > 1 else ""
    return (
        f"Use {first.candidate}: {in_words(difference, metric)} than with {baseline} over "
        f"{difference.pairs} seeds (95% interval {interval(difference, metric)}{of}){cost}{also}."
    )


def _stay(others: Sequence[Standing], baseline: str, metric: Metric, pairs: int) -> str:
    count = len(others)
    none = "it was not" if count == 1 else f"none of {count} candidates was"
    nearest = next((s for s in others if s.difference and s.verdict is Verdict.NOT_SHOWN), None)
    hint = ""
    if nearest is not None and nearest.difference is not None and _is_gain(nearest, metric):
        hint = f" Nearest was {nearest.candidate}, {in_words(nearest.difference, metric)}"
        hint += f"; about {nearest.needed} seeds would show that." if nearest.needed else "."
    name = f"{baseline} (beside {others[0].candidate})" if count == 1 else baseline
    return f"Stay with {name}: {none} shown to be better with {pairs} seeds.{hint}"


def _is_gain(standing: Standing, metric: Metric) -> bool:
    difference = standing.difference
    assert difference is not None
    lower = difference.mean < difference.neutral
    return lower == (metric == "loss")


def in_words(difference: Difference, metric: Metric) -> str:
    """Say how large a difference is: ``loss 12% lower``, ``accuracy 1.3 points higher``."""
    size = _size(difference.mean, difference, metric)
    return (
        f"{metric} {abs(size):.3g}{_unit(difference, metric)} {'higher' if size > 0 else 'lower'}"
    )


def interval(difference: Difference, metric: Metric) -> str:
    """Say its interval in the same unit: ``+0.4 to +2.1 points``."""
    low, high = (_size(end, difference, metric) for end in (difference.low, difference.high))
    return f"{low:+.3g} to {high:+.3g}{_unit(difference, metric)}"


def _size(value: float, difference: Difference, metric: Metric) -> float:
    """In percent of the baseline's, in points of a hundredth, or as it is."""
    hundredths = difference.scale == "ratio" or metric == "accuracy"
    return (100.0 if hundredths else 1.0) * (value - difference.neutral)


def _unit(difference: Difference, metric: Metric) -> str:
    return "%" if difference.scale == "ratio" else " points" if metric == "accuracy" else ""


def _cost(name: str, baseline: str, candidates: Sequence[Candidate]) -> str:
    times = {c.name: c.milliseconds for c in candidates}
    mine, own = times.get(name), times.get(baseline)
    return f", at {mine / own:.2g} times the time a step" if mine and own else ""


def _overlap(a: Difference, b: Difference) -> bool:
    return a.low <= b.high and b.low <= a.high


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
