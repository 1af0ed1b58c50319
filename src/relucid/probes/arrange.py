"""Which axis holds the units, which the samples: from any shape to three axes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from relucid.probes.layers import Origin


@dataclass(frozen=True)
class Arrangement:
    """How one call's z is read.

    ``group`` rows of axis 0 belong to one sample: a model that folds its tokens into the batch
    axis does not have more independent samples for it.
    """

    unit_axis: int
    batched: bool
    swapped: bool
    group: int

    def three_axes(self, values: Tensor) -> tuple[Tensor, int]:
        """Return a view (a copy where no view exists) and the axis of the units, 1 or 2."""
        if values.ndim == self.unit_axis:  # one number for each sample, or just one
            return values.reshape(-1, 1, 1), 2
        if not self.batched:
            values = values.unsqueeze(0)
        if self.swapped:
            values = values.transpose(0, 1)
        axis = self.unit_axis + (not self.batched)
        if axis == values.ndim - 1:
            return values.reshape(_units_last(values)), 2
        moved = values.movedim(axis, -1)
        if axis != 1 or moved.is_contiguous():  # the latter is channels_last memory
            return moved.reshape(_units_last(moved)), 2
        return values.reshape(*values.shape[:2], math.prod(values.shape[2:])), 1

    def units(self, shape: tuple[int, ...]) -> int:
        """How many units z of this shape has: 1 where it has no axis for them."""
        return shape[self.unit_axis] if self.unit_axis < len(shape) else 1

    def part(self, values: Tensor, most: int | None, turn: int, flat: bool) -> Part:
        """Choose the samples of a call that are read: all, or as many as ``most`` values make.

        In turn ``turn`` those follow on the ones before, so that all places of a batch have theirs.
        """
        batch_axis = 1 if self.swapped else 0
        samples = values.shape[batch_axis] // self.group if self.batched and values.ndim else 1
        if most is None or values.numel() <= most or samples <= 1:
            return Part(self, flat, batch_axis)
        count = max(most * samples // values.numel(), 1)
        start = min(turn * count % samples, samples - count)
        return Part(self, flat, batch_axis, start * self.group, count * self.group)

    def sample_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of one sample."""
        if not self.batched:
            return shape
        if self.swapped:
            return (shape[0], *shape[2:])
        return shape[1:] if self.group == 1 else (self.group, *shape[1:])


@dataclass(frozen=True)
class Part:
    """Which of a call's values are read, of z, h and the gradient alike: those of some samples."""

    arrangement: Arrangement
    flat: bool
    """Whether all values are read as those of one unit."""
    axis: int
    """That of the samples."""
    start: int = 0
    length: int | None = None
    """Rows along ``axis`` from ``start`` on; None for all."""

    @property
    def group(self) -> int:
        """Neighbours along the first axis that belong to one sample."""
        return 1 if self.flat else self.arrangement.group

    def of(self, values: Tensor) -> Tensor:
        """Return a view of these values."""
        whole = self.length is None or values.shape[self.axis] < self.start + self.length
        return values if whole else values.narrow(self.axis, self.start, self.length or 0)

    def samples(self, values: Tensor) -> int:
        """How many samples they are."""
        if not (self.arrangement.batched and values.ndim):
            return 1
        return self.of(values).shape[self.axis] // self.arrangement.group

    def three_axes(self, values: Tensor) -> tuple[Tensor, int]:
        """Return a view of these values (a copy where no view exists), and the units' axis."""
        values = self.of(values)
        return (values.reshape(1, 1, -1), 1) if self.flat else self.arrangement.three_axes(values)


def arrange(shape: tuple[int, ...], origin: Origin | None, batch: int | None) -> Arrangement:
    """Decide how to read z: by the layer that made it where known, else by its dimensions.

    ``batch`` is the number of samples that the model was called with, where known.
    """
    ndim = len(shape)
    if ndim == 0 or (ndim == 1 and shape[0] == batch != 1):
        return Arrangement(ndim, ndim == 1, False, 1)
    unit_axis, batched = _unit_axis(ndim, origin)
    swapped = batched and ndim == 3 and unit_axis == 2 and shape[1] == batch != shape[0]
    group = 1
    if batched and not swapped and batch and shape[0] > batch and shape[0] % batch == 0:
        group = shape[0] // batch
    return Arrangement(unit_axis, batched, swapped, group)


def _unit_axis(ndim: int, origin: Origin | None) -> tuple[int, bool]:
    if ndim == 1:
        return 0, False
    from_end = None if origin is None else origin.channels_from_end
    if from_end is not None and from_end <= ndim:
        return ndim - from_end, ndim > from_end
    return (1 if ndim >= 4 else ndim - 1), True


def _units_last(values: Tensor) -> tuple[int, int, int]:
    samples, *positions, units = values.shape
    return samples, math.prod(positions), units
