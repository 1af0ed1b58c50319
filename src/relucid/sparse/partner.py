"""A linear layer that computes only the units that a gate left open."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from relucid.sparse.calibrate import Calibration
from relucid.sparse.certified import NOT_OF_THIS, CertifiedLinear, Gates
from relucid.sparse.layer import SparseLinear
from relucid.sparse.products import ListedProduct
from relucid.sparse.shadow import most_of

_NO_GATES = "its gate was not called before it with these inputs, or computed in full"


class PartnerLinear(SparseLinear):
    """The other factor of a gated block, ``down(act(gate(x)) * up(x))``: 0 where the gate is shut.

    The gate has to be called before it, with the same input, whose values are compared; else it
    computes in full. Nothing but the product with the gate may read its output.

    Args:
        linear: the layer to replace.
        gate: the layer that is the gate.

    """

    way: ClassVar[str] = "selected"

    def __init__(self, linear: nn.Linear, gate: CertifiedLinear) -> None:
        super().__init__(linear)
        gate.partner = True
        self._gate = (gate,)  # in a tuple: it is no part of this module

    @property
    def gate(self) -> CertifiedLinear:
        """The layer that is the gate."""
        return self._gate[0]

    def _take(self) -> None:
        super()._take()
        self._most = most_of(self.weight, self._bias32)

    def _stale(self) -> str | None:
        if not self._fresh():
            self._take()
        return None

    def _attempt(self, x: Tensor) -> Tensor | str:
        return super()._attempt(x) if self.gate.gates else _NO_GATES

    def _product(self, tokens: int) -> ListedProduct:
        return ListedProduct(tokens, self.weight, self._bias32, self.gate.level, self._most)

    def _computed(
        self, product: ListedProduct, x: Tensor, out: Tensor, limit: float
    ) -> tuple[float | None, str]:
        gates = self.gate.gates
        self.gate.__dict__["gates"] = None
        if gates is None or not torch.equal(gates.inputs, x):
            return None, _NO_GATES
        count = product(x, out, gates.outputs)
        return (count / out.numel(), "") if count >= 0 else (None, NOT_OF_THIS)

    def calibrate(self, tokens: int) -> Calibration:
        """Time this layer; what its gate left for the call that waits for it stays."""
        gates = self.gate.gates
        try:
            return super().calibrate(tokens)
        finally:
            self.gate.gates = gates

    def subject(self, tokens: int, share: float) -> tuple[Callable[[], float], Tensor]:
        """Return a call that computes about a share of the units."""
        dtype, product = self.weight.dtype, self._product(tokens)
        x = torch.randn(tokens, self.in_features, device="cpu").to(dtype)
        shut = torch.rand(tokens, self.out_features, device="cpu") >= share
        gates = torch.where(shut, -1.0, self.gate.level + 1.0).to(dtype)

        def call() -> float:
            self.gate.gates = Gates(x, gates)
            return self._called(product, x)

        return call, x
