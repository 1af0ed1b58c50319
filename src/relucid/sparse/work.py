"""The replacement of layers, one by one, and what is expected of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from torch import nn

from relucid.records.acceleration import Expected, FastBlock, FastLayer
from relucid.report.words import percent
from relucid.sparse.blocks import Block
from relucid.sparse.calibrate import MOST_TOKENS
from relucid.sparse.certified import CertifiedLinear
from relucid.sparse.layer import SparseLinear
from relucid.sparse.observe import Observed
from relucid.sparse.partner import PartnerLinear
from relucid.sparse.replaced import Replaced
from relucid.sparse.skipping import SkippingLinear
from relucid.swap.ledger import Entry, Ledger
from relucid.swap.slots import mend_encoders, mend_layer, slots

_KEPT = "its output is kept after the pass, by an attribute or a cache, and so has to be whole"
_NO_GATE = "its gate stays as it is, and alone could tell what to leave out"
_NEVER = "on this machine it is as fast in full, whatever is zero"


class Work:
    """A model whose layers are being replaced."""

    def __init__(
        self, model: nn.Module, refused: Mapping[str, str], seen: Mapping[str, Observed]
    ) -> None:
        self.ledger = Ledger("acceleration")
        self.layers: dict[str, SparseLinear] = {}
        self.refused = dict(refused)
        self.blocks: list[FastBlock] = []
        self._model, self._seen = model, seen
        self._slots = {slot.path: slot for slot in slots(model)}
        # A sparse parameter has no nbytes.
        self._bytes = sum(p.numel() * p.element_size() for p in model.parameters())

    def replace(self, blocks: Iterable[Block]) -> None:
        """Replace the layers of blocks where that pays."""
        for block in blocks:
            layers = [self._first(block), self._partner(block), self._down(block)]
            kept = tuple(layer for layer in layers if layer is not None)
            if kept:
                seen = self._seen.get(block.down)
                zeros = None if seen is None else 1.0 - seen.read
                self.blocks.append(FastBlock(block.function, block.level, kept, zeros))
        self.ledger.add(*mend_encoders(self._model))

    def _first(self, block: Block) -> FastLayer | None:
        if not block.first or self._is_kept(block.first):
            return None
        layer = CertifiedLinear(self._linear(block.first), block.level)
        return self._put(block.first, layer, self._computed(block.first, layer))

    def _partner(self, block: Block) -> FastLayer | None:
        if not block.partner or self._is_kept(block.partner):
            return None
        gate = self.layers.get(block.first)
        if not isinstance(gate, CertifiedLinear):
            self.refused.setdefault(block.partner, _NO_GATE)
            return None
        seen = self._seen.get(block.first)
        layer = PartnerLinear(self._linear(block.partner), gate)
        made = self._put(block.partner, layer, None if seen is None else seen.above)
        gate.partner = made is not None
        return made

    def _down(self, block: Block) -> FastLayer | None:
        if not block.down:
            return None
        seen = self._seen.get(block.down)
        layer = SkippingLinear(self._linear(block.down))
        return self._put(block.down, layer, None if seen is None else seen.read)

    def _linear(self, path: str) -> nn.Linear:
        linear = self._slots[path].module
        assert isinstance(linear, nn.Linear)
        return linear

    def _is_kept(self, path: str) -> bool:
        seen = self._seen.get(path)
        if seen is None or not seen.kept:
            return False
        self.refused.setdefault(path, _KEPT)
        return True

    def _computed(self, path: str, layer: CertifiedLinear) -> float | None:
        """Return the share of units that a layer computes of the example; None: not known."""
        seen = self._seen.get(path)
        return None if seen is None else layer.open_share(seen.rows)

    def _put(self, path: str, layer: SparseLinear, share: float | None) -> FastLayer | None:
        """Put a layer in its place; refuse it, and put nothing, where it does not pay.

        ``share`` of its units or inputs is what it needs on the example.
        """
        weight, slot = layer.weight, self._slots[path]
        layer.surroundings = self._bytes - weight.nbytes
        told = self._told(path, layer, share)
        why = layer._stale() or _no_gain(layer, told)
        if why is not None:
            layer.restored()
            self.refused.setdefault(path, why)
            return None
        self.ledger.add(Replaced(slot, layer).make(), *_unfused(slot.parent))
        self.layers[path] = layer
        return told

    def _told(self, path: str, layer: SparseLinear, share: float | None) -> FastLayer:
        """Say of a layer what it is, and what is expected of it."""
        inputs, outputs = layer.in_features, layer.out_features
        told = FastLayer(path, layer.way, inputs, outputs, layer.extra_bytes)  # type: ignore[arg-type]  # one of its three
        if share is None:
            return told
        tokens = self._seen[path].tokens
        alone = _expected(layer, 1, share)
        return replace(told, alone=alone, example=_expected(layer, tokens, share))


def _expected(layer: SparseLinear, tokens: int, share: float) -> Expected:
    if tokens > MOST_TOKENS:
        return Expected(tokens, share, 1.0, -1.0)
    times = layer.calibrate(tokens)
    return Expected(tokens, share, times.gain(share), times.limit)


def _no_gain(layer: SparseLinear, told: FastLayer) -> str | None:
    """Why a layer does not pay, if so: neither for one token at a time, nor for the example's."""
    if told.alone is None or told.example is None:
        return _NEVER if layer.calibrate(1).limit < 0.0 else None
    if max(told.alone.gain, told.example.gain) > 1.0:
        return None
    best = max(told.alone.limit, told.example.limit)
    if best < 0.0:
        return _NEVER
    what = "read of its inputs" if layer.way == "skipping" else "computed of its units"
    return (
        f"{percent(told.alone.share)} would be {what} on the example, and on this machine it is as "
        f"fast in full from {percent(best)} on"
    )


def _unfused(parent: nn.Module) -> Iterator[Entry]:
    """Keep PyTorch's encoder layer from its fused form, which calls no layers."""
    return mend_layer(parent, "activation", None)
