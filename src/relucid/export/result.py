"""What an export wrote, and how it compares with the model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Exported:
    """The result of :func:`relucid.export`."""

    path: Path
    form: str
    """What the file is, in words: ``ONNX, weights and activations in int8``."""
    bytes: int
    """Of the file, and of the file of weights beside it where there is one."""
    weights: int
    """Bytes of the model's parameters and buffers."""
    samples: int
    """On which file and model were compared; 0 where the file holds weights alone."""
    largest: float
    """Largest difference of an output over the largest magnitude of that output."""
    rms: float
    """Root mean square of the difference over that of the output."""
    batch: int | None
    """The size of batch that the file is limited to; None where it takes any."""
    notes: tuple[str, ...] = ()

    def show(self, console: Console | None = None) -> None:
        """Print it to the terminal, or to a given Rich console."""
        from rich.console import Console as Terminal

        from relucid.export.show import rendered

        (console or Terminal()).print(rendered(self))

    def __str__(self) -> str:
        """The whole in words, as :meth:`show` prints it."""
        from relucid.export.show import rendered
        from relucid.report.printed import printed

        return printed(rendered(self))
