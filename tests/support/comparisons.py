"""Comparisons of activations with invented curves, of every shape that a report has to show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from scipy.stats import t

from relucid.records import Difference
from relucid.records.comparison import (
    Candidate,
    Comparison,
    Ending,
    Metric,
    Point,
    Standing,
    Trained,
    Verdict,
)
from relucid.report import render_comparison_html

TWELVE = (
    "relu", "silu", "gelu", "mish", "elu(alpha=0.5)", "leaky_relu", "selu", "softplus",
    "hardswish", "tanh", "sigmoid", "squareplus",
)  # fmt: skip
HELD_OUT = 360
HOSTILE = "</script><img src=x onerror=alert(1)>\x1b[31m\x07\u202e\"'[bold]{{ 7*7 }}\ufffe"
"""A name that tries HTML, a terminal, Rich markup, a template and XML at once."""

Lost = Mapping[tuple[str, int], Ending]


def run(
    name: str,
    place: int,
    seed: int,
    *,
    metric: Metric = "accuracy",
    steps: int = 300,
    points: int = 20,
    ending: Ending = Ending.COMPLETE,
) -> Trained:
    """A run whose error falls to one that depends on the candidate's place and on the seed."""
    if ending is Ending.FAILED:
        return Trained(name, seed, ending, why="the model raised ValueError: no such shape")
    noise = np.random.default_rng([place, seed])
    floor = 0.03 * (1.0 + 0.12 * place) * float(np.exp(noise.normal(0.0, 0.08)))
    every = steps // points
    done = range(0, (points if ending is Ending.COMPLETE else points // 3) * every + 1, every)
    curve = []
    for step in done:
        error = floor + (0.9 - floor) * math.exp(-step / (0.06 * steps * (1 + 0.05 * place)))
        loss = 2.5 * error
        quality = loss if metric == "loss" else round((1.0 - error) * HELD_OUT) / HELD_OUT
        curve.append(Point(step, loss, quality, 0.9 * loss))
    if ending is Ending.DIVERGED:
        last = replace(curve[-1], loss=math.nan, training=math.inf)
        curve[-1] = last if metric == "accuracy" else replace(last, quality=math.nan)
    why = {
        Ending.DIVERGED: f"the loss was nan after {done[-1]} steps",
        Ending.PRUNED: f"given up after {done[-1]} steps",
    }
    if ending is not Ending.COMPLETE:
        return Trained(name, seed, ending, tuple(curve), why[ending], seconds=0.7)
    dead, zeros = 0.1 / (place + 1), 0.5 / (place + 1)
    return Trained(name, seed, ending, tuple(curve), "", dead, zeros, 0.4 + 0.1 * place, 2.5)


def comparison(
    names: Sequence[str] = TWELVE,
    seeds: int = 5,
    *,
    metric: Metric = "accuracy",
    lost: Lost | None = None,
    points: int = 20,
    baseline: int = 3,
) -> Comparison:
    """Candidates in the order of their quality; the baseline is the one at that place."""
    lost, baseline = lost or {}, min(baseline, len(names) - 1)
    runs = tuple(
        run(name, place, seed, metric=metric, points=points,
            ending=lost.get((name, seed), Ending.COMPLETE))
        for place, name in enumerate(names)
        for seed in range(seeds)
    )  # fmt: skip
    refused = ("head.act#1: its input has 3 dimensions and softmax is over the last",)
    candidates = tuple(
        Candidate(
            name,
            swapped=0 if place == baseline else 3,
            refused=refused if place in (1, 2) else (),
            gain=1.0 if place % 3 else 1.25,
            milliseconds=2.0 + 0.3 * (place % 5),
            kept=(200 + 40 * (place % 3)) * 1000,
        )
        for place, name in enumerate(names)
    )
    return Comparison(
        title="the digits MLP",
        metric=metric,
        baseline=names[baseline],
        candidates=candidates,
        runs=runs,
        standings=tuple(
            _standing(name, names[baseline], runs, metric, len(names)) for name in names
        ),
        advice=f"Use {names[0]}: accuracy 1.3 points higher than with {names[baseline]}.",
        seeds=tuple(range(seeds)),
        steps=300,
        batch=100,
        training=1437,
        held_out=HELD_OUT,
        optimizer="Adam at learning rate 0.001",
        engine="stacked: 60 runs at once as one batched network, because all shapes are alike",
        machine="2 threads of a processor, Python 3.11, torch 2.9",
        seconds=83.0,
    )


def one_seed() -> Comparison:
    """Nothing can be concluded."""
    return replace(
        comparison(TWELVE[:4], 1),
        advice="Nothing can be concluded from one seed: the differences may be chance.",
    )


def lossy() -> Comparison:
    """Compared by the loss."""
    return comparison(metric="loss")


def broken(metric: Metric = "accuracy") -> Comparison:
    """Runs that diverged, failed, were given up or are missing; one candidate lost all of them."""
    lost = {("gelu", 1): Ending.DIVERGED, ("mish", 0): Ending.FAILED, ("selu", 2): Ending.PRUNED}
    lost |= {("sigmoid", seed): Ending.DIVERGED for seed in range(5)}
    lost |= {("tanh", seed): Ending.PRUNED for seed in range(5)}
    lost |= {("squareplus", seed): Ending.FAILED for seed in range(5)}
    found = comparison(metric=metric, lost=lost)
    return replace(
        found,
        runs=found.runs[:-6] + found.runs[-5:],
        pruned="successive halving: the worse half is given up at each third of the steps",
        stopped="the time of 60 s was over",
    )


def nothing() -> Comparison:
    """It was stopped before anything came to an end."""
    found = comparison(TWELVE[:3], 2, lost={(n, s): Ending.FAILED for n in TWELVE for s in (0, 1)})
    return replace(
        found, advice="Nothing can be said yet: no run of mish and another has come to its end."
    )


def unbegun() -> Comparison:
    """No run at all, and no cost known."""
    found = nothing()
    bare = tuple(Candidate(c.name, 0) for c in found.candidates)
    return replace(found, runs=(), candidates=bare, stopped="it was interrupted", machine="")


def hostile(text: str = HOSTILE) -> Comparison:
    """Every text is hostile; the last candidate lost a run."""
    names = ("relu", text, f"{text} two")
    found = comparison(names, 3, lost={(names[2], 1): Ending.FAILED}, baseline=1)
    runs = tuple(replace(r, why=text if r.why else "") for r in found.runs)
    return replace(
        found,
        title=text, advice=text, optimizer=text, engine=text, pruned=text, machine=text,
        stopped=text, runs=runs,
        candidates=tuple(replace(c, refused=(text,)) for c in found.candidates),
    )  # fmt: skip


def thirty(seeds: int = 20, points: int = 20) -> Comparison:
    """More candidates than can be told apart by colour."""
    names = tuple(f"activation_{i}(alpha={i / 10})" for i in range(30))
    return comparison(names, seeds, points=points, baseline=12)


@lru_cache
def page(comparison: Comparison) -> str:
    """The page of a comparison, made once."""
    return render_comparison_html(comparison)


def _standing(
    name: str, baseline: str, runs: Sequence[Trained], metric: Metric, count: int
) -> Standing:
    own = [r for r in runs if r.candidate == name]
    pruned = sum(r.ending is Ending.PRUNED for r in own)
    complete = [r for r in own if r.ending is Ending.COMPLETE and not pruned]
    ends = [r.curve[-1].quality for r in complete]
    areas = [float(np.mean([p.quality for p in r.curve])) for r in complete]
    found = None
    if name != baseline and not pruned:
        found = _difference(name, baseline, runs, metric, count)
    verdict = Verdict.GIVEN_UP if pruned else _verdict(found, metric)
    verdict = Verdict.BASELINE if name == baseline else verdict
    return Standing(
        candidate=name,
        runs=sum(r.ending in (Ending.COMPLETE, Ending.DIVERGED) for r in own),
        diverged=sum(r.ending is Ending.DIVERGED for r in own),
        failed=sum(r.ending is Ending.FAILED for r in own),
        quality=float(np.mean(ends)) if ends else math.nan,
        spread=float(np.std(ends, ddof=1)) if len(ends) > 1 else math.nan,
        area=float(np.mean(areas)) if areas else math.nan,
        verdict=verdict,
        difference=found,
        needed=14 if verdict is Verdict.NOT_SHOWN and len(ends) > 1 else None,
        dead=0.05 if ends else None,
        sparsity=0.4 if ends else None,
        gradient=0.8 if ends else None,
        pruned=pruned,
        pareto=bool(ends) and name in list(dict.fromkeys(r.candidate for r in runs))[:2],
    )


def _difference(
    name: str, baseline: str, runs: Sequence[Trained], metric: Metric, count: int
) -> Difference | None:
    ends = {
        (r.candidate, r.seed): r.curve[-1].quality
        for r in runs
        if r.ending in (Ending.COMPLETE, Ending.DIVERGED)
    }
    pairs = [
        (ends[c, s], ends[baseline, s]) for c, s in ends if c == name and (baseline, s) in ends
    ]
    if not pairs:
        return None
    confidence = 1.0 - 0.05 / max(count - 1, 1)
    if metric == "accuracy":
        return _interval("difference", [a - b for a, b in pairs], confidence)
    logs = [math.log(a / b) if math.isfinite(a) else math.inf for a, b in pairs]
    if not all(map(math.isfinite, logs)):
        return Difference("ratio", len(pairs), math.inf, 0.0, math.inf, confidence)
    found = _interval("ratio", logs, confidence)
    mean, low, high = (
        math.exp(v) if v < 700.0 else math.inf for v in (found.mean, found.low, found.high)
    )
    return replace(found, mean=mean, low=low, high=high)


def _interval(scale: str, values: Sequence[float], confidence: float) -> Difference:
    mean = float(np.mean(values))
    reach = math.inf
    if len(values) > 1:
        error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
        reach = error * float(t.ppf((1.0 + confidence) / 2.0, len(values) - 1))
    return Difference(scale, len(values), mean, mean - reach, mean + reach, confidence)  # type: ignore[arg-type] - one of the two scales


def _verdict(found: Difference | None, metric: Metric) -> Verdict:
    if found is None:
        return Verdict.NOT_RUN
    if not found.excludes_no_difference:
        return Verdict.NOT_SHOWN
    better = (found.mean < found.neutral) == (metric == "loss")
    return Verdict.BETTER if better else Verdict.WORSE
