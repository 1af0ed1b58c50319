"""How accurate functions were found to be, and the JSON form of that."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any

from relucid.errors import RecordError
from relucid.records.serialise import decode, encode

FORMAT = "relucid.accuracy"
VERSION = 1
LIMITS = (0.5, 1.0, 2.0, 4.0)
"""Errors in units in the last place above which results are counted."""


@dataclass(frozen=True)
class Worst:
    """The largest error of its kind, infinite for NaN or a wrong infinity, and its input."""

    error: float = 0.0
    at: float | None = None
    """None where no error was found."""

    def worse(self, other: Worst) -> Worst:
        """The larger of two; of equals the one whose input has the smaller bit pattern."""
        if self.error != other.error:
            return self if self.error > other.error else other
        return min(self, other, key=lambda worst: _pattern(worst.at))


def _pattern(x: float | None) -> int:
    if x is None:
        return 1 << 64
    return int.from_bytes(struct.pack(">d", x), "big")


@dataclass(frozen=True)
class Tally:
    """What was found of one float32 quantity over a set of inputs. Sets without overlap add up."""

    inputs: int = 0
    normal: Worst = Worst()
    """In units in the last place (ULP) of a truth that is a normal float32 or overflows."""
    above: tuple[int, ...] = (0,) * len(LIMITS)
    """How many of those results are off by more than each of ``LIMITS``."""
    subnormal: Worst = Worst()
    """In units of the smallest subnormal, where the truth is below the normal numbers."""
    near_root: Worst = Worst()
    """Absolute, within 1e-3 of a root of the derivative; those inputs count nowhere else."""
    nan_lost: int = 0
    """NaN inputs whose result is a number."""
    unlike: int = 0
    """Results whose bits differ between training and a call without gradient (relucid only)."""

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            inputs=self.inputs + other.inputs,
            normal=self.normal.worse(other.normal),
            above=tuple(a + b for a, b in zip(self.above, other.above, strict=True)),
            subnormal=self.subnormal.worse(other.subnormal),
            near_root=self.near_root.worse(other.near_root),
            nan_lost=self.nan_lost + other.nan_lost,
            unlike=self.unlike + other.unlike,
        )


@dataclass(frozen=True)
class Special:
    """What comes out of one input that is often got wrong; the same in every lane, or wrong."""

    input: float
    expected: float
    found: float
    right: bool


@dataclass(frozen=True)
class Quantity:
    """The value or the derivative of a function as one library computes it in float32."""

    tally: Tally
    specials: tuple[Special, ...]


@dataclass(frozen=True)
class Library:
    """A library's own function: ``relucid``, ``pytorch`` or ``jax``."""

    name: str
    value: Quantity
    derivative: Quantity


@dataclass(frozen=True)
class TruthCheck:
    """How far the float64 truth is from the textbook definition in arbitrary precision."""

    points: int
    ulp: Worst
    """In units in the last place of float32, at least the smallest subnormal."""
    near_root: Worst
    """Absolute, within 1e-3 of a root of the derivative."""


@dataclass(frozen=True)
class Half:
    """One 16-bit type on all its inputs."""

    dtype: str
    moved: int
    """Results that are not the correctly rounded ones."""
    wrong: int
    """Those of them that one evaluation in float32 does not explain, and wrong NaNs."""
    at: float | None
    """The first input that has a wrong result."""


@dataclass(frozen=True)
class Checks:
    """What is measured of relucid's value or derivative beside the float32 inputs."""

    truth: TruthCheck
    halves: tuple[Half, ...]
    float64: Worst
    """In ULP, on a sample; errors that are small absolutely near a root count as 0."""


@dataclass(frozen=True)
class FunctionAccuracy:
    """All that was measured of one function at given parameters."""

    name: str
    parameters: dict[str, float]
    """Those that differ from the defaults."""
    complete: bool
    """Whether all 2**32 inputs were measured, or a sample."""
    value: Checks
    derivative: Checks
    libraries: tuple[Library, ...]
    """relucid first."""

    @property
    def id(self) -> str:
        """``elu``, or ``elu:alpha=0.5`` where parameters differ from the defaults."""
        return function_id(self.name, self.parameters)


@dataclass(frozen=True)
class Accuracy:
    """A run of ``relucid verify``."""

    date: str
    """ISO 8601."""
    machine: str
    versions: dict[str, str]
    route: str
    """The route that was asked for: ``default``, ``plain``, ``llvm``."""
    precision: str
    """``standard`` or ``correct``."""
    functions: tuple[FunctionAccuracy, ...]

    @property
    def complete(self) -> bool:
        """Whether every function was measured on all 2**32 inputs."""
        return all(function.complete for function in self.functions)


def function_id(name: str, parameters: dict[str, float]) -> str:
    """Return ``elu`` or ``elu:alpha=0.5,beta=2``, as the command takes it."""
    chosen = ",".join(f"{n}={v!r}".removesuffix(".0") for n, v in parameters.items())
    return f"{name}:{chosen}" if chosen else name


def accuracy_json(accuracy: Accuracy, *, indent: int | None = 1) -> str:
    """Return a run as a versioned JSON text that :func:`accuracy_from_json` reads back."""
    document = {"format": FORMAT, "version": VERSION, "accuracy": encode(accuracy)}
    return json.dumps(document, indent=indent, allow_nan=False, ensure_ascii=False)


def accuracy_from_json(text: str) -> Accuracy:
    """Read what :func:`accuracy_json` wrote.

    Raises :class:`~relucid.errors.RecordError`.
    """
    accuracy: Accuracy = read_document(text, FORMAT, VERSION, Accuracy, "accuracy")
    return accuracy


def read_document(text: str, form: str, version: int, kind: type, key: str) -> Any:
    """Return the record of type ``kind`` that a versioned JSON document has under ``key``.

    Raises :class:`~relucid.errors.RecordError` where it is another document or damaged.
    """
    try:
        document = json.loads(text)
        header = document["format"], document["version"]
        record = decode(kind, document[key]) if header == (form, version) else None
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        raise RecordError(
            f"this is no {form}, or damaged ({error!r}); `relucid verify` writes a new one"
        ) from error
    if record is None:
        raise RecordError(
            f"this is {header[0]!r} of version {header[1]!r}, and {form!r} of version {version} "
            "is read here; `relucid verify` writes a new one"
        )
    return record
