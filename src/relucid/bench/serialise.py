"""The JSON form of results: versioned, valid JSON even with NaN, and round-tripping."""

from __future__ import annotations

import json
from typing import Any

from relucid.bench.record import Results
from relucid.errors import RecordError
from relucid.records.serialise import decode, encode

FORMAT = "relucid.bench"
VERSION = 1


def to_json(results: Results) -> str:
    """Return results as a JSON text that :func:`from_json` reads back, one row a line."""
    head = {"format": FORMAT, "version": VERSION, **encode(results)}
    rows = ",\n".join(_compact(row) for row in head.pop("rows"))
    return f'{_compact(head)[:-1]}, "rows": [\n{rows}\n]}}\n'


def from_json(text: str) -> Results:
    """Read what :func:`to_json` wrote.

    Raises :class:`~relucid.errors.RecordError` where the text is not JSON, no benchmark, or of a
    version that this relucid does not read.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise RecordError(f"this is not JSON ({error}); pass a file of relucid bench") from error
    if not isinstance(document, dict) or document.pop("format", None) != FORMAT:
        raise RecordError(f'this JSON has no "format": "{FORMAT}"; pass a file of relucid bench')
    version = document.pop("version", None)
    if version != VERSION:
        raise RecordError(
            f"this benchmark is of version {version!r} and this relucid reads version {VERSION}; "
            "run relucid bench again"
        )
    try:
        results: Results = decode(Results, document)
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        raise RecordError(
            f"this benchmark is damaged ({error!r}); run relucid bench again"
        ) from error
    return results


def _compact(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False)
