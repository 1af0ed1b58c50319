"""What a shrink gives its user."""

from __future__ import annotations

from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from relucid.records.receipt import Receipt

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Shrunk:
    """The outcome of :func:`relucid.shrink`: a smaller model, and the receipt of what went."""

    model: nn.Module = field(repr=False)
    receipt: Receipt

    def show(self, console: Console | None = None) -> None:
        """Print the receipt to the terminal, or to a given Rich console."""
        from rich.console import Console as Terminal

        from relucid.report import receipt_text

        (console or Terminal()).print(receipt_text(self.receipt))

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the receipt: ``.html`` for one self-contained page, ``.json`` for the record.

        The model is written by :func:`relucid.export`. Raises
        :class:`~relucid.errors.OutputError` where the path cannot be written or has another
        suffix. An existing file is replaced as a whole or not at all.
        """
        from relucid.report import render_receipt_html, save_by_suffix

        return save_by_suffix(
            path,
            html=lambda: render_receipt_html(self.receipt),
            json=self.to_json,
            otherwise="; relucid.export writes the model",
        )

    def to_json(self) -> str:
        """Return the receipt as a JSON text, read by :func:`relucid.records.receipt_from_json`."""
        from relucid.records import receipt_to_json

        return receipt_to_json(self.receipt)

    def __repr__(self) -> str:
        removed, before = self.receipt.removed, self.receipt.units_before
        return f"<relucid shrunk {self.receipt.title}: {removed} of {before} units removed>"
