"""The diagnosis: all rules over one observation, worst findings first."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Mapping
from typing import NoReturn

from relucid.diagnose.registry import rules
from relucid.diagnose.threshold import Threshold
from relucid.errors import RuleError
from relucid.records import Finding, Observation, Severity

WORST_FIRST = (
    Severity.ILL,
    Severity.TIP,
    Severity.UNOBSERVED,
    Severity.WELL,
    Severity.NOT_APPLICABLE,
)


def diagnose(
    observation: Observation, *, thresholds: Mapping[str, float] | None = None
) -> tuple[Finding, ...]:
    """Apply every rule and return what they found: worst first, then in order of depth.

    Every rule says something about every site, if only that it does not apply and why.
    ``thresholds`` overrides named thresholds: ``{"dead_units.share": 0.2}``; :func:`rules`
    lists them with their sources.

    Raises :class:`~relucid.errors.RuleError` for a threshold that no rule has, with the nearest
    names, or a value that is not a number.
    """
    in_force = values_in_force(thresholds or {})
    found = [f for rule in rules().values() for f in rule.examine(observation, in_force)]
    depth = _depths(observation)
    return tuple(
        sorted(found, key=lambda f: (WORST_FIRST.index(f.severity), depth.get(f.site or "", -1)))
    )


def explain(rule: str) -> str:
    """Return a rule's explanation: what it measures, why that harms, and what to do.

    Raises :class:`~relucid.errors.RuleError` for an unknown rule, with the nearest names.
    """
    if rule not in rules():
        _unknown("rule", rule, rules())
    return rules()[rule].explanation


def values_in_force(overrides: Mapping[str, float]) -> dict[Threshold, float]:
    """Return the value of every threshold, with some overridden by name.

    Raises :class:`~relucid.errors.RuleError` as :func:`diagnose` does: a caller with long work
    before the diagnosis asks here first.
    """
    named = {f"{r.name}.{n}": t for r in rules().values() for n, t in r.thresholds.items()}
    values = {threshold: threshold.value for threshold in named.values()}
    for name, value in overrides.items():
        if name not in named:
            _unknown("threshold", name, named)
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            raise RuleError(f"the threshold {name!r} must be a number, not {value!r}")
        values[named[name]] = float(value)
    return values


def _unknown(kind: str, name: str, known: Collection[str]) -> NoReturn:
    nearest = difflib.get_close_matches(str(name), known, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(map(repr, nearest))}? " if nearest else ""
    raise RuleError(f"there is no {kind} {name!r}; {hint}All of them: {', '.join(known)}")


def _depths(observation: Observation) -> dict[str, int]:
    """Order of execution by site name, and by module path where a finding names a module."""
    in_order = sorted(observation.sites, key=lambda record: record.site.order, reverse=True)
    modules = {
        name: record.site.order
        for record in in_order
        for name in (record.layer.name if record.layer else record.site.module, record.site.module)
    }
    return {**modules, **{record.site.name: record.site.order for record in in_order}}
