"""What a site did over time, in memory that does not grow with time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relucid.probes.counters.firing import FIRES
from relucid.probes.counters.moments import SQUARES
from relucid.probes.counters.nonfinite import NONFINITE
from relucid.probes.counters.totals import like, together
from relucid.probes.sums import Added, Sum, as_array
from relucid.records import SiteHistory

POINTS = 256
"""The most points of a history: more than a chart is wide. When they are used up, each two
neighbours become one, so that a long run has between half as many and all."""

WINDOW = 1000
"""Sampled passes without firing after which a unit counts as window-dead: SAELens's figure."""


OFTEN = 8
"""Where a part of the values is read, what costs as much as all counts together, the histogram and
following tensors to their layers, is done in so many passes, and then in each so many."""


def thorough(turn: int) -> bool:
    """Whether sampled pass ``turn`` is one of those."""
    return turn < OFTEN or turn % OFTEN == 0


class When(NamedTuple):
    """The pass that a call is made in."""

    turn: int
    """Number of the sampled pass, from 0."""
    step: int
    """Number of the model's call, from 0: of all passes, sampled or not."""


class Points:
    """Sums over time, of at most :data:`POINTS` stretches of equally many passes."""

    def __init__(self, columns: int) -> None:
        self.stretch = 1
        """Sampled passes in a row that are added up in one."""
        self.rows: Added = np.zeros((0, columns))

    def add(self, turns: Sequence[int], added: Added) -> None:
        """Add rows to the sums of the stretches that sampled passes ``turns``, from 0, fall into.

        One by one: a list of places would have to be sent to the device, and waited for.
        """
        self._reach(max(turns))
        if isinstance(added, Tensor):
            self.rows = _on_device_of(added, self.rows)
        elif isinstance(self.rows, Tensor):  # the model has come back to the CPU
            self.rows = as_array(self.rows).copy()
        for turn, row in zip(turns, added, strict=True):
            self.rows[turn // self.stretch] += row

    def sums(self, turn: int) -> NDArray[np.float64]:
        """Read the sums of all stretches up to that of sampled pass ``turn``."""
        self._reach(turn)
        return as_array(self.rows)[: turn // self.stretch + 1]

    def put(self, turn: int, sums: NDArray[np.float64]) -> None:
        """Go on from sums that :meth:`sums` read."""
        self.stretch, self.rows = stretch_at(turn), sums.copy()

    def _reach(self, turn: int) -> None:
        while turn // self.stretch >= POINTS:
            self.rows, self.stretch = _merged(self.rows), 2 * self.stretch
        if turn // self.stretch >= len(self.rows):
            self.rows = _longer(self.rows, min(max(8, 2 * (turn // self.stretch)), POINTS))


class History:
    """The points of one site, made of the sums that are counted anyway.

    What :func:`~relucid.probes.counters.totals.together` many calls bring is worked out at once.
    """

    def __init__(self, units: int, wanted: tuple[Sum, ...], window: int) -> None:
        self.window, self._units = window, units
        self._places = [wanted.index(one) for one in (FIRES, SQUARES, NONFINITE) if units]
        self._together = together(units)
        self.ranks = 1
        """Processes whose sums were added."""
        self.last_turn = 0
        self.passes = 0
        """Sampled passes in which the site was called, without those that are held."""
        self.last_fired: Added = np.zeros(units)
        """Which of them was the last in which a unit fired, from 1; 0 for none."""
        self._known, self._of_z = Points(4), Points(7)
        self._arrived, self._of_gradient = Points(1), Points(2)
        self._calls: list[tuple[int, tuple[int, ...], Added]] = []
        self._gradients: list[tuple[int, int, Added]] = []

    def add(self, when: When, samples: int, elements: int, added: Added) -> None:
        """Add the sums of a call; ``elements`` values were read of each unit."""
        if not elements:  # an expert that was given no tokens: its units did not fall silent
            return
        known = (1, when.step, samples, elements * self._units)
        self._calls.append((when.turn, known, added))
        if len(self._calls) >= self._together:
            self._work_out_calls()

    def add_gradient(self, when: When, elements: int, added: Added) -> None:
        """Add the gradient of a call, by when the call was made: squares and what is not finite."""
        self._gradients.append((when.turn, elements, added))
        if len(self._gradients) >= self._together:
            self._work_out_gradients()

    def _work_out_calls(self) -> None:
        if not self._calls:
            return
        turns, known, added = zip(*self._calls, strict=True)
        self._calls = []
        self.last_turn = turns[-1]
        self._known.add(turns, np.array(known, np.float64))
        if self._units:
            self._of_z.add(turns, self._rows(_stacked(added)))
        self.passes += len(turns)

    def _work_out_gradients(self) -> None:
        if not self._gradients:
            return
        turns, elements, added = zip(*self._gradients, strict=True)
        self._gradients = []
        self._arrived.add(turns, np.array(elements, np.float64)[:, None])
        self._of_gradient.add(turns, _stacked(added).sum(2))

    def _rows(self, added: Any) -> Any:
        """Count units, in NumPy or on the device: no number is fetched from there.

        ``added`` has three axes: passes, sums, units.
        """
        m: Any = torch if isinstance(added, Tensor) else np
        fires = added[:, self._places[0]] > 0
        last = _running_last(fires, self.passes, like(added[0], self.last_fired))
        self.last_fired = last[-1] + 0.0  # a copy: a view would keep the other rows
        numbers = _numbers(added, self.passes, len(fires))
        quiet, since = numbers - last[:-1], numbers - last[1:]
        units = [
            since > 0,
            since > self.window,
            fires & (quiet > 1),
            fires & (quiet > self.window + 1),
        ]
        counted = [m.count_nonzero(one, 1) for one in units]
        sums = [added[:, place].sum(1) for place in self._places]
        return m.stack([*sums, *counted], 1)

    def state(self, turn: int) -> dict[str, NDArray[np.float64]]:
        """Read all that :meth:`put` needs: the sums up to sampled pass ``turn``, and the rest."""
        return {
            "history": np.hstack([points.sums(turn) for points in self._points()]),
            "last_fired": as_array(self.last_fired),
            "history_numbers": np.array([turn, self.passes], np.float64),
        }

    def put(self, state: Mapping[str, NDArray[np.float64]]) -> None:
        """Go on from what :meth:`state` read."""
        self.last_turn, self.passes = map(int, state["history_numbers"])
        self.last_fired = state["last_fired"].copy()
        start = 0
        for points in self._points():
            width = points.rows.shape[1]
            points.put(self.last_turn, state["history"][:, start : start + width])
            start += width

    def _points(self) -> tuple[Points, ...]:
        """Return all points, with what was held worked out."""
        self._work_out_calls()
        self._work_out_gradients()
        return self._known, self._of_z, self._arrived, self._of_gradient

    def record(self) -> SiteHistory:
        """Read the points."""
        points = self._points()
        known, of_z, arrived, of_gradient = (one.sums(self.last_turn) for one in points)
        taken = known[:, 0] > 0
        passes, step, samples, elements = known[taken].T
        fired, squares, nonfinite, *units = of_z[taken].T
        gradient, lost = of_gradient[taken].T
        if not self._units:
            units = [np.full(len(passes), np.nan)] * len(units)
        dead, window_dead, revived, returned = units
        return SiteHistory(
            step=step / passes,
            passes=np.ceil(passes / self.ranks).astype(np.int64),
            samples=samples.astype(np.int64),
            fire_rate=_ratio(fired, elements),
            dead=dead / passes,
            window_dead=window_dead / passes,
            revived=revived / self.ranks,
            returned=returned / self.ranks,
            gradient=np.sqrt(_ratio(gradient, arrived[taken, 0] - lost)),
            scale=np.sqrt(_ratio(squares, elements - nonfinite)),
            window=self.window,
            quiet=(self.passes - as_array(self.last_fired)).astype(np.int64),
        )


def stretch_at(turn: int) -> int:
    """Passes that are added up in one when sampled pass ``turn`` has been counted."""
    stretch = 1
    while turn // stretch >= POINTS:
        stretch *= 2
    return stretch


def _stacked(added: Sequence[Any]) -> Any:
    """Put sums of the same form together, where the last ones are."""
    last = added[-1]
    alike = [like(last, one) for one in added]
    return torch.stack(alike) if isinstance(last, Tensor) else np.array(alike)


def _numbers(added: Any, passes: int, count: int) -> Any:
    """Return the numbers of ``count`` passes after ``passes`` as a column."""
    if isinstance(added, Tensor):
        steps = torch.arange(count, dtype=added.dtype, device=added.device)
        return (steps + (passes + 1))[:, None]
    return np.arange(passes + 1.0, passes + count + 1.0)[:, None]


def _running_last(fires: Any, passes: int, last: Any) -> Any:
    """Return in which pass each unit had fired last, before these passes and after each."""
    if isinstance(fires, Tensor):
        numbers = _numbers(last, passes, len(fires))
        on_device = torch.where(fires, numbers, torch.zeros_like(numbers))
        return torch.cat([last[None], on_device]).cummax(0).values
    fired = np.where(fires, _numbers(last, passes, len(fires)), 0.0)
    rows = np.concatenate([last[None], fired])
    for before, row in pairwise(rows):  # np.maximum.accumulate takes 142 us for 4096 units, this 9
        np.maximum(before, row, out=row)
    return rows


def _on_device_of(row: Tensor, rows: Added) -> Tensor:
    with torch.inference_mode(False):  # they outlive the pass and are added to in place
        held = torch.from_numpy(rows) if not isinstance(rows, Tensor) else rows
        return held.to(row.device, row.dtype)


def _merged(rows: Added) -> Added:
    """Add each two neighbours."""
    with torch.inference_mode(False):
        return rows[0::2] + rows[1::2]


def _longer(rows: Added, length: int) -> Added:
    """Return the rows with zeros after them."""
    missing = length - len(rows)
    if isinstance(rows, Tensor):
        with torch.inference_mode(False):
            return torch.cat([rows, rows.new_zeros((missing, rows.shape[1]))])
    return np.concatenate([rows, np.zeros((missing, rows.shape[1]))])


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide; NaN where nothing was counted."""
    return above / np.where(below > 0, below, np.nan)
