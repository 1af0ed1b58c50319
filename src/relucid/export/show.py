"""What an export wrote, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group

from relucid.export.result import Exported
from relucid.report.bare_tables import facts_table
from relucid.report.pen import Pen
from relucid.report.words import figure, one_line, plural, size

if TYPE_CHECKING:
    from rich.console import RenderableType


def rendered(exported: Exported) -> RenderableType:
    """Return a Rich renderable: the file, its size, and its difference from the model."""
    pen = Pen(narrow=False)
    head = pen.write(one_line(str(exported.path)), "bold")
    notes = (pen.write(note, "yellow") for note in exported.notes)
    return Group(head, facts_table(pen, _facts(exported)), *notes)


def _facts(exported: Exported) -> Iterator[tuple[str, str]]:
    yield "form", exported.form
    yield "size", f"{size(exported.bytes)}; the model's weights take {size(exported.weights)}"
    if exported.samples:
        yield "batch", "any size" if exported.batch is None else f"{exported.batch} alone"
        yield (
            "difference",
            (
                f"at most {figure(exported.largest)} of the outputs' size, root mean square "
                f"{figure(exported.rms)}, on {plural(exported.samples, 'sample')}"
            ),
        )
    else:
        yield "difference", "none: read back to the last bit"
