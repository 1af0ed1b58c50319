"""The view of a training run while it goes on: one line a site."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from relucid.records import Observation, SiteHistory, SiteRecord
from relucid.report.bare_tables import bare_table
from relucid.report.pen import Pen
from relucid.report.summary import function_name
from relucid.report.words import MISSING, figure, one_line, percent, plural

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.table import Table

_FULL, _EMPTY = ("█", "#"), ("░", ".")
_CELLS = 8
_WIDTHS = {"function": 12, "fires": _CELLS + 7, "dead": 11, "revived": 7, "gradient": 8}
_WIDE = 72
"""Columns from which on the function is named too."""
_AROUND = 5
"""Lines beside those of sites: a heading, the names of the columns, and up to three notes."""


def live_view(observation: Observation, note: str = "") -> RenderableType:
    """Return a Rich renderable of what was seen so far, no higher than the terminal.

    Each site has a line, in the order of execution; where the terminal has fewer, those with NaN
    and with the largest share of dead units are shown, the worst first. All numbers are
    those of a pass, at the last point of the site's history: the units that were dead in it, and
    those that fired again. ``note`` is put into the heading.
    """
    return _View(observation, note)


def live_line(observation: Observation, note: str = "") -> str:
    """Return the same in one line, for where there is no terminal."""
    seen = _with_history(observation)
    units = sum(record.site.units for record, _ in seen)
    dead = sum(float(history.dead[-1]) for record, history in seen if record.site.units)
    revived = sum(_revived(history) for record, history in seen if record.site.units)
    passes = "pass" if observation.batches == 1 else "passes"
    parts = [
        *([one_line(note)] if note else []),
        f"{observation.batches:,} {passes} watched",
        plural(len(observation.sites), "site"),
        f"{figure(dead)} of {plural(units, 'unit')} dead in a pass, {figure(revived)} revived",
        *_notes(seen),
    ]
    return "; ".join(parts)


class _View:
    """Known to Rich by ``__rich_console__``, where the terminal's size is known at last."""

    def __init__(self, observation: Observation, note: str) -> None:
        self.observation, self.note = observation, note

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        pen = Pen(narrow=options.ascii_only)
        seen = _with_history(self.observation)
        room = max((options.height or console.height) - _AROUND, 1)
        chosen = seen if len(seen) <= room else sorted(seen, key=_badness)[:room]
        heading = pen.write(one_line(self.observation.model), "bold")
        heading.append_text(pen.write(f"  {one_line(self.note)}" if self.note else ""))
        yield _cut(heading)
        yield _table(pen, chosen, options.max_width)
        if len(chosen) < len(seen):
            yield _cut(pen.write(f"The worst {len(chosen)} of {len(seen):,} sites.", "dim"))
        for line in _notes(seen):
            yield _cut(pen.write(line, "bold"))


Seen = tuple[SiteRecord, SiteHistory]


def _with_history(observation: Observation) -> list[Seen]:
    records = sorted(observation.sites, key=lambda record: record.site.order)
    return [(one, one.history) for one in records if one.history and len(one.history.step)]


def _badness(seen: Seen) -> tuple[bool, float, int]:
    """Sort sites with NaN first, then those with the largest share of dead units."""
    record, history = seen
    share = history.dead[-1] / record.site.units if record.site.units else 0.0
    return not _nonfinite(record), -float(share), record.site.order


def _nonfinite(record: SiteRecord) -> int:
    gradient = 0 if record.gradient is None else record.gradient.nonfinite
    return record.nonfinite_in + record.nonfinite_out + gradient


def _notes(seen: Sequence[Seen]) -> list[str]:
    """Say what no column says: NaN, and units that have been dead for long."""
    lines = []
    ill = [record.site.name for record, _ in seen if _nonfinite(record)]
    if ill:
        lines.append(f"NaN or infinite values at {plural(len(ill), 'site')}: {one_line(ill[0])}")
    long = sum(len(history.window_dead_units) for _, history in seen)
    if long:
        window = seen[0][1].window
        lines.append(f"{plural(long, 'unit')} did not fire in the last {window:,} passes")
    return lines


def _table(pen: Pen, seen: Sequence[Seen], width: int) -> Table:
    columns = {n: w for n, w in _WIDTHS.items() if n != "function" or width >= _WIDE}
    table = bare_table(1)
    name = max(width - sum(columns.values()) - len(columns), 8)
    table.add_column("site", no_wrap=True, width=name)
    for column, cells in columns.items():
        side: Any = "left" if column in ("function", "fires") else "right"
        table.add_column(column, no_wrap=True, width=cells, justify=side)
    for record, history in seen:
        found = {"site": _shortened(pen, record.site.name, name, tail=True)}
        found |= {
            column: cell
            for column, cell in _cells(pen, record, history).items()
            if column in columns
        }
        ill = _nonfinite(record) or history.dead[-1] > 0
        table.add_row(*(pen.write(one) for one in found.values()), style="red" if ill else "")
    return table


def _cells(pen: Pen, record: SiteRecord, history: SiteHistory) -> dict[str, str]:
    function = _shortened(pen, function_name(record), _WIDTHS["function"], tail=False)
    gradient = history.gradient[np.isfinite(history.gradient)][-1:]
    found = dict.fromkeys(_WIDTHS, MISSING) | {"function": function}
    if len(gradient):
        found["gradient"] = figure(float(gradient[0]))
    if record.site.units:
        found["fires"] = _bar(pen, float(history.fire_rate[-1]))
        found["dead"] = f"{figure(float(history.dead[-1]))}/{record.site.units:,}"
        found["revived"] = figure(_revived(history))
    return found


def _revived(history: SiteHistory) -> float:
    """How many units fired in a pass that had been dead in the one before, of late."""
    return float(history.revived[-1] / history.passes[-1])


def _bar(pen: Pen, rate: float) -> str:
    full = round(rate * _CELLS) if np.isfinite(rate) else 0
    return f"{pen.sign(_FULL) * full}{pen.sign(_EMPTY) * (_CELLS - full)} {percent(rate):>6}"


def _shortened(pen: Pen, text: str, width: int, *, tail: bool) -> str:
    """Cut a text to a number of cells; of a path the end tells most."""
    from rich.cells import cell_len

    sign = pen.sign(("…", "..."))
    seen = pen.write(one_line(text)).plain
    if cell_len(seen) <= width:
        return seen
    while seen and cell_len(seen) > width - len(sign):
        seen = seen[1:] if tail else seen[:-1]
    return sign + seen if tail else seen + sign


def _cut(line: RenderableType) -> RenderableType:
    """Keep a line to one line."""
    from rich.text import Text

    if isinstance(line, Text):
        line.no_wrap, line.overflow = True, "ellipsis"
    return line
