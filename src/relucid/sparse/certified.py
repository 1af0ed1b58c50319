"""A linear layer that does not compute what an activation turns into 0 anyway."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from relucid.errors import ParameterError
from relucid.sparse.layer import SparseLinear, warn_stale
from relucid.sparse.products import ListedProduct
from relucid.sparse.shadow import shadow_of

NOT_OF_THIS = "inputs are not finite, or could overflow"


class Gates(NamedTuple):
    """A call whose partner may follow: copies of the input and the output."""

    inputs: Tensor
    outputs: Tensor


class CertifiedLinear(SparseLinear):
    """Pre-activations; 0 instead of those that are proved to be at or below ``level``.

    For an activation that is 0 up to ``level``, such as ReLU with 0: what it gives is the same. An
    8-bit copy of the weights proves it without reading the weights (see
    :mod:`relucid.kernels.llvm.listed`); the others are computed in full precision. The copy takes
    a quarter of the memory of float32 weights, a half of that of bfloat16.

    Nothing but such an activation may read its output.

    Args:
        linear: the layer to replace.
        level: up to where the activation is 0; not negative.

    Raises:
        ParameterError: if the level is negative.

    """

    way: ClassVar[str] = "certified"

    def __init__(self, linear: nn.Linear, level: float = 0.0) -> None:
        if not level >= 0.0:
            raise ParameterError(f"level is {level}, but has to be at least 0: 0 is given below it")
        super().__init__(linear)
        self.level = level
        self.partner = False
        """Whether a :class:`~relucid.sparse.partner.PartnerLinear` follows, and asks for gates."""
        self.gates: Gates | None = None

    @property
    def extra_bytes(self) -> int:
        """Memory of the 8-bit copy, in bytes."""
        return self._shadow.bytes if self._shadow else 0

    def _take(self) -> None:
        super()._take()
        self._warned = False
        self._shadow = shadow_of(self.weight, self._bias32) if self._dtype else None

    def _stale(self) -> str | None:
        if not self._fresh():
            if not self._warned:
                self._warned = True
                warn_stale()
            return "its weights were changed; call refresh()"
        return None if self._shadow else "its weights have no 8-bit copy"

    def _product(self, tokens: int, level: float | None = None) -> ListedProduct:
        assert self._shadow is not None  # else it is stale
        level, most = self.level if level is None else level, self._shadow.most
        return ListedProduct(tokens, self.weight, self._bias32, level, most, self._shadow)

    def _computed(
        self, product: ListedProduct, x: Tensor, out: Tensor, limit: float
    ) -> tuple[float | None, str]:
        count = product(x, out)
        if count < 0:
            return None, NOT_OF_THIS
        if self.partner:
            # Not by the module's own way to set an attribute, which takes longer.
            self.__dict__["gates"] = Gates(x.clone(), out.clone())
        return count / out.numel(), ""

    def open_share(self, x: Tensor) -> float | None:
        """Return the share of units that it computes of inputs (tokens, width); None: of no such.

        Whatever it would choose to do by the times on this machine.
        """
        if self._stale() is not None:
            return None
        x = x.detach().contiguous()
        out = x.new_empty(len(x), self.out_features)
        count = self._product(len(x))(x, out)
        return count / out.numel() if count >= 0 else None

    def subject(self, tokens: int, share: float) -> tuple[Callable[[], float], Tensor]:
        """Return a call that computes about a share of the units, by a level of its own."""
        x = torch.randn(tokens, self.in_features, device="cpu").to(self.weight.dtype)
        z = self.in_full(x)
        ranked = z.float().flatten()
        below = z.numel() - int(share * z.numel())
        level = float(ranked.kthvalue(below).values) if below else -math.inf
        product = self._product(tokens, level)
        return (lambda: self._called(product, x)), x
