"""From what is known of a model to the smaller one: plans, tried until one holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from torch import nn

from relucid.probes.graph import path_of
from relucid.records.receipt import Agreement
from relucid.report.progress import TellStage
from relucid.shrink.check import Failure
from relucid.shrink.guilt import guilty
from relucid.shrink.plan import Known, Plan, make_plan, with_straight
from relucid.shrink.study import Study
from relucid.shrink.surgery import copy_of, cut

TRYING = "Trying smaller models"
Where = frozenset[str]
"""Kinds of inputs on which outputs have to be the same."""
Check = Callable[[nn.Module, Where], tuple[Agreement, ...] | Failure]
"""Compares a smaller model with the first one."""


@dataclass(frozen=True)
class Found:
    """A plan, the model that it makes, and how both agree."""

    plan: Plan
    model: nn.Module
    agreements: tuple[Agreement, ...]


@dataclass
class Search:
    """The plans for one model; what was found to fail is not tried again."""

    model: nn.Module
    study: Study
    check: Check
    tell: TellStage
    forbidden: dict[int, str] = field(default_factory=dict)
    """Classes that must stay, and why."""
    refused: dict[str, str] = field(default_factory=dict)
    """Layers whose units must stay although they are always on, and why."""
    tried: int = 0

    def run(self, known: Known, where: Where) -> Found:
        """Return the largest plan that holds; ``where`` says on what outputs have to agree.

        Where one fails, units that are always on are tried layer by layer; of the others those
        stay that pass the line that failed.
        """
        while True:
            plan = make_plan(self.study.analysed, known, self.study.holds, self.forbidden)
            full = self._with_straight(plan, self.refused)
            found = self._try(full, where)
            if isinstance(found, Found):
                return found
            if full.combinations or full.merges:
                alone = self._try(plan, where)
                if isinstance(alone, Found):
                    return self._layer_by_layer(plan, full, alone, where)
                found = alone
            if not plan.goes.any():
                return Found(plan, copy_of(self.model), ())
            self.forbidden |= guilty(self.study.analysed, plan, found)

    def _with_straight(self, plan: Plan, refused: Mapping[str, str]) -> Plan:
        modules = dict(self.model.named_modules(remove_duplicate=False))
        study = self.study
        return with_straight(study.analysed, modules, plan, study.proofs, study.holds, refused)

    def _layer_by_layer(self, plan: Plan, full: Plan, best: Found, where: Where) -> Found:
        """Add the layers whose units are always on, one after the other, where that holds."""
        nodes = [one.maker.node for one in full.combinations]
        nodes += [one.chain.maker.node for one in full.merges]
        paths = list(dict.fromkeys(map(path_of, nodes)))
        waiting = dict.fromkeys(paths, "not tried yet")
        for path in paths:
            del waiting[path]
            found = self._try(self._with_straight(plan, {**self.refused, **waiting}), where)
            if isinstance(found, Found):
                best = found
            else:
                self.refused[path] = f"always on, and without them {found.told}"
        return replace(best, plan=self._with_straight(plan, self.refused))

    def _try(self, plan: Plan, where: Where) -> Found | Failure:
        self.tell(TRYING, self.tried, None)
        smaller = copy_of(self.model)
        cut(smaller, self.study.analysed, plan)
        result = self.check(smaller, where)
        self.tried += 1
        return result if isinstance(result, Failure) else Found(plan, smaller, result)
