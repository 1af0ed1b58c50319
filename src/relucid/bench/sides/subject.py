"""What a contender offers for one pass and policy."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from relucid.bench.record import Policy, Work

Form = tuple[Work, Policy]
Result = tuple[Any, tuple[Any, ...] | None]
"""Value and gradients of a call; None for what the pass does not compute."""


@dataclass(frozen=True)
class Subject:
    """Something to time: ``run(number)`` is one call on that buffer set."""

    run: Callable[[int], Result]
    note: str = ""
    compile_seconds: float | None = None


class Contender(Protocol):
    """One contender on one function, dtype, size and number of threads."""

    def subject(self, form: Form) -> Subject | None:
        """The subject for a pass and policy, or None where it has no such form."""


def first_seconds(call: Callable[[], object]) -> float:
    """Seconds that the first call takes, which compiles what is called."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin
