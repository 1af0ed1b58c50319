"""Thresholds: named numbers with a meaning and a source, which a user may override."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Threshold:
    """A number that a rule compares with, declared as a constant of the rule's file.

    The constant's name in lower case, after the rule's, is the name to override it by:
    ``SHARE`` in ``dead_units.py`` is ``dead_units.share``.
    """

    value: float
    meaning: str
    """What happens beyond it, in words."""
    source: str
    """Where the value comes from: a paper, a derivation, or a choice and its reason."""


Thresholds = Mapping[Threshold, float]
"""The values in force: what a rule reads, ``thresholds[SHARE]``."""
