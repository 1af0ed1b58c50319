"""What relucid promises of its float32, 16-bit and float64 results, and where it is known to fail.

A row of the contract is one quantity of one function. A row that is broken and not among
``KNOWN``, or is worse than stated there, fails a run; so does an exception that is none any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from relucid.functions import Elementwise, get
from relucid.records.accuracy import Accuracy, Checks, FunctionAccuracy, Quantity, Worst

VALUE = 2.0
"""ULP of a float32 value, in the smallest subnormal where it is subnormal."""
DERIVATIVE = 4.0
"""The same of a derivative, away from its roots."""
EXACT = 0.500001
"""The same of the piecewise linear functions: correctly rounded, but for the truth's own error."""
NEAR_ROOT = 1e-7
"""Absolute error of a float32 derivative within 1e-3 of a root."""
FLOAT64 = 4.0
"""ULP of float64 results on a sample."""
TRUTH, TRUTH_NEAR_ROOT = 1e-6, 1e-12
"""What the float64 truth may differ from the textbook: ULP of float32, and absolutely."""
STALE_SAMPLE = 0.5
"""An exception that a sample shows is stale below this part of its bound: a sample misses the
worst input."""

Measure = Literal[
    "float32", "subnormal", "near root", "NaN", "same bits", "specials",
    "float16", "bfloat16", "float64", "truth", "truth near root",
]  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One quantity that is judged."""

    function: str
    which: str
    measure: Measure
    found: float
    bound: float
    at: float | None = None
    """The input with the largest error, where there is one."""
    sampled: bool = False

    @property
    def key(self) -> tuple[str, str, Measure]:
        """What an exception is filed under."""
        return self.function, self.which, self.measure


@dataclass(frozen=True)
class Known:
    """A row that misses its bound: how far off it may be, and why."""

    bound: float
    reason: str


_SHARED = "the numerator's, the square's and the exponential's roundings meet, on few inputs"
KNOWN: dict[tuple[str, str, Measure], Known] = {
    ("quick_gelu", "derivative", "float32"): Known(4.01, _SHARED),
    ("gelu_tanh", "derivative", "float32"): Known(4.01, _SHARED),
}


@dataclass(frozen=True)
class Verdict:
    """What a run says of the contract."""

    broken: tuple[Row, ...]
    """Rows that miss their bound, and that of their exception if they have one."""
    excused: tuple[Row, ...]
    """Rows that miss their bound as an exception says."""
    stale: tuple[tuple[Row, Known], ...]
    """Exceptions that are none any more, with what was found: to be taken off the list."""

    @property
    def kept(self) -> bool:
        """Whether all is as declared."""
        return not self.broken and not self.stale


def judge(
    accuracy: Accuracy, known: dict[tuple[str, str, Measure], Known] | None = None
) -> Verdict:
    """Compare a run with the contract. Exceptions can be stale on the default route only."""
    known = KNOWN if known is None else known
    every = [row for function in accuracy.functions for row in rows(function)]
    missed = [row for row in every if not row.found <= row.bound]
    limits = {key: exception.bound for key, exception in known.items()}
    broken = [row for row in missed if not row.found <= limits.get(row.key, row.bound)]
    default = accuracy.route == "default" and accuracy.precision == "standard"
    stale = [(row, known[row.key]) for row in every if row.key in known and default]
    return Verdict(
        broken=tuple(broken),
        excused=tuple(row for row in missed if row not in broken),
        stale=tuple((row, exception) for row, exception in stale if _is_stale(row, exception)),
    )


def _is_stale(row: Row, exception: Known) -> bool:
    if row.sampled:
        return row.found < STALE_SAMPLE * exception.bound and row.found <= row.bound
    return row.found <= row.bound


def bound(activation: Elementwise, which: str) -> float:
    """How many ULP a float32 result may be off."""
    if activation.piecewise_linear:
        return EXACT
    return VALUE if which == "value" else DERIVATIVE


def rows(function: FunctionAccuracy) -> Iterator[Row]:
    """Every row of the contract for one function."""
    own = function.libraries[0]
    value = ("value", own.value, function.value)
    derivative = ("derivative", own.derivative, function.derivative)
    for which, quantity, checks in (value, derivative):
        yield from _float32(function, which, quantity)
        yield from _others(function.id, which, checks)


def _float32(function: FunctionAccuracy, which: str, quantity: Quantity) -> Iterator[Row]:
    activation = get(function.name, **function.parameters)
    assert isinstance(activation, Elementwise)
    limit, tally, sampled = bound(activation, which), quantity.tally, not function.complete
    wrong = [special for special in quantity.specials if not special.right]
    worst: tuple[tuple[Measure, Worst, float], ...] = (
        ("float32", tally.normal, limit),
        ("subnormal", tally.subnormal, limit),
        ("near root", tally.near_root, NEAR_ROOT),
    )
    for measure, found, allowed in worst:
        yield Row(function.id, which, measure, found.error, allowed, found.at, sampled)
    yield Row(function.id, which, "NaN", tally.nan_lost, 0.0, sampled=sampled)
    yield Row(function.id, which, "same bits", tally.unlike, 0.0, sampled=sampled)
    at = wrong[0].input if wrong else None
    yield Row(function.id, which, "specials", len(wrong), 0.0, at)


def _others(name: str, which: str, checks: Checks) -> Iterator[Row]:
    for half in checks.halves:
        measure: Measure = "float16" if half.dtype == "float16" else "bfloat16"
        yield Row(name, which, measure, half.wrong, 0.0, half.at)
    double, truth = checks.float64, checks.truth
    yield Row(name, which, "float64", double.error, FLOAT64, double.at, True)
    yield Row(name, which, "truth", truth.ulp.error, TRUTH, truth.ulp.at, True)
    close = truth.near_root
    yield Row(name, which, "truth near root", close.error, TRUTH_NEAR_ROOT, close.at, True)
