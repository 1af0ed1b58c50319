"""What is said of trials, in whatever form: the answer, the conditions, a row for each change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from relucid.records import Outcome, Run, Trials, Tried
from relucid.report.words import MISSING, figure, one_line, percent, plural


@dataclass(frozen=True)
class TrialRow:
    """One change, in words."""

    change: str
    """What was changed; of what was not tried its name, and why."""
    loss: str
    dead: str
    effect: str
    outcome: Outcome


@dataclass(frozen=True)
class TrialsView:
    """Trials as a rendering reads them. Sentences that have nothing to say are empty."""

    answer: str
    conditions: str
    comparison: str
    ending: str
    effect_title: str
    rows: tuple[TrialRow, ...]


def view(trials: Trials) -> TrialsView:
    """Put trials into words."""
    plain = any(t.difference is not None and t.difference.scale != "ratio" for t in trials.tried)
    return TrialsView(
        answer=_answer(trials),
        conditions=_conditions(trials) if trials.tried else "",
        comparison=_comparison(trials),
        ending=_ending(trials),
        effect_title="less untouched" if plain else "times untouched",
        rows=tuple(map(_row, trials.tried)),
    )


def _answer(trials: Trials) -> str:
    if not trials.tried:
        why = one_line(trials.stopped) or "nothing was prescribed for an illness"
        return f"Nothing was tried: {why}."
    if all(tried.difference is None for tried in trials.tried):
        return "No trial was finished."
    helps = trials.recommended
    if not helps:
        return "There is no evidence that anything that was tried helps."
    others = f" {plural(len(helps) - 1, 'other change')} helped less." if len(helps) > 1 else ""
    return f"What helped most: {one_line(helps[0].change)}.{others}"


def _conditions(trials: Trials) -> str:
    batch = f"{trials.batch:,} a step" if trials.batch else "in batches as given"
    return (
        f"Copies of the model were trained on from where it is: {plural(trials.steps, 'step')} by "
        f"{one_line(trials.optimizer)}, on {plural(trials.training, 'sample')}, {batch}, from "
        f"{plural(trials.seeds, 'seed')}. The loss is that on {trials.held_out:,} other samples."
    )


def _comparison(trials: Trials) -> str:
    """Return what the losses are compared with, and how sure the intervals are."""
    sure = next((t.difference.confidence for t in trials.tried if t.difference is not None), None)
    if sure is None:
        return ""
    before = "" if trials.before is None else f" ({figure(trials.before)} before)"
    together = f", {percent(sure)} each so that all hold together," if sure > 0.951 else ""
    return (
        f"Untouched copies came to a loss of {_loss(trials.untouched)}{before}. Intervals are at "
        f"95%{together} and tell what another order of the data would change, not other data."
    )


def _ending(trials: Trials) -> str:
    if not trials.stopped or not trials.tried:
        return ""
    done = f"{len(trials.untouched):,} of {plural(trials.seeds, 'seed')} begun"
    return f"The trial ended early, {done}: {one_line(trials.stopped)}."


def _row(tried: Tried) -> TrialRow:
    change = one_line(tried.change)
    if tried.outcome is Outcome.NOT_TRIED:
        change = f"{one_line(tried.name).replace('_', ' ')}: {change}"
    dead = [run.dead for run in tried.runs if run.dead is not None]
    return TrialRow(
        change=change,
        loss=_loss(tried.runs),
        dead=percent(median(dead) if dead else None),
        effect=_effect(tried),
        outcome=tried.outcome,
    )


def _loss(runs: Sequence[Run]) -> str:
    """Return the median loss, in a word where most runs diverged."""
    losses = [run.loss if math.isfinite(run.loss) else math.inf for run in runs]
    if not losses:
        return MISSING
    middle = median(losses)
    return figure(middle) if math.isfinite(middle) else "diverged"


def _effect(tried: Tried) -> str:
    found = tried.difference
    if found is None:
        return MISSING
    if found.low == found.high:
        return figure(found.mean)
    return f"{figure(found.mean)} ({figure(found.low)} to {figure(found.high)})"
