"""What was found in a model: blocks whose hidden activation makes zeros."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Block:
    """``down(act(first(x)))``, or ``down(act(first(x)) * partner(x))``, by the layers' paths."""

    down: str
    """The layer that reads the zeros; empty where it has to stay as it is."""
    function: str
    """The activation, by its name in the catalogue."""
    first: str = ""
    """The layer whose output only the activation reads; empty where there is none."""
    level: float = 0.0
    """Up to which the function is 0."""
    partner: str = ""
    """The other factor; empty where there is none, or it has to be computed in full."""

    @property
    def layers(self) -> tuple[str, ...]:
        """The paths of the layers that can be replaced, in the order of the forward pass."""
        return tuple(path for path in (self.first, self.partner, self.down) if path)


@dataclass
class Blocks:
    """All blocks of a model, the layers that have to stay, and what is to be said of the search."""

    found: list[Block] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """Why, by the layer's path."""
    notes: list[str] = field(default_factory=list)
    by_graph: bool = False
    """Whether the forward pass was read, and not only what stands in nn.Sequential."""
