"""What becomes of a layer that stands in two blocks: the last of one, and the first of another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import nn

from relucid.sparse.blocks import Block
from relucid.sparse.observe import Observed


def choose(
    model: nn.Module, blocks: Sequence[Block], seen: Mapping[str, Observed], certify: bool
) -> list[Block]:
    """Give each layer to one block; without ``certify`` only the last layers are left."""
    found, taken = [], set[str]()
    readers = {block.down for block in blocks}
    for block in blocks:
        first = block.first if certify and block.first not in taken else ""
        if first in readers and _skips(model, first, seen.get(first)):
            first = ""
        partner = block.partner if first and block.partner not in taken else ""
        taken |= {first, partner} - {""}
        found.append(replace(block, first=first, partner=partner))
    return [replace(block, down=block.down if block.down not in taken else "") for block in found]


def _skips(model: nn.Module, path: str, seen: Observed | None) -> bool:
    """Whether a layer that could do both should skip zeros of its input, and certify none.

    The one reads the rows of what is not 0. The other reads 8 bits of every number, and the units
    that are not 0. Without an example it is the one that is always right.
    """
    weight = model.get_submodule(path)._parameters["weight"]
    if seen is None or weight is None:
        return True
    return seen.read <= 1.0 / weight.element_size() + seen.above
