"""Blocks that stand in nn.Sequential, of which no example is needed to know the forward pass."""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import nn

from relucid.functions import Elementwise
from relucid.sparse.blocks import Block, Blocks
from relucid.sparse.levels import level_of
from relucid.sparse.unfit import Fitness
from relucid.swap.known import Known

_KEEP_ZERO = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.Identity, nn.Flatten,
              nn.Unflatten, nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d,
              nn.AvgPool3d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d,
              nn.AdaptiveAvgPool3d)  # fmt: skip
Child = tuple[str, nn.Module]


def find_in_sequences(model: nn.Module, fitness: Fitness) -> Blocks:
    """Find the layers that read zeros in every nn.Sequential.

    The layer before the activation is replaced only where the whole model is one: a forward of
    another module may go through the children of an nn.Sequential by itself, and read in between.
    """
    blocks, known = Blocks(), Known()
    inner: set[nn.Module] = set()
    for path, module in model.named_modules():
        if not _is_plain(module) or module in inner:
            continue
        inner |= {one for one in module.modules() if _is_plain(one)}
        for block in _in_one(list(_children(path, module)), known, fitness, module is model):
            chosen = _fitting(block, fitness, blocks.refused)
            blocks.found += [chosen] if chosen.layers else []
    return blocks


def _is_plain(module: nn.Module) -> bool:
    own = "forward" in vars(module)
    return type(module).forward is nn.Sequential.forward and not own


def _children(path: str, sequence: nn.Module) -> Iterator[Child]:
    """Yield what a sequence runs, those of sequences within it one by one."""
    for name, module in sequence._modules.items():
        below = f"{path}.{name}" if path else name
        if module is not None and _is_plain(module):
            yield from _children(below, module)
        elif module is not None:
            yield below, module


def _in_one(children: list[Child], known: Known, fitness: Fitness, whole: bool) -> Iterator[Block]:
    """Yield what reads zeros in one sequence."""
    for i, (path, module) in enumerate(children):
        function = known.of(module)
        if not isinstance(function, Elementwise) or function.zero_region is None:
            continue
        after = next((c for c in children[i + 1 :] if type(c[1]) not in _KEEP_ZERO), None)
        if after is None or not isinstance(after[1], nn.Linear):
            continue
        before, level = children[i - 1] if i else (path, module), level_of(function)
        certain = whole and level > -math.inf and not _hooked(module)
        first = before[0] if certain and isinstance(before[1], nn.Linear) else ""
        yield Block(after[0], function.name, first, level if first else 0.0)


def _hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _fitting(block: Block, fitness: Fitness, refused: dict[str, str]) -> Block:
    """Return a block without the layers that have to stay."""
    fit = dict[str, str]()
    for path in (block.first, block.down):
        why = fitness.why_not(path) if path else None
        if why is not None:
            refused[path] = why
        fit[path] = "" if why is not None else path
    return Block(fit[block.down], block.function, fit[block.first], block.level)
