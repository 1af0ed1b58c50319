"""The JSON form of records: versioned, valid JSON even with NaN, and round-tripping.

A record becomes an object with one key a field, in the order of declaration; an array or tuple
becomes a list; NaN and the infinities, which JSON lacks, become the strings ``"NaN"``,
``"Infinity"`` and ``"-Infinity"``.
"""

from __future__ import annotations

import json
import math
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import numpy as np

from relucid.errors import RecordError
from relucid.records.acceleration import Acceleration
from relucid.records.comparison import Comparison
from relucid.records.findings import Checkup
from relucid.records.receipt import Receipt


def to_json(checkups: Sequence[Checkup], *, indent: int | None = 1) -> str:
    """Return checkups as a JSON text that :func:`from_json` reads back."""
    return _CHECKUPS.write(tuple(checkups), indent)


def from_json(text: str) -> tuple[Checkup, ...]:
    """Read what :func:`to_json` wrote.

    Raises :class:`~relucid.errors.RecordError` where the text is not JSON, not a checkup, or of
    a version that this relucid does not read.
    """
    return cast(tuple[Checkup, ...], _CHECKUPS.read(text))


def comparison_to_json(comparison: Comparison, *, indent: int | None = 1) -> str:
    """Return a comparison as a JSON text that :func:`comparison_from_json` reads back."""
    return _COMPARISON.write(comparison, indent)


def comparison_from_json(text: str) -> Comparison:
    """Read what :func:`comparison_to_json` wrote.

    Raises :class:`~relucid.errors.RecordError` as :func:`from_json` does.
    """
    return cast(Comparison, _COMPARISON.read(text))


def receipt_to_json(receipt: Receipt, *, indent: int | None = 1) -> str:
    """Return the receipt of a shrink as a JSON text that :func:`receipt_from_json` reads back."""
    return _RECEIPT.write(receipt, indent)


def receipt_from_json(text: str) -> Receipt:
    """Read what :func:`receipt_to_json` wrote.

    Raises :class:`~relucid.errors.RecordError` as :func:`from_json` does.
    """
    return cast(Receipt, _RECEIPT.read(text))


def acceleration_to_json(acceleration: Acceleration, *, indent: int | None = 1) -> str:
    """Return the report of an accelerated model as a JSON text.

    :func:`acceleration_from_json` reads it back.
    """
    return _ACCELERATION.write(acceleration, indent)


def acceleration_from_json(text: str) -> Acceleration:
    """Read what :func:`acceleration_to_json` wrote.

    Raises :class:`~relucid.errors.RecordError` as :func:`from_json` does.
    """
    return cast(Acceleration, _ACCELERATION.read(text))


@dataclass(frozen=True)
class _Document:
    """A kind of JSON document: an object with a format, a version and one value."""

    form: str
    version: int
    key: str
    """Under which the value stands."""
    kind: Any
    """Type of the value."""
    noun: str
    """What a person calls it: run ``the <noun>`` again to have another."""

    def write(self, value: Any, indent: int | None) -> str:
        document = {"format": self.form, "version": self.version, self.key: encode(value)}
        return json.dumps(document, indent=indent, allow_nan=False, ensure_ascii=False)

    def read(self, text: str) -> Any:
        document = self._opened(text)
        try:
            return decode(self.kind, document[self.key])
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            raise RecordError(
                f"this {self.noun} is damaged ({error!r}); run the {self.noun} again to write a "
                "new one"
            ) from error

    def _opened(self, text: str) -> dict[str, Any]:
        """Return a document of this format and version."""
        cure = "pass a file that --json wrote"
        try:
            document = json.loads(text)
        except json.JSONDecodeError as error:
            raise RecordError(f"this is not JSON ({error}); {cure}") from error
        if not isinstance(document, dict) or document.get("format") != self.form:
            raise RecordError(f'this JSON has no "format": "{self.form}"; {cure}')
        if document.get("version") != self.version:
            raise RecordError(
                f"this {self.noun} is of version {document.get('version')!r} and this relucid "
                f"reads version {self.version}; run the {self.noun} again, or read it with the "
                "relucid that wrote it"
            )
        return document


_CHECKUPS = _Document("relucid.checkup", 1, "checkups", tuple[Checkup, ...], "checkup")
_COMPARISON = _Document("relucid.comparison", 1, "comparison", Comparison, "comparison")
_RECEIPT = _Document("relucid.receipt", 1, "receipt", Receipt, "shrink")
_ACCELERATION = _Document("relucid.acceleration", 1, "acceleration", Acceleration, "acceleration")


def encode(value: Any) -> Any:
    """Return a record as what :mod:`json` can write: objects, lists, texts and numbers."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: encode(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, np.ndarray):
        return [encode(item) for item in value.tolist()]
    if isinstance(value, dict):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    if isinstance(value, np.generic):
        return encode(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


def decode(kind: Any, value: Any) -> Any:
    """Return the record of type ``kind`` that :func:`encode` gave ``value`` for.

    Raises KeyError, OverflowError, TypeError or ValueError where it is none.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        return decode(next(a for a in arguments if a is not type(None)), value)
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"{value!r} is none of {arguments}")
        return value
    if origin in (np.ndarray, tuple) and not isinstance(value, list):
        raise TypeError(f"expected a list, found {value!r}")
    wants_object = origin is dict or is_dataclass(kind)
    if wants_object and not isinstance(value, dict):
        raise TypeError(f"expected an object, found {value!r}")
    if origin is np.ndarray and get_args(arguments[1]) == (np.int64,):
        # By way of a float, counts above 2^53 would come back as others.
        return np.array([decode(int, v) for v in value], dtype=np.int64)
    if origin is np.ndarray:
        (element,) = get_args(arguments[1])
        return np.array([decode(float, v) for v in value], dtype=element)
    if origin is tuple:
        return tuple(decode(arguments[0], item) for item in value)
    if origin is dict:
        return {key: decode(arguments[1], item) for key, item in value.items()}
    if is_dataclass(kind):
        hints, make = get_type_hints(kind), cast(Callable[..., Any], kind)
        return make(**{name: decode(hints[name], item) for name, item in value.items()})
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind(value)
    if kind is float:
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"expected {kind.__name__}, found {value!r}")
    return value
