"""What the readings' channels are on data: extremes, means, and how often they are not 0.

The model itself runs, with its own batch sizes and lengths, so that data need not have the
example's shapes. A function mode recognises each reading by its weight, and by how many times
that weight was used before in this pass.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from relucid.errors import DataError
from relucid.probes.batches import Batch, check_not_empty, ordinary
from relucid.probes.fast_path import fast_path
from relucid.probes.graph import Captured
from relucid.probes.refusals import Refusal
from relucid.shrink.analysed import Analysed
from relucid.shrink.axes import Layout, Reading
from relucid.shrink.proof import Constants
from relucid.shrink.surgery import named_tensors

_LINEAR = frozenset({"linear", "matmul", "mm", "__matmul__"})
_PRODUCTS = _LINEAR | {"addmm", "conv1d", "conv2d", "conv3d", "conv_transpose1d",
                       "conv_transpose2d", "conv_transpose3d"}  # fmt: skip


@dataclass
class Seen:
    """Counts and sums of one reading, by channel."""

    least: Tensor
    most: Tensor
    total: Tensor
    squares: Tensor
    above: Tensor
    """How many numbers were positive."""
    other: Tensor
    """How many numbers were not 0."""
    count: int = 0

    @classmethod
    def of(cls, channels: int, device: torch.device) -> Seen:
        """Return empty counts."""
        zero = torch.zeros(channels, dtype=torch.float64, device=device)
        total, squares, above, other = (zero.clone() for _ in range(4))
        return cls(zero + torch.inf, zero - torch.inf, total, squares, above, other)

    def add(self, rows: Tensor) -> None:
        """Count the numbers of each channel, one row a channel."""
        self.least = torch.minimum(self.least, rows.amin(1).double())
        self.most = torch.maximum(self.most, rows.amax(1).double())
        self.total += rows.sum(1, dtype=torch.float64)
        self.squares += rows.double().square().sum(1)
        self.above += (rows > 0).sum(1)
        self.other += (rows != 0).sum(1)
        self.count += rows.shape[1]

    @property
    def constants(self) -> Constants:
        """Channels that had one value throughout."""
        return Constants((self.least == self.most).numpy(force=True), self.least.numpy(force=True))

    @property
    def mean(self) -> NDArray[np.float64]:
        """Of each channel."""
        mean: NDArray[np.float64] = (self.total / max(self.count, 1)).numpy(force=True)
        return mean

    @property
    def deviation(self) -> NDArray[np.float64]:
        """Standard deviation of each channel."""
        mean = self.total / max(self.count, 1)
        variance = (self.squares / max(self.count, 1) - mean.square()).clamp(min=0.0)
        found: NDArray[np.float64] = variance.sqrt().numpy(force=True)
        return found

    def rate(self, positive: bool) -> NDArray[np.float64]:
        """Share of the numbers that were positive, or that were not 0."""
        counted = self.above if positive else self.other
        share: NDArray[np.float64] = (counted / max(self.count, 1)).numpy(force=True)
        return share


def observe(
    model: nn.Module, analysed: Analysed, wanted: list[Reading], batches: Iterable[Batch]
) -> tuple[dict[Reading, Seen], int]:
    """Run the model on data; return what each reading was given, and how many samples there were.

    A reading that the model does not come to in the example's way is left out. Raises
    :class:`~relucid.errors.DataError` where there are no data or the model refuses them.
    """
    mode = _Watch(model, analysed.captured, analysed.layout, wanted)
    samples = 0
    fast_path.forbid()
    try:
        for index, batch in enumerate(batches):
            check_not_empty(batch, index)
            mode.begin()
            given = batch.mapped(lambda x: ordinary(x).clone())
            with torch.no_grad(), Refusal(model, batch, index), mode:
                given.call(model)
            mode.end()
            samples += max((len(x) for x in batch.tensors() if x.ndim), default=1)
    finally:
        fast_path.allow()
    if not samples:
        raise DataError("the data hold no batch; an iterator may be used up, pass a fresh one")
    return mode.found(), samples


class _Watch(TorchFunctionMode):
    """Counts what products with known weights are given."""

    def __init__(
        self, model: nn.Module, captured: Captured, layout: Layout, wanted: list[Reading]
    ) -> None:
        super().__init__()
        held = named_tensors(model)
        self._wanted = set(wanted)
        self._readings: dict[int, list[Reading]] = defaultdict(list)
        for reading in (*layout.readings, *layout.grouped):
            name = captured.names.get(reading.weight.name)
            if name is not None:
                self._readings[id(held[name])].append(reading)
        self._used: Counter[int] = Counter()
        self._seen: dict[Reading, Seen] = {}
        self._astray: set[int] = set()

    def begin(self) -> None:
        """Start a pass."""
        self._used.clear()

    def end(self) -> None:
        """Note the weights that were not used as often as on the example."""
        self._astray |= {key for key, many in self._readings.items()
                         if self._used[key] != len(many)}  # fmt: skip

    def found(self) -> dict[Reading, Seen]:
        """Return what was seen of the readings that are known for certain."""
        astray = {r for key in self._astray for r in self._readings[key]}
        return {r: seen for r, seen in self._seen.items() if r not in astray}

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run a call, and count what a product is given."""
        name = getattr(func, "__name__", "")
        if name in _PRODUCTS:
            operands = [*args, *(kwargs or {}).values()]
            key = next((id(x) for x in operands if id(x) in self._readings), None)
            if key is not None:
                self._count(key, operands[int(name == "addmm")])
        return func(*args, **(kwargs or {}))

    def _count(self, key: int, values: Tensor) -> None:
        many, turn = self._readings[key], self._used[key]
        self._used[key] += 1
        if turn >= len(many) or many[turn] not in self._wanted:
            return
        reading = many[turn]
        rank = len(reading.values.meta["val"].shape)
        rows = values.detach().movedim(reading.dim - rank, 0)
        rows = rows.reshape(rows.shape[0], -1)
        seen = self._seen.get(reading)
        if seen is None:
            seen = self._seen[reading] = Seen.of(len(rows), rows.device)
        seen.add(rows)
