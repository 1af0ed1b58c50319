"""Layers put in the place of others, and back."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from relucid.sparse.layer import SparseLinear
from relucid.swap.slots import Slot


@dataclass(frozen=True)
class Replaced:
    """A linear layer in whose place another one stands."""

    slot: Slot
    after: SparseLinear

    def make(self) -> Replaced:
        """Put the new layer there, with whatever else the old one was given."""
        for name, value in vars(self.slot.module).items():
            vars(self.after).setdefault(name, value)
        self.slot.parent._modules[self.slot.name] = self.after
        return self

    def undo(self) -> None:
        """Put the very same old layer back, with the parameters as they are now."""
        before = self.slot.module
        restored = self.after.restored()  # which puts the weights in memory as they were
        before._parameters.update(restored._parameters)
        before.training = self.after.training
        self.slot.parent._modules[self.slot.name] = before

    def lost(self) -> str:
        """Tell whether something else stands there now."""
        there: nn.Module | None = self.slot.parent._modules.get(self.slot.name)
        return "" if there is self.after else repr(self.slot.path)
