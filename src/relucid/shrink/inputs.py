"""Inputs on which two models are compared: random ones, corners, and those of gradient ascent."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from relucid.probes.batches import Batch
from relucid.probes.bounds.domain import Boxes
from relucid.probes.contents import tensors_within
from relucid.probes.undisturbed import undisturbed

_STEPS = 5
Ranges = dict[int, tuple[Tensor, Tensor]]


def draw(batch: Batch, boxes: Boxes | None, count: int, seed: int = 0) -> Iterator[Batch]:
    """Yield batches drawn evenly from the domain; without one, like the example's numbers."""
    generator = torch.Generator().manual_seed(seed)
    ranges = _ranges(batch, boxes)
    for _ in range(count):
        yield batch.mapped(partial(_drawn, ranges=ranges, generator=generator))


def hard(
    before: nn.Module, after: nn.Module, batch: Batch, boxes: Boxes | None, count: int = 2
) -> Iterator[Batch]:
    """Yield corners of the domain, and inputs that raise the difference of both models."""
    generator = torch.Generator().manual_seed(1)
    ranges = _ranges(batch, boxes)
    if ranges:
        for end in (0, 1):
            yield batch.mapped(partial(_ended, ranges=ranges, end=end))
    for _ in range(count):
        yield batch.mapped(partial(_corner, ranges=ranges, generator=generator))
    if ranges:
        for start in draw(batch, boxes, count, seed=2):
            yield _ascended(before, after, start, batch, ranges)


def _ended(x: Tensor, ranges: Ranges, end: int) -> Tensor:
    return ranges[id(x)][end] if id(x) in ranges else x


def _ranges(batch: Batch, boxes: Boxes | None) -> Ranges:
    """Return ends for each number of each input that is no id or truth value."""
    if boxes is None:
        real = [x for x in batch.tensors() if x.is_floating_point() and x.numel()]
        return {id(x): _spread(x, x.min(), x.max()) for x in real}
    given = boxes.inputs(batch)
    return {id(x): _spread(x, box.low, box.high) for _, x, box in given if box is not None}


def _spread(like: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Return both ends in a tensor's dtype and shape."""
    least, most = (end.to(like).expand(like.shape).clone() for end in (low, high))
    return least, most


def _drawn(x: Tensor, ranges: Ranges, generator: torch.Generator) -> Tensor:
    if id(x) not in ranges:
        return _mixed(x, generator)
    low, high = ranges[id(x)]
    share = torch.rand(x.shape, generator=generator, dtype=torch.float64).to(x)
    return (low + share * (high - low)).clamp(low, high)


def _corner(x: Tensor, ranges: Ranges, generator: torch.Generator) -> Tensor:
    if id(x) not in ranges:
        return _mixed(x, generator)
    low, high = ranges[id(x)]
    up = torch.rand(x.shape, generator=generator).to(x.device) < 0.5
    return torch.where(up, high, low)


def _mixed(x: Tensor, generator: torch.Generator) -> Tensor:
    """Ids in another order: which there are, the example alone tells."""
    if x.dtype is torch.bool or not x.numel() or x.is_floating_point():
        return x
    order = torch.randint(x.numel(), (x.numel(),), generator=generator)
    return x.flatten()[order.to(x.device)].reshape(x.shape)


def _ascended(
    before: nn.Module, after: nn.Module, start: Batch, batch: Batch, ranges: Ranges
) -> Batch:
    """Climb by the sign of the gradient of the squared difference, within the ranges."""
    olds = batch.tensors()
    for step in range(_STEPS):
        news = start.tensors()
        leaves = [x.detach().requires_grad_() if id(old) in ranges else x
                  for x, old in zip(news, olds, strict=True)]  # fmt: skip
        found = _difference(before, after, _replaced(start, news, leaves))
        given = [x for x in leaves if x.requires_grad]
        if found is None or not found.requires_grad:
            break
        slopes = dict(zip(map(id, given), torch.autograd.grad(found, given, allow_unused=True),
                          strict=True))  # fmt: skip
        moved = [_moved(x, slopes.get(id(x)), ranges.get(id(old)), 0.5 ** (step + 1))
                 for x, old in zip(leaves, olds, strict=True)]  # fmt: skip
        start = _replaced(start, news, moved)
    return start


def _moved(
    x: Tensor, slope: Tensor | None, ends: tuple[Tensor, Tensor] | None, share: float
) -> Tensor:
    if slope is None or ends is None:
        return x.detach()
    low, high = ends
    return (x.detach() + slope.sign() * (high - low) * share).clamp(low, high)


def _replaced(batch: Batch, olds: list[Tensor], news: list[Tensor]) -> Batch:
    by_identity = dict(zip(map(id, olds), news, strict=True))
    return batch.mapped(lambda x: by_identity[id(x)])


def _difference(before: nn.Module, after: nn.Module, batch: Batch) -> Tensor | None:
    """Return the sum of squared differences of all real outputs."""
    made = []
    for model in (before, after):
        with undisturbed(model, evaluate=True), torch.enable_grad():
            made.append([x for x in tensors_within(batch.mapped(_same).call(model))
                         if x.is_floating_point()])  # fmt: skip
    terms = [(a - b).double().square().sum() for a, b in zip(*made, strict=False)
             if a.shape == b.shape]  # fmt: skip
    return sum(terms[1:], terms[0]) if terms else None


def _same(x: Tensor) -> Tensor:
    """A model that changes its input in place may not change ours."""
    return x.clone()
