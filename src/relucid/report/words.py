"""Numbers and untrusted names as words that a reader and a terminal can take."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

MISSING = "–"

# Control codes, invisible and direction-changing characters, lone surrogates: what can move a
# cursor, hide text or reverse it. Newline and tab are left to `one_line`.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_PLAIN_LETTERS = str.maketrans(
    {
        "–": "-", "—": "-", "−": "-", "·": "-", "×": "x", "…": "...", "’": "'", "‘": "'",
        "“": '"', "”": '"', "≤": "<=", "≥": ">=", "→": "->", "±": "+/-", "≈": "~", "∞": "inf",
    }
)  # fmt: skip
_SIZES = ("B", "kB", "MB", "GB", "TB")
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def plain(text: str) -> str:
    """Return ``text`` with every control and invisible character written out as its code."""
    return _HIDDEN.sub(lambda match: _code(match[0]), text)


def one_line(text: str) -> str:
    """Return ``text`` as :func:`plain` does, with newlines and tabs written out too."""
    return plain(text).replace("\n", "\\n").replace("\t", "\\t")


def ascii_only(text: str) -> str:
    """Return ``text`` in ASCII: usual signs by their plain form, other letters by their code."""
    return text.translate(_PLAIN_LETTERS).encode("ascii", "backslashreplace").decode("ascii")


def figure(value: float | None) -> str:
    """Write a number with three significant digits: ``0.0123``, ``1,797``, ``4.2e-9``."""
    if value is None:
        return MISSING
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("infinite" if value > 0 else "-infinite")
    if value != 0 and not 1e-3 <= abs(value) < 1e6:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def percent(share: float | None) -> str:
    """Write a share as a percentage that is 0% or 100% only where it is so exactly."""
    if share is None:
        return MISSING
    if not math.isfinite(share):
        return figure(share)
    if 0 < share < 0.001:
        return "<0.1%"
    if 0.999 < share < 1:
        return ">99.9%"
    return f"{100 * share:.3g}%"


def amount(value: float | None, quantity: str) -> str:
    """Write a measured value in the form that its quantity asks for."""
    is_share = quantity.startswith("share") or "fire rate" in quantity
    return percent(value) if is_share else figure(value)


def size(count: int) -> str:
    """Write a number of bytes: ``512 B``, ``34.5 kB``, ``1.2 MB``."""
    power = min((len(str(count)) - 1) // 3, len(_SIZES) - 1)
    return f"{figure(count / 1000.0**power)} {_SIZES[power]}"


def plural(count: int, noun: str) -> str:
    """Write a count with its noun: ``1 unit``, ``17 units``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def in_words(count: int) -> str:
    """Write small counts in letters."""
    return _NUMBERS[count] if count < len(_NUMBERS) else f"{count:,}"


def listed(items: Sequence[str]) -> str:
    """Join items as a sentence does: ``a, b and c``."""
    if len(items) < 2:
        return "".join(items)
    return ", ".join(items[:-1]) + " and " + items[-1]


def spans(indices: Iterable[int], limit: int = 24) -> str:
    """Write indices as spans, ``0–16, 20``; after ``limit`` spans only how many are left."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], index]
        else:
            runs.append([index, index])
    texts = [f"{a}" if a == b else f"{a}–{b}" for a, b in runs[:limit]]
    left = sum(b - a + 1 for a, b in runs[limit:])
    return ", ".join(texts) + (f" and {left:,} more" if left else "")


def _code(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
