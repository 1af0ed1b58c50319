"""What a swap did."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from relucid.swap.ledger import Ledger, Undoable

if TYPE_CHECKING:
    from rich.console import Console

CALLS_NOT_SOUGHT = (
    "calls of functions in a forward were not looked for: pass example=, a batch of inputs"
)


@dataclass(frozen=True)
class Changed:
    """A site that has the new activation."""

    path: str
    """Of the module, or the site's name as a checkup gives it."""
    old: str
    new: str
    kind: Literal["module", "attribute", "call"]
    note: str = ""


@dataclass(frozen=True)
class Refused:
    """A site that still has the old activation, or may have it."""

    path: str
    why: str


@dataclass(frozen=True)
class Gain:
    """How much the weights of layers that read an activation should change with it.

    ``old`` and ``new`` are the gains of :func:`relucid.nn.gain`, for the functions named
    ``of_old`` and ``of_new``.
    """

    of_old: str
    of_new: str
    old: float
    new: float
    layers: tuple[str, ...] = ()
    """Layers whose input is one of the swapped activations, perhaps pooled or reshaped; known
    where there was an example."""
    scaled: tuple[str, ...] | None = None
    """Those whose weights were multiplied; None where that was not asked for."""

    @property
    def factor(self) -> float:
        """What the weights should be multiplied by."""
        return self.new / self.old


@dataclass(frozen=True)
class Difference:
    """By how much the outputs on the example changed, over all numbers of the output."""

    largest: float
    rms: float
    scale: float
    """Root mean square of the outputs before."""


@dataclass(frozen=True)
class Swapped(Undoable):
    """The result of :func:`relucid.swap`."""

    model: str
    old: str
    changed: tuple[Changed, ...]
    refused: tuple[Refused, ...]
    gain: tuple[Gain, ...]
    difference: Difference | None
    calls_sought: bool
    """Whether calls of functions were looked for, which needs an example."""
    ledger: Ledger = field(repr=False, compare=False)

    def undo(self) -> None:
        """Put back the very same old objects, and the weights that were scaled.

        A weight that was trained since it was scaled is divided by the factor. Does nothing the
        second time. Raises :class:`~relucid.errors.ModelError`, and undoes nothing, where the
        sites were changed again since.
        """
        self.ledger.undo()

    def show(self, console: Console | None = None) -> None:
        """Print a table of what changed to the terminal, or to a given Rich console."""
        from rich.console import Console

        from relucid.swap.show import rendered

        (console or Console()).print(rendered(self))

    def __str__(self) -> str:
        """The whole in words, as :meth:`show` prints it."""
        from relucid.report.printed import printed
        from relucid.swap.show import rendered

        return printed(rendered(self))

    def __repr__(self) -> str:
        return str(self)
