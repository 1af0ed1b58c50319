"""The measured facts of a benchmark, as frozen records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from relucid.bench.statistics import Spread, held

Work = Literal["forward", "backward", "both"]
"""The pass: the value, the gradient for a given output gradient, or one after the other."""
Policy = Literal["fresh", "out"]
"""Whether every call allocates its outputs, or writes into buffers that it is given."""


@dataclass(frozen=True)
class Setting:
    """What was measured, but for the sides."""

    function: str
    dtype: str
    size: int
    """Elements of the output."""
    work: Work
    policy: Policy
    threads: int


@dataclass(frozen=True)
class Side:
    """One contender in a row. Times are nanoseconds a call."""

    name: str
    """relucid, a peer (eager, compile, jax, numpy), or a yardstick (copy, relu)."""
    time: Spread
    speedup: Spread
    """This side's time over relucid's, paired: above 1 relucid is faster."""
    copies: Spread
    """This side's time over that of ``y.copy_(x)``, paired."""
    value_error: float | None
    """Worst error of the value in units in the last place; None where none was computed."""
    gradient_error: float | None
    compile_seconds: float | None
    """What its first calls took; None for a side that compiles nothing."""
    note: str
    """How it differs from the plain case, such as an out= form that had to be composed."""


@dataclass(frozen=True)
class Row:
    """All sides of one setting, timed in turn in the same iterations."""

    setting: Setting
    sides: tuple[Side, ...]
    control: Spread
    """relucid's time over relucid's own, in the same iterations."""
    iterations: int
    attempts: int
    """How often it was measured until the control held; the last is what is recorded."""
    wrong: str
    """Why relucid's result breaks the accuracy contract; empty where it keeps it."""

    @property
    def discarded(self) -> bool:
        """Whether the control failed, so that the row's times say nothing."""
        return not held(self.control)

    def side(self, name: str) -> Side | None:
        """The side called ``name``, or None where it did not take part."""
        return next((side for side in self.sides if side.name == name), None)


@dataclass(frozen=True)
class FirstUse:
    """Seconds from the import to the first value and gradient of a function, in a new process."""

    function: str
    cold: Spread
    """With an empty folder for compiled kernels."""
    cached: Spread
    """With the folder that the process before filled."""


@dataclass(frozen=True)
class Machine:
    """Where it was measured, and what."""

    cpu: str
    cores: int
    cache: int
    """Bytes of the last-level cache."""
    system: str
    versions: dict[str, str]
    commit: str
    """The git commit; empty outside a checkout."""
    source: str
    """Fingerprint of relucid's own files: rows of other code are never mixed with these."""


@dataclass(frozen=True)
class Results:
    """A whole run."""

    date: str
    machine: Machine
    rows: tuple[Row, ...]
    first_use: FirstUse | None
