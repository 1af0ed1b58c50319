"""Finding the rules: every file in ``rules/`` is one."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

from relucid.diagnose import rules as folder
from relucid.diagnose.threshold import Threshold, Thresholds
from relucid.records import Finding, Observation

Examine = Callable[[Observation, Thresholds], Iterable[Finding]]


@dataclass(frozen=True)
class Rule:
    """One file of ``rules/``: its docstring, its ``TITLE``, its thresholds, its ``examine``."""

    name: str
    title: str
    explanation: str
    thresholds: dict[str, Threshold]
    """By the name of the constant in lower case."""
    examine: Examine


@cache
def rules() -> dict[str, Rule]:
    """Return all rules by name, in alphabetical order."""
    return {found.name: _read(found.name) for found in pkgutil.iter_modules(folder.__path__)}


def _read(name: str) -> Rule:
    module = importlib.import_module(f"{folder.__name__}.{name}")
    constants = {n: value for n, value in vars(module).items() if isinstance(value, Threshold)}
    return Rule(
        name=name,
        title=module.TITLE,
        explanation=inspect.cleandoc(module.__doc__ or ""),
        thresholds={constant.lower(): threshold for constant, threshold in constants.items()},
        examine=module.examine,
    )
