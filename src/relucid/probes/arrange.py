"""Which axis holds the units, which the samples: from any shape to three axes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
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

    def in_order(self, ndim: int) -> bool:
        """Whether :meth:`three_axes` leaves values where they are in memory without gaps."""
        axis = self.unit_axis + (not self.batched)
        return not self.swapped and (ndim <= self.unit_axis or axis in (1, ndim - self.batched))

    def sample_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of one sample."""
        if not self.batched:
            return shape
        if self.swapped:
            return (shape[0], *shape[2:])
        return shape[1:] if self.group == 1 else (self.group, *shape[1:])


class Form:
    """How calls of one shape are read; worked out once, for it takes longer than the reading.

    All samples are read, or as many as ``most`` values make. ``flat`` reads all values as those
    of one unit.
    """

    def __init__(
        self, arrangement: Arrangement, shape: torch.Size, most: int | None, flat: bool
    ) -> None:
        self.arrangement, self.shape, self.flat = arrangement, shape, flat
        self.all_values = most is None
        self.axis = 1 if arrangement.swapped else 0
        """That of the samples."""
        self.group = 1 if flat else arrangement.group
        """Neighbours along the first axis that belong to one sample."""
        values = math.prod(shape)
        has_samples = arrangement.batched and len(shape) > 0
        self._all = shape[self.axis] // arrangement.group if has_samples else 1
        self.samples = self._all
        self.rows: int | None = None
        """Samples that are read in each pass are so many rows along ``axis``; None for all."""
        if most is not None and values > most and self._all > 1:
            self.samples = max(most * self._all // values, 1)
            self.rows = self.samples * arrangement.group
        self.row = math.prod(shape[1:])
        """Values of one row."""
        self.in_order = values > 0 and (flat or arrangement.in_order(len(shape))) and self.axis == 0

    def part(self, turn: int) -> Part:
        """Return what is read in turn ``turn``: the samples after those of the turn before."""
        start = min(turn * self.samples % max(self._all, 1), self._all - self.samples)
        return Part(self, start * self.arrangement.group)

    def three_axes(self) -> tuple[torch.Size, int]:
        """Return the shape of what is read, as :meth:`Part.three_axes` gives it, and its units."""
        view, unit_axis = self.part(0).three_axes(torch.empty(self.shape, device="meta"))
        return view.shape, unit_axis


class Part(NamedTuple):
    """Which of a call's values are read, of z, h and the gradient alike: those of some samples."""

    form: Form
    start: int

    @property
    def arrangement(self) -> Arrangement:
        """How the values are read."""
        return self.form.arrangement

    def of(self, values: Tensor) -> Tensor:
        """Return a view of these values."""
        axis, rows = self.form.axis, self.form.rows
        if rows is None or values.shape[axis] < self.start + rows:
            return values
        return values.narrow(axis, self.start, rows)

    def three_axes(self, values: Tensor) -> tuple[Tensor, int]:
        """Return a view of these values (a copy where no view exists), and the units' axis."""
        values = self.of(values)
        if self.form.flat:
            return values.reshape(1, 1, -1), 1
        return self.arrangement.three_axes(values)

    def address(self, values: Tensor) -> int | None:
        """Return where in memory these values begin, if they lie there one after the other."""
        form = self.form
        if not (form.in_order and values.is_cpu and values.shape == form.shape):
            return None
        if not values.is_contiguous():
            return None
        return values.data_ptr() + self.start * form.row * values.element_size()


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
