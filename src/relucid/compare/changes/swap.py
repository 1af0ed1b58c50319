"""Another activation in place of one."""

from __future__ import annotations

from torch import nn

from relucid.compare.changes.case import Case, Refusal
from relucid.compare.learner import Learner
from relucid.nn import make
from relucid.nn.calls import declared_by


def swap_activation(learner: Learner, case: Case) -> str:
    """Replace every module of one activation by a new module of another."""
    old, new = case.arguments
    modules = learner.model.named_modules(remove_duplicate=False)
    paths = [path for path, module in modules if path and _is(module, old)]
    calls = sum(
        record.site.activation == old and record.site.kind != "module"
        for record in case.observation.sites
    )
    if not paths:
        where = "called as a function" if calls else "no module of its own"
        raise Refusal(f"{old} is {where}, and only modules can be swapped")
    for path in paths:
        learner.model.set_submodule(path, make(new))
    learner.adopt()
    left = f"; {calls} function calls stay" if calls else ""
    return f"{old} swapped for {new} in {len(paths)} modules{left}"


def _is(module: nn.Module, activation: str) -> bool:
    found = declared_by(module)
    return found is not None and found.name == activation
