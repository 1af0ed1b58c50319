"""Maxima over windows: a line above through the likeliest winner, and below any of the elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from relucid.probes.bounds.interval import Interval, unit
from relucid.shrink.linear_calls import Call, Slot
from relucid.shrink.linear_forms import Passed, weighed

_OURS = 16.0 * unit(torch.float64)
_AXES = {f"max_pool{n}d{end}": n for n in (1, 2, 3) for end in ("", "_with_indices")}


@dataclass(frozen=True)
class Pool:
    """For each maximum: ``slope * x[top] + height`` of a line above it, and ``x[low]`` below it.

    ``top`` and ``low`` are indices into the flattened axes that are pooled; all have the shape of
    the result, with those axes flattened.
    """

    call: Call
    top: Tensor
    low: Tensor
    slope: Tensor
    height: Tensor
    shape: torch.Size
    axes: int

    @property
    def operands(self) -> tuple[Node, ...]:
        """What it reads."""
        return self.call.operands

    @property
    def cost(self) -> float:
        """Multiply-adds that a row takes, roughly."""
        return 8.0 * math.prod(self.shape)

    def through(self, rows: Tensor, choice: int) -> Passed:
        """Replace the maxima, of which each row holds coefficients, by elements of the operand."""
        rows = rows.flatten(-self.axes)
        before, pooled = self.shape[: -self.axes], math.prod(self.shape[-self.axes :])
        flat = rows.new_zeros((len(rows), *before, pooled))
        flat.scatter_add_(-1, self.top.expand(rows.shape), rows.clamp(min=0.0) * self.slope)
        flat.scatter_add_(-1, self.low.expand(rows.shape), rows.clamp(max=0.0))
        half = self.height / 2.0
        return weighed(rows, half, half).but((flat.reshape(len(rows), *self.shape),))


def pool(call: Call, x: Interval, result: torch.Size, users: int) -> Pool | None:
    """Return lines around a max pooling; None for all other operators."""
    axes = _AXES.get(call.name)
    if axes is None or len(call.operands) != 1 or not isinstance(call.args[0], Slot) or call.item:
        return None
    places = _windows(call, x.low.shape[-axes:], result[-axes:], axes).to(x.low.device)
    low, high = (_gathered(end.flatten(-axes), places) for end in (x.low, x.high))
    highest, winner = high.max(-1)
    others = high.scatter(-1, winner.unsqueeze(-1), -torch.inf).amax(-1)
    least = low.gather(-1, winner.unsqueeze(-1)).squeeze(-1)
    floor = torch.maximum(others, least)
    # the maximum is at most max(x[top], floor): a chord, as for ReLU, with the bend at the floor
    slope = torch.where(highest > least, (highest - floor) / (highest - least), 1.0).clamp(0.0, 1.0)
    height = torch.maximum(floor - slope * least, highest - slope * highest)
    size = torch.maximum(x.low.abs(), x.high.abs()).flatten(-axes).amax(-1, keepdim=True)
    height = height + _OURS * (places.shape[-1] + users) * (size + floor.abs())
    best = ((low + high) / 2.0).nan_to_num(-torch.inf).argmax(-1)
    at = places.expand(*winner.shape, -1)
    top, under = (at.gather(-1, i.unsqueeze(-1)).squeeze(-1) for i in (winner, best))
    return Pool(call, top, under, slope, height, x.low.shape, axes)


def _gathered(values: Tensor, places: Tensor) -> Tensor:
    """Return the elements of each window, minus infinity for the padding."""
    padded = torch.cat([values, torch.full_like(values[..., :1], -torch.inf)], -1)
    return padded[..., places]


def _windows(call: Call, sizes: Sequence[int], counts: Sequence[int], axes: int) -> Tensor:
    """Return the elements of each window as flat indices; -1 stands for the padding."""

    def each(index: int, name: str, default: int) -> list[int]:
        given: Any = call.argument(index, name) or default
        numbers = [given] if isinstance(given, int) else list(given)
        return numbers * axes if len(numbers) == 1 else numbers

    kernel = each(1, "kernel_size", 1)
    strides = each(2, "stride", 0) if call.argument(2, "stride") else kernel
    paddings = each(3, "padding", 0)
    dilations = each(4, "dilation", 1)
    flat, inside = torch.zeros(1, 1, dtype=torch.long), torch.ones(1, 1, dtype=torch.bool)
    for size, count, k, stride, padding, dilation in zip(
        sizes, counts, kernel, strides, paddings, dilations, strict=True
    ):
        at = torch.arange(count)[:, None] * stride - padding + torch.arange(k) * dilation
        flat = _crossed(flat * size, at, torch.add)
        inside = _crossed(inside, (at >= 0) & (at < size), torch.logical_and)
    return flat.masked_fill(~inside, -1)


def _crossed(first: Tensor, second: Tensor, join: Any) -> Tensor:
    """Combine (windows, elements) along one axis more."""
    both: Tensor = join(first[:, None, :, None], second[None, :, None, :])
    return both.reshape(len(first) * len(second), -1)
