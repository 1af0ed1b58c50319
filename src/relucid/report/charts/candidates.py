"""How candidates are told apart in pictures: by number, letters, colour and mark."""

from __future__ import annotations

import re

from relucid.report.charts.drawing import INK, MUTED
from relucid.report.comparison_words import Row
from relucid.report.words import one_line

COLOURED = 8
"""Candidates that have a colour of their own, at most: more are not told apart."""
LETTERS, _END = 18, 7
"""Letters of a name, at most, and those of them that are its last."""
# What XML has no place for, though HTML and terminals have; `one_line` wrote the others out.
_FOREIGN = re.compile("[\ufffe\uffff]")


def candidate_colours(rows: tuple[Row, ...]) -> dict[str, str]:
    """Return the colour of each candidate: of the first ones their own, the baseline neutral."""
    others = [row for row in rows if not row.is_baseline]
    own = {row.candidate.name: f"var(--c{i})" for i, row in enumerate(others[:COLOURED], 1)}
    return {
        row.candidate.name: INK if row.is_baseline else own.get(row.candidate.name, MUTED)
        for row in rows
    }


def label(row: Row) -> str:
    """Return the number and the name of a candidate, cut short, as letters that SVG can hold.

    The end is kept: it tells ``elu(alpha=0.5)`` from ``elu(alpha=2.0)``.
    """
    name = _FOREIGN.sub("?", one_line(row.candidate.name))
    short = name if len(name) <= LETTERS else f"{name[: LETTERS - _END - 1]}…{name[-_END:]}"
    return f"{row.number} {short}"
