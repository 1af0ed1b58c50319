"""Running sums that stay on the device until they are read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relucid.probes.arrange import Form, Part
from relucid.probes.sums import Added, Reading, Sum, as_array, read, reading
from relucid.probes.tensors import plain

TOGETHER, HELD = 8, 1 << 14
"""Calls whose sums are worked out at once, and the most units times calls that are held."""

FORMS = 64
"""Shapes of calls for which it is remembered how to read them."""


def together(units: int) -> int:
    """How many calls are held: it is the number of operations that costs, not that of numbers."""
    return max(min(TOGETHER, HELD // max(units, 1)), 1)


class Totals:
    """Sums over the values of each unit, added up over the calls of a site.

    ``totals[sum]`` has one entry a unit, float64, and ``totals.counts(sum)`` the same in int64.
    They are never changed in place: a pass under ``torch.inference_mode`` makes tensors that may
    not be.
    """

    def __init__(self, units: int, wanted: Iterable[Sum]) -> None:
        self.units = units
        self.wanted = tuple(dict.fromkeys(wanted))
        self.elements = 0
        """Values that each unit has seen."""
        self._held: Added | None = None
        self._recent: list[Added] = []
        self._together = together(units)
        self._readings: dict[tuple[Form, torch.dtype], Reading | None] = {}

    def read(
        self, values: Tensor, part: Part, factors: NDArray[np.float64] | None = None
    ) -> tuple[Added, int]:
        """Add what a call's values add, times ``factors``, one for each of ``wanted``.

        Return what was added, and how many values of each unit that is from.
        """
        address = part.address(values)
        reading = None if address is None else self._reading(part.form, values.dtype)
        if reading is not None and address is not None:
            added: Added = reading(address)
            elements = reading.elements
        else:
            view, unit_axis = part.three_axes(plain(values))
            added = read(view, unit_axis, part.form.group, self.wanted)
            elements = view.shape[0] * view.shape[3 - unit_axis]
        if factors is not None:
            added = added * like(added, factors)
        self.elements += elements
        self._recent.append(added)
        if len(self._recent) >= self._together:
            self._add_up()
        return added, elements

    def _reading(self, form: Form, dtype: torch.dtype) -> Reading | None:
        key = form, dtype
        if key not in self._readings:
            if len(self._readings) >= FORMS:
                self._readings.clear()
            self._readings[key] = reading(self.wanted, dtype, *form.three_axes(), form.group)
        return self._readings[key]

    def _add_up(self) -> None:
        for added in self._recent:
            self._held = added if self._held is None else added + like(added, self._held)
        self._recent = []

    def put(self, sums: NDArray[np.float64], elements: int) -> None:
        """Go on from sums that :meth:`sums` read."""
        if sums.shape != (len(self.wanted), self.units):
            raise ValueError(f"sums of shape {sums.shape} for {len(self.wanted)}, {self.units}")
        self._held, self.elements, self._recent = sums, elements, []

    def sums(self) -> NDArray[np.float64]:
        """Read all sums, one row for each of ``wanted``."""
        self._add_up()
        if self._held is None:
            return np.zeros((len(self.wanted), self.units))
        return as_array(self._held)

    def __getitem__(self, one: Sum) -> NDArray[np.float64]:
        totals: NDArray[np.float64] = self.sums()[self.wanted.index(one)]
        return totals

    def counts(self, one: Sum) -> NDArray[np.int64]:
        """Read a sum of zeros and ones."""
        return self[one].astype(np.int64)


def like(added: Added, other: Added) -> Any:
    """Return ``other`` where ``added`` is: in NumPy, or on its device."""
    if not isinstance(added, Tensor):
        return as_array(other)
    return other.to(added) if isinstance(other, Tensor) else added.new_tensor(other)
