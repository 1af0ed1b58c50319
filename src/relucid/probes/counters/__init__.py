"""What is counted at a site: one quantity a file.

A file with a class like :class:`Counter` is found by itself. A field that the record of a site
does not name is kept in its ``more``.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any, Protocol

from relucid.functions import Activation
from relucid.probes.counters.totals import Totals
from relucid.probes.sums import Sum


class Counter(Protocol):
    """Names the sums that it needs of z and of h, and makes fields of the record of them."""

    of_z: tuple[Sum, ...]
    of_h: tuple[Sum, ...]

    def __init__(self, activation: Activation | None) -> None: ...

    def fields(self, z: Totals, h: Totals) -> dict[str, Any]:
        """Return the record's fields, one entry a unit."""


@cache
def counters() -> tuple[type[Counter], ...]:
    """Return the class of every file that has one, in alphabetical order of the files."""
    found = []
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        own = (v for v in vars(module).values() if getattr(v, "__module__", "") == module.__name__)
        found += [kind for kind in own if isinstance(kind, type) and hasattr(kind, "fields")]
    return tuple(found)
