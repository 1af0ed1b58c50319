"""One site and all that is counted at it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

from torch import Tensor

from relucid.functions import Activation
from relucid.probes.arrange import Arrangement
from relucid.probes.counters import (
    Firing,
    Gradient,
    HistogramCounter,
    Kinks,
    Moments,
    Nonfinite,
    Outputs,
    Saturation,
)
from relucid.probes.layers import Origin
from relucid.probes.recognise import Call, frozen
from relucid.probes.rows import Wanted, read_rows
from relucid.probes.tensors import plain
from relucid.records import Site, SiteRecord


@dataclass(frozen=True)
class Where:
    """Name and circumstances of a site, apart from its numbers."""

    name: str
    kind: Literal["module", "function", "method"]
    module: str
    source: str | None


class CountedSite:
    """Counts on z when the activation is called and on h when it has returned."""

    def __init__(self, where: Where, call: Call, arrangement: Arrangement) -> None:
        shape = tuple(call.z.shape)
        view, axis = arrangement.three_axes(call.z)
        self._where, self._call_name, self._parameters = where, call.name, call.parameters
        self._elementwise = call.elementwise
        self._units = view.shape[axis] if self._elementwise else 0
        self._shape, self._unit_axis = arrangement.sample_shape(shape), arrangement.unit_axis
        self._dtype = str(call.z.dtype).removeprefix("torch.")
        self._samples = self._elements = 0
        self._origin: Origin | None = None
        activation = None if call.activation is None else frozen(call.activation)
        self._build(activation)

    def _build(self, activation: Activation | None) -> None:
        self._moments = Moments()
        self._of_z = (Firing(), Saturation(activation), Kinks(activation), self._moments)
        compared = (counter.comparisons for counter in self._of_z[:3])
        self._comparisons = tuple(dict.fromkeys(chain.from_iterable(compared)))
        self._outputs = Outputs(activation)
        self._histogram = HistogramCounter(activation)
        self._nonfinite_in, self._nonfinite_out = Nonfinite(), Nonfinite()
        self.gradient = Gradient(self._units)

    @property
    def name(self) -> str:
        """Name of the site."""
        return self._where.name

    @property
    def path(self) -> str:
        """Path of the module that makes the call."""
        return self._where.module

    def before(self, z: Tensor, arrangement: Arrangement, origin: Origin | None) -> None:
        """Count z, which the call may overwrite."""
        self._origin = origin
        z = plain(z)
        if not self._elementwise:
            self._samples += z.shape[0] // arrangement.group if z.ndim else 1
            self._elements += z.numel()
            self._nonfinite_in.count_vectors(z)
            return
        view, axis = arrangement.three_axes(z)
        centre = self._moments.centre(view, axis)
        wanted = Wanted(self._comparisons, centre, squares=True)
        rows = read_rows(view, axis, arrangement.group, wanted)
        self._samples += rows.samples
        self._elements += rows.elements
        self._nonfinite_in.count(rows)
        for counter in self._of_z:
            counter.count(rows)
        self._outputs.count_input(rows)
        if z.numel():
            self._histogram.count(z)

    def after(self, h: Tensor, arrangement: Arrangement) -> None:
        """Count h, the call's result."""
        h = plain(h)
        if not self._elementwise:
            self._nonfinite_out.count_vectors(h)
            return
        view, axis = arrangement.three_axes(h)
        rows = read_rows(view, axis, arrangement.group, self._outputs.wanted)
        self._nonfinite_out.count(rows)
        self._outputs.count(rows)

    def nonfinite(self) -> int:
        """Read how many non-finite values were seen so far."""
        gradient = self.gradient.record()
        seen = self._nonfinite_in.total() + self._nonfinite_out.total()
        return seen + (0 if gradient is None else gradient.nonfinite)

    def record(self, order: int) -> SiteRecord:
        """Read all counts."""
        fields: dict[str, Any] = {}
        for counter in (*self._of_z, self._outputs):
            fields |= counter.fields(self._units)
        return SiteRecord(
            site=self._site(order),
            samples=self._samples,
            elements=self._elements,
            nonfinite_in=self._nonfinite_in.total(),
            nonfinite_out=self._nonfinite_out.total(),
            dtype=self._dtype,
            histogram=self._histogram.record(),
            layer=self._layer(),
            gradient=self.gradient.record(),
            **fields,
        )

    def _site(self, order: int) -> Site:
        return Site(
            name=self._where.name,
            activation=self._call_name,
            parameters=self._parameters,
            kind=self._where.kind,
            module=self._where.module,
            source=self._where.source,
            order=order,
            units=self._units,
            unit_axis=self._unit_axis,
            shape=self._shape,
        )

    def _layer(self) -> Any:
        origin = self._origin
        if origin is None or origin.weighted is None:
            return None
        return origin.weighted.record(origin.normalised_by)
