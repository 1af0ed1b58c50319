"""The one sentence that a comparison ends in, with its evidence."""

from __future__ import annotations

from collections.abc import Sequence

from relucid.records import Difference
from relucid.records.comparison import Candidate, Metric, Standing, Verdict
from relucid.report.comparison_differences import about, interval, size
from relucid.report.words import listed, plural


def advice(
    standings: Sequence[Standing],
    candidates: Sequence[Candidate],
    baseline: str,
    metric: Metric,
) -> str:
    """Say which activation to use, or what is missing to say it."""
    own = next(s for s in standings if s.candidate == baseline)
    others = [s for s in standings if s.candidate != baseline]
    differences = [s.difference for s in others if s.difference is not None]
    if not differences or own.runs == 0:
        return _nothing(others, own)
    pairs = max(difference.pairs for difference in differences)
    if pairs < 2:
        return (
            "Nothing can be concluded from one seed: the differences may be chance. "
            "Run it again with 5 seeds or more."
        )
    better = [s for s in others if s.verdict is Verdict.BETTER]
    if better:
        return _use(better, candidates, baseline, metric, others)
    return _stay(others, baseline, metric, pairs)


def _nothing(others: Sequence[Standing], own: Standing) -> str:
    if own.runs and all(s.verdict is Verdict.GIVEN_UP for s in others):
        return (
            f"Nothing can be said beside {own.candidate}: each of the others had a run that was "
            "given up early. Compare fewer, or without giving up."
        )
    return f"Nothing can be said yet: no run of {own.candidate} and another has come to its end."


def _use(
    better: Sequence[Standing],
    candidates: Sequence[Candidate],
    baseline: str,
    metric: Metric,
    others: Sequence[Standing],
) -> str:
    first = better[0]
    difference = first.difference
    assert difference is not None
    cost = _cost(first.candidate, baseline, candidates)
    of = f", corrected for {len(others)} candidates" if len(others) > 1 else ""
    return (
        f"Use {first.candidate}: {size(difference, metric)} than with {baseline} over "
        f"{difference.pairs} seeds (95% interval {interval(difference, metric)}{of}){cost}"
        f"{_rivals(better, others)}{_given_up(others)}."
    )


def _rivals(better: Sequence[Standing], others: Sequence[Standing]) -> str:
    """Name those that may be as good as the best of the better: also shown, and not shown."""
    first, *rest = better
    equal = [s.candidate for s in rest if _overlap(first.difference, s.difference)]
    ahead = [s.candidate for s in others[: others.index(first)]]
    said = f"; {listed(equal)} did about as well" if equal else ""
    return f"{said}; {listed(ahead)} ended better still, which may be chance" if ahead else said


def _stay(others: Sequence[Standing], baseline: str, metric: Metric, pairs: int) -> str:
    count = len(others)
    none = "it was not" if count == 1 else f"none of {count} candidates was"
    nearest = next((s for s in others if s.difference and s.verdict is Verdict.NOT_SHOWN), None)
    hint = ""
    if nearest is not None and nearest.difference is not None and _is_gain(nearest, metric):
        hint = f" Nearest was {nearest.candidate}, {size(nearest.difference, metric)}"
        hint += f"; about {about(nearest.needed)} seeds would show that." if nearest.needed else "."
    name = f"{baseline} (beside {others[0].candidate})" if count == 1 else baseline
    shown = f"{none} shown to be better with {plural(pairs, 'seed')}"
    return f"Stay with {name}: {shown}{_given_up(others)}.{hint}"


def _given_up(others: Sequence[Standing]) -> str:
    """Say of how many it is not known, since they were given up."""
    count = sum(s.verdict is Verdict.GIVEN_UP for s in others)
    was = "was" if count == 1 else "were"
    return f"; {count} of the {len(others)} {was} given up early" if count else ""


def _is_gain(standing: Standing, metric: Metric) -> bool:
    difference = standing.difference
    assert difference is not None
    gain = difference.mean - difference.neutral
    return gain < 0 if metric == "loss" else gain > 0


def _cost(name: str, baseline: str, candidates: Sequence[Candidate]) -> str:
    times = {c.name: c.milliseconds for c in candidates}
    mine, own = times.get(name), times.get(baseline)
    return f", at {mine / own:.2g} times the time a step" if mine and own else ""


def _overlap(a: Difference | None, b: Difference | None) -> bool:
    return a is not None and b is not None and a.low <= b.high and b.low <= a.high
