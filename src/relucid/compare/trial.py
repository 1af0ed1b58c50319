"""The trial of prescriptions: each followed on a copy, beside a copy that is left as it is."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from torch import nn

from relucid.compare.changes import CHANGES, Case, Change, Refusal
from relucid.compare.learner import Learner, Loss, copied, in_words
from relucid.compare.measure import measured
from relucid.compare.plan import Arm, Trial
from relucid.compare.run import Results, run
from relucid.compare.samples import Samples, split
from relucid.compare.statistics import outcome, paired
from relucid.probes.undisturbed import undisturbed
from relucid.records import Finding, Observation, Outcome, Run, Severity, Trials, Tried

MINIMUM = 100
"""Samples below which nothing is tried: 20 of them would be held out."""
UNTOUCHED = "untouched"


def try_prescriptions(
    model: nn.Module,
    data: Any,
    loss: Loss,
    *,
    observation: Observation,
    findings: Sequence[Finding],
    plan: Trial,
    batches: int | None = None,
) -> Trials:
    """Follow what is prescribed for illnesses on copies of the model, and say what it did.

    All copies are trained on from where the model is, on the same batches; a random fifth of the
    samples is kept apart, and the loss on it is compared, seed by seed, with that of the copies
    on which nothing was changed. The model, its optimizer and all random states are left as they
    were.

    Raises :class:`~relucid.errors.ModelError` for a model that cannot be copied, or an optimizer
    of another model.
    """
    with undisturbed(model, evaluate=False):
        return _Trying(model, split(data, batches), loss, observation, plan).all(findings)


@dataclass(frozen=True)
class _Side:
    """One way to follow one prescription, and what it did to a first copy, or why it cannot."""

    name: str
    trial: str
    change: Change
    case: Case
    said: str
    refused: bool


class _Trying:
    """What all copies of one trial have in common."""

    def __init__(
        self, model: nn.Module, samples: Samples, loss: Loss, observation: Observation, plan: Trial
    ) -> None:
        self._model, self._samples, self._loss = model, samples, loss
        self._observation, self._plan = observation, plan

    def all(self, findings: Sequence[Finding]) -> Trials:
        """Try everything and rank it."""
        begun, plan, samples = time.monotonic(), self._plan, self._samples
        hindrance = self._hindrance()
        sides = [] if hindrance else list(self._sides(findings))
        arms = [self._arm(side) for side in sides if not side.refused]
        results, start = Results({UNTOUCHED: {}}, stopped=hindrance), None
        if arms:
            start = self._measured(self._copy(), -1)
            arms = [Arm(UNTOUCHED, lambda seed: self._copy()), *arms]
            results = run(arms, samples, self._loss, plan, self._measured)
        return Trials(
            optimizer="" if hindrance else in_words(self._copy(), plan.optimizer is not None),
            steps=plan.steps,
            seeds=plan.seeds,
            batch=samples.batch,
            training=samples.training_size,
            held_out=samples.held_out_size,
            before=None if start is None else start.loss,
            untouched=tuple(results.runs[UNTOUCHED].values()),
            tried=_ranked(sides, results),
            seconds=time.monotonic() - begun,
            stopped=results.stopped,
            at_start=start,
        )

    def _hindrance(self) -> str:
        count = self._samples.training_size + self._samples.held_out_size
        if count < MINIMUM:
            return f"{count} samples are too few for a trial: give at least {MINIMUM}"
        if not any(parameter.requires_grad for parameter in self._model.parameters()):
            return "no parameter of the model requires a gradient, so nothing can be trained"
        return ""

    def _sides(self, findings: Sequence[Finding]) -> Iterator[_Side]:
        """Yield each change prescribed for an illness, made once on a copy that is thrown away.

        Tips are no reason for it: on a healthy network a lower rate lowers the loss too, by a
        fifth in 200 steps, as it does at the end of any training.
        """
        prescribed = dict.fromkeys(
            (prescription.trial or "", prescription.arguments)
            for finding in findings
            if finding.severity is Severity.ILL
            for prescription in finding.prescriptions
        )
        known = self._plan.optimizer is not None
        for trial, arguments in prescribed:
            case = Case(self._observation, self._samples.example(), arguments, known)
            for change in CHANGES.get(trial, ()):
                name = " ".join((change.__name__, *arguments))
                try:
                    said, refused = change(self._copy(), case), False
                except Refusal as reason:
                    said, refused = str(reason), True
                yield _Side(name, trial, change, case, said, refused)

    def _arm(self, side: _Side) -> Arm:
        def learner(seed: int) -> Learner:
            made = self._copy()
            side.change(made, side.case)
            return made

        return Arm(side.name, learner)

    def _copy(self) -> Learner:
        return copied(self._model, self._plan.optimizer)

    def _measured(self, learner: Learner, seed: int) -> Run:
        return measured(learner.model, self._samples, self._loss, seed)


def _ranked(sides: Sequence[_Side], results: Results) -> tuple[Tried, ...]:
    """Return what came of each, lowest loss first, and what was not tried last."""
    tried = sum(not side.refused and side.name not in results.failed for side in sides)
    found = [_tried(side, results, tried) for side in sides]
    return tuple(sorted(found, key=_rank))


def _rank(tried: Tried) -> tuple[float, float]:
    """By the difference; where all untouched copies diverged, by the loss itself."""
    if tried.difference is None:
        return math.inf, math.inf
    losses = [run.loss if math.isfinite(run.loss) else math.inf for run in tried.runs]
    return tried.difference.mean, median(losses)


def _tried(side: _Side, results: Results, comparisons: int) -> Tried:
    if side.refused or side.name in results.failed:
        why = results.failed.get(side.name, side.said)
        return Tried(side.trial, why, Outcome.NOT_TRIED)
    pairs = results.pairs(side.name, UNTOUCHED)
    if not pairs:
        return Tried(side.trial, side.said, Outcome.NO_EVIDENCE)
    changed, untouched = ([run.loss for run in runs] for runs in zip(*pairs, strict=True))
    difference = paired(changed, untouched, comparisons=comparisons)
    runs = tuple(run for run, _ in pairs)
    return Tried(side.trial, side.said, outcome(difference), runs, difference)
