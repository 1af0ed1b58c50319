"""What :func:`relucid.accelerate` gives its user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relucid.records.acceleration import Acceleration
from relucid.sparse.layer import Seen, SparseLinear
from relucid.swap.ledger import Ledger, Undoable

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Accelerated(Undoable):
    """The result of :func:`relucid.accelerate`: its report, and the layers that it put in."""

    report: Acceleration
    layers: Mapping[str, SparseLinear] = field(repr=False)
    """The new layers, by their paths."""
    ledger: Ledger = field(repr=False, compare=False)

    @property
    def seen(self) -> dict[str, Seen]:
        """What each layer did since: calls with work left out, calls in full, and why."""
        return {path: layer.seen for path, layer in self.layers.items()}

    def undo(self) -> None:
        """Put back the very same old layers, with the parameters as they are now.

        Does nothing the second time. Raises :class:`~relucid.errors.ModelError`, and undoes
        nothing, where other layers stand there by now.
        """
        self.ledger.undo()

    def refresh(self) -> None:
        """Take the weights as they are now, after a change to them."""
        for layer in self.layers.values():
            layer.refresh()

    def show(self, console: Console | None = None) -> None:
        """Print the report to the terminal, or to a given Rich console."""
        from rich.console import Console as Terminal

        from relucid.report import acceleration_text

        (console or Terminal()).print(acceleration_text(self.report))

    def to_json(self) -> str:
        """Return the report as a JSON text.

        :func:`relucid.records.acceleration_from_json` reads it.
        """
        from relucid.records import acceleration_to_json

        return acceleration_to_json(self.report)

    def __repr__(self) -> str:
        count = len(self.layers)
        return f"<relucid accelerated {self.report.title}: {count} layers replaced>"
