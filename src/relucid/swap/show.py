"""The result of a swap for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from relucid.report.pen import Pen
from relucid.report.words import figure, one_line, plural
from relucid.swap.result import CALLS_NOT_SOUGHT, Gain, Swapped

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.table import Table


def rendered(swapped: Swapped) -> RenderableType:
    """Return a Rich renderable: a row a site, then the gain and the difference."""
    return _Shown(swapped)


class _Shown:
    """Known to Rich by ``__rich_console__``, where the terminal's letters are known at last."""

    def __init__(self, swapped: Swapped) -> None:
        self._swapped = swapped

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        pen, swapped = Pen(narrow=options.ascii_only), self._swapped
        yield pen.write(_heading(swapped), "bold")
        if swapped.changed or swapped.refused:
            yield _table(pen, swapped)
        for said in _below(swapped):
            yield pen.write(said, "dim")


def _heading(swapped: Swapped) -> str:
    kinds = Counter(change.kind for change in swapped.changed)
    parts = ", ".join(plural(number, kind) for kind, number in kinds.items()) or "nothing"
    refused = f"; {len(swapped.refused)} refused" if swapped.refused else ""
    return f"{one_line(swapped.model)}: {parts} swapped{refused}"


def _table(pen: Pen, swapped: Swapped) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("site", overflow="fold")
    for name in ("old", "new", ""):
        table.add_column(name, overflow="fold")
    for change in swapped.changed:
        row = (change.path, change.old, change.new, change.note)
        table.add_row(*(pen.write(one_line(cell)) for cell in row))
    for refusal in swapped.refused:
        row = (refusal.path, "", "refused", refusal.why)
        table.add_row(*(pen.write(one_line(cell), "yellow") for cell in row))
    return table


def _below(swapped: Swapped) -> Iterator[str]:
    yield from (_gain(gain) for gain in swapped.gain if gain.factor != 1.0)
    difference = swapped.difference
    if difference is not None:
        yield (
            f"Outputs on the example differ by {figure(difference.rms)} (root mean square; at most "
            f"{figure(difference.largest)}), and were {figure(difference.scale)} before."
        )
    if not swapped.calls_sought:
        yield f"{CALLS_NOT_SOUGHT.capitalize()}."


def _gain(gain: Gain) -> str:
    change = f"Gain {figure(gain.old)} ({gain.of_old}) to {figure(gain.new)} ({gain.of_new})"
    if gain.scaled is not None:
        return f"{change}: {plural(len(gain.scaled), 'layer')} scaled by {figure(gain.factor)}."
    which = (
        f"the {plural(len(gain.layers), 'layer')} that read" if gain.layers else "layers that read"
    )
    return (
        f"{change}: fresh weights of {which} them should be {figure(gain.factor)} times as large "
        "(right_gain=True does it)."
    )
