"""Another activation in place of one."""

from __future__ import annotations

from collections import Counter

from relucid.compare.changes.case import Case, Refusal
from relucid.compare.learner import Learner
from relucid.errors import ModelError
from relucid.swap import swap


def swap_activation(learner: Learner, case: Case) -> str:
    """Put another activation in place of one, wherever :func:`relucid.swap` can."""
    old, new = case.arguments
    try:
        swapped = swap(learner.model, old, to=new, example=case.example)
    except ModelError as error:
        raise Refusal(str(error)) from error
    if not swapped.changed:
        raise Refusal(f"{old} cannot be swapped: {swapped.refused[0].why}")
    learner.adopt()
    kinds = Counter(change.kind for change in swapped.changed)
    places = " and ".join(f"{count} {kind}{'s' * (count > 1)}" for kind, count in kinds.items())
    left = f"; {len(swapped.refused)} stay" if swapped.refused else ""
    return f"{old} swapped for {new} in {places}{left}"
