"""Trials with invented numbers."""

from __future__ import annotations

import math

from relucid.records import Difference, Outcome, Run, Trials, Tried


def tried(outcome: Outcome, mean: float, low: float, high: float, change: str = "") -> Tried:
    runs = tuple(Run(seed, mean * (2.0 + seed), 0.1, 3.0) for seed in range(3))
    difference = Difference("ratio", 3, mean, low, high, 0.9875)
    return Tried("right_gain", change or f"change to {mean}", outcome, runs, difference)


def trials() -> Trials:
    return Trials(
        optimizer="SGD at learning rate 2",
        steps=200,
        seeds=3,
        batch=100,
        training=1437,
        held_out=360,
        before=2.5,
        untouched=(Run(0, 2.0, 0.8), Run(1, 3.0, 0.8), Run(2, math.nan, 0.9)),
        tried=(
            tried(Outcome.HELPS, 0.0642, 0.0324, 0.098),
            tried(Outcome.HELPS, 0.8, 0.7, 0.9),
            tried(Outcome.NO_DIFFERENCE, 1.0, 1.0, 1.0),
            tried(Outcome.HURTS, math.inf, 5.0, math.inf),
            Tried("swap_activation", "relu is called as a function", Outcome.NOT_TRIED),
        ),
        seconds=12.0,
    )
