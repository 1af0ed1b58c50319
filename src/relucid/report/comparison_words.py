"""What is said of a comparison, in whatever form: a row for each candidate, and the conditions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from relucid.records import Difference
from relucid.records.comparison import (
    Candidate,
    Comparison,
    Ending,
    Standing,
    Trained,
    Verdict,
)
from relucid.report.comparison_differences import about, difference, unit
from relucid.report.words import MISSING, figure, listed, one_line, percent, plural, size

_SEEDS = 12
"""Seeds that are named, at most."""


@dataclass(frozen=True)
class Row:
    """One candidate in the ranking, in words and with the numbers that they come from."""

    number: int
    """Its place, from 1; it stands for the candidate in pictures."""
    comparison: Comparison
    candidate: Candidate
    standing: Standing

    @property
    def name(self) -> str:
        """Its name on one line."""
        return one_line(self.candidate.name)

    @property
    def is_baseline(self) -> bool:
        """Whether the others are compared with it."""
        return self.standing.verdict is Verdict.BASELINE

    @cached_property
    def runs(self) -> tuple[Trained, ...]:
        """Its runs, in the order of their seeds."""
        own = (run for run in self.comparison.runs if run.candidate == self.candidate.name)
        return tuple(sorted(own, key=lambda run: run.seed))

    @cached_property
    def loss(self) -> float | None:
        """Mean loss at the ends of its complete runs, or None where it has no quality."""
        ends = [run.last.loss for run in self.runs if run.ending is Ending.COMPLETE and run.last]
        return sum(ends) / len(ends) if ends and not self.standing.pruned else None

    @property
    def quality(self) -> str:
        """Its mean and, from two complete runs on, the standard deviation over seeds."""
        mean, spread = self.standing.quality, self.standing.spread
        if math.isnan(mean):
            return MISSING
        text = metric(mean, self.comparison)
        if math.isnan(spread):
            return text
        if self.comparison.metric == "loss":
            return f"{text} ± {short(spread)}"
        return f"{text} ± {metric(spread, self.comparison).removesuffix('%')}"

    @property
    def area(self) -> str:
        """Mean of the metric over the training."""
        mean = self.standing.area
        return MISSING if math.isnan(mean) else metric(mean, self.comparison)

    @property
    def difference(self) -> str:
        """To the baseline, with its interval."""
        found = self.standing.difference
        return MISSING if found is None else difference(found, self.comparison.metric)

    @property
    def verdict(self) -> str:
        """What the runs say."""
        return self.standing.verdict.value

    @property
    def seeds(self) -> str:
        """With how many seeds no difference was shown or it was given up; else empty."""
        found, needed = self.standing.difference, self.standing.needed
        if self.standing.verdict is Verdict.GIVEN_UP:
            return f"with {self.standing.pruned:,} of {plural(len(self.comparison.seeds), 'seed')}"
        if found is None or self.standing.verdict is not Verdict.NOT_SHOWN:
            return ""
        text = f"with {plural(found.pairs, 'seed')}"
        would = "would show one of this size"
        return text if needed is None else f"{text}; about {about(needed)} {would}"

    @property
    def time(self) -> str:
        """Of a training step, in milliseconds."""
        return figure(self.candidate.milliseconds)

    @property
    def memory(self) -> str:
        """Kept for the backward pass."""
        return MISSING if self.candidate.kept is None else size(self.candidate.kept)

    @property
    def ends(self) -> str:
        """How its runs ended, the complete ones first."""
        return endings(self.runs, len(self.comparison.seeds))


def rows(comparison: Comparison) -> tuple[Row, ...]:
    """Return a row for each standing, the best first."""
    known = {candidate.name: candidate for candidate in comparison.candidates}
    return tuple(
        Row(number, comparison, known[standing.candidate], standing)
        for number, standing in enumerate(comparison.standings, 1)
    )


def metric(value: float, comparison: Comparison) -> str:
    """Write a value of the metric: accuracy in percent, to what one held-out sample changes."""
    if comparison.metric == "loss" or not math.isfinite(value):
        return figure(value)
    digits = math.ceil(math.log10(max(comparison.held_out, 1) / 100.0))
    return f"{100.0 * value:.{min(max(digits, 1), 3)}f}%"


def short(value: float) -> str:
    """Write a number with two significant digits."""
    return figure(float(f"{value:.2g}"))


def endings(runs: Sequence[Trained], planned: int) -> str:
    """Return how many of the planned runs are complete, and what became of the others."""
    counts = Counter(run.ending for run in runs)
    others = [f"{counts[e]:,} {e.value}" for e in Ending if e is not Ending.COMPLETE and counts[e]]
    missing = planned - len(runs)
    others += [f"{missing:,} not run"] if missing > 0 else []
    return "; ".join([f"{counts[Ending.COMPLETE]:,} of {planned:,}", *others])


def how_to_read(comparison: Comparison) -> str:
    """Return what the numbers of the ranking mean."""
    found = [s.difference for s in comparison.standings if s.difference is not None]
    quality = "Accuracy" if comparison.metric == "accuracy" else "Loss"
    text = (
        f"{quality} on {plural(comparison.held_out, 'held-out sample')} at the end of training: "
        "mean and standard deviation over seeds."
    )
    if not found:
        return text
    units = {unit(one, comparison.metric): None for one in found}
    return (
        f"{text} The difference is to {one_line(comparison.baseline)} on the same seeds, "
        f"{listed(list(units))}. {_intervals(found)}"
    )


def _intervals(found: Sequence[Difference]) -> str:
    if max(one.pairs for one in found) < 2:
        return "A single seed gives no interval: what it shows may be chance."
    confidence = max(one.confidence for one in found)
    together = (
        f", {percent(confidence)} each so that all hold together," if confidence > 0.951 else ""
    )
    return f"Intervals are at 95%{together} and tell what other seeds would change, not other data."


def ending(comparison: Comparison) -> str:
    """Return why the comparison ended early, empty where nothing is missing."""
    if not comparison.stopped:
        return ""
    planned = len(comparison.seeds) * len(comparison.candidates)
    if len(comparison.runs) == planned:
        return f"Not all runs were kept: {one_line(comparison.stopped)}."
    done = f"{len(comparison.runs):,} of {plural(planned, 'run')} done"
    return f"The comparison ended early, {done}: {one_line(comparison.stopped)}."


def facts(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Yield how it was measured: what, and its words."""
    yield "runs", _runs(comparison)
    yield "training", _training(comparison)
    yield "measured on", f"{plural(comparison.held_out, 'other sample')}, in evaluation mode"
    yield "activations", _swapped(comparison)
    if gains := _gains(comparison):
        yield "initial weights", gains
    yield "engine", one_line(comparison.engine)
    yield "stopped early", one_line(comparison.pruned) or "no run was given up as hopeless"
    if comparison.machine:
        yield "machine", one_line(comparison.machine)
    yield "time taken", duration(comparison.seconds)


def _runs(comparison: Comparison) -> str:
    seeds = [str(seed) for seed in comparison.seeds]
    shown = listed(seeds) if len(seeds) <= _SEEDS else f"{', '.join(seeds[:_SEEDS])} and so on"
    return (
        f"{plural(len(comparison.candidates), 'candidate')} from {plural(len(seeds), 'seed')} "
        f"({shown}); with one seed all begin with the same weights, as far as they can, "
        "and see the same batches"
    )


def _training(comparison: Comparison) -> str:
    batch = f"{comparison.batch:,} a step" if comparison.batch else "in batches as given"
    return (
        f"{plural(comparison.steps, 'step')} by {one_line(comparison.optimizer)}, on "
        f"{plural(comparison.training, 'sample')}, {batch}"
    )


def _swapped(comparison: Comparison) -> str:
    """Return how many sites have the candidates."""
    counts = {c.swapped for c in comparison.candidates if c.swapped}
    if not counts:
        return "put in by the model's builder"
    if len(counts) == 1:
        return f"put in at {plural(counts.pop(), 'site')}"
    return f"put in at {min(counts):,} to {plural(max(counts), 'site')}"


def _gains(comparison: Comparison) -> str:
    scaled = [
        f"{one_line(candidate.name)} by {figure(candidate.gain)}"
        for candidate in comparison.candidates
        if figure(candidate.gain) != "1"
    ]
    return f"scaled for {listed(scaled)}; those of the others are as they were" if scaled else ""


def refusals(comparison: Comparison) -> list[tuple[str, tuple[str, ...]]]:
    """Return sites that kept the model's own activation and why, with the candidates they refused.

    What was refused to all candidates alike is told once.
    """
    told: dict[tuple[str, ...], list[str]] = {}
    for candidate in comparison.candidates:
        if candidate.refused:
            told.setdefault(candidate.refused, []).append(one_line(candidate.name))
    return [(listed(names), tuple(map(one_line, sites))) for sites, names in told.items()]


def unfinished(comparison: Comparison) -> tuple[Trained, ...]:
    """Return the runs that ended otherwise than complete."""
    return tuple(run for run in comparison.runs if run.ending is not Ending.COMPLETE)


def duration(seconds: float) -> str:
    """Write a time: ``0.42 s``, ``12 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if not seconds >= 60.0:
        return f"{figure(seconds)} s"
    minutes, left = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {left} s"
    return f"{minutes // 60:,} h {minutes % 60} min"
