"""Measuring one block of float32 inputs: every library, value and derivative, on one thread."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache

import torch
from torch import Tensor

from relucid.records.accuracy import Tally
from relucid.verify.measure import Yardstick, count_lost_nan, count_unlike
from relucid.verify.plan import Plan
from relucid.verify.points import roots
from relucid.verify.reference import WHICH, Reference, reference
from relucid.verify.sides import Side, relucid_alone, sides

Tallies = dict[str, dict[str, Tally]]
"""By library and by what was measured ("value" or "derivative")."""


@dataclass(frozen=True)
class Bench:
    """A function with all that measures it."""

    truths: dict[str, Reference]
    sides: dict[str, Side]
    alone: Side
    """Of relucid, without a gradient."""
    roots: tuple[float, ...] = ()
    """Of the derivative."""
    kinks: tuple[float, ...] = ()
    """Where other libraries may choose another derivative than relucid."""
    tallies: Tallies = field(default_factory=dict)

    def emptied(self, among: Iterable[str] | None = None) -> Bench:
        """The same of all libraries or ``among`` these, with nothing counted."""
        wanted = self.sides if among is None else frozenset(among)
        sides = {name: side for name, side in self.sides.items() if name in wanted}
        return replace(
            self, sides=sides, tallies={name: dict.fromkeys(WHICH, Tally()) for name in sides}
        )

    def measure(self, x: Tensor) -> None:
        """Count a chunk of float32 inputs in rising order of bit patterns.

        Infinities are left out: what is due there is among the specials.
        """
        # Both ends are NaN where there is one; to look at every number takes nine times as long.
        if not all(math.isfinite(end) for end in torch.aminmax(x)):
            self._measure_nan(x[x != x])
            x = x[torch.isfinite(x)]
        if len(x):
            self._measure_finite(x)

    def _measure_finite(self, x: Tensor) -> None:
        wide = x.double()
        yardsticks = {
            which: Yardstick(x, truth(wide), self.roots if which == "derivative" else ())
            for which, truth in self.truths.items()
        }
        for name, side in self.sides.items():
            tallies, results = self.tallies[name], dict(zip(WHICH, side(x), strict=True))
            if name == "relucid":
                self._compare(x, results)
            else:
                results["derivative"] = self._with_own_kinks(wide, results["derivative"])
            for which, result in results.items():
                tallies[which] = yardsticks[which].measure(result, tallies[which])

    def _compare(self, x: Tensor, results: dict[str, Tensor]) -> None:
        for (which, result), alone in zip(results.items(), self.alone(x), strict=True):
            unlike = count_unlike(result, alone)
            if unlike:
                self.tallies["relucid"][which] += Tally(unlike=unlike)

    def _with_own_kinks(self, x: Tensor, derivative: Tensor) -> Tensor:
        """Another library's derivative with what is due at the kinks, which is a choice."""
        ends = sorted((float(x[0]), float(x[-1])))
        for kink in self.kinks:
            if ends[0] <= kink <= ends[1]:
                due = self.truths["derivative"](x)
                derivative = torch.where(x == kink, due.to(derivative.dtype), derivative)
        return derivative

    def _measure_nan(self, x: Tensor) -> None:
        for name, side in self.sides.items() if len(x) else ():
            for which, result in zip(WHICH, side(x), strict=True):
                lost = Tally(inputs=len(x), nan_lost=count_lost_nan(result))
                self.tallies[name][which] += lost


@lru_cache(maxsize=2)
def bench(plan: Plan) -> Bench:
    """What measures a plan's function, kept between blocks: JAX compiles for each."""
    return Bench(
        truths={which: reference(plan.activation, which) for which in WHICH},
        sides=sides(plan.activation, plan.peers, plan.route, plan.precision),
        alone=relucid_alone(plan.activation, plan.route, plan.precision),
        roots=roots(plan.activation),
        kinks=tuple(kink.at for kink in plan.activation.kinks),
    )


def measure_block(plan: Plan, block: int, among: Iterable[str] | None = None) -> Tallies:
    """Measure the inputs of a block for all libraries, or ``among`` these, that have the function.

    Results of different blocks add up.
    """
    empty = bench(plan).emptied(among)
    for x in plan.chunks(block) if empty.sides else ():
        empty.measure(x)
    return empty.tallies
