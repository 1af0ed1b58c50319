"""One site and all that is counted at it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import chain
from typing import Any, Literal

from torch import Tensor

from relucid.probes.arrange import Arrangement, Part
from relucid.probes.counters import counters
from relucid.probes.counters.gradient import Gradient
from relucid.probes.counters.histogram import HistogramCounter
from relucid.probes.counters.nonfinite import NONFINITE
from relucid.probes.counters.totals import Totals
from relucid.probes.layers import Origin
from relucid.probes.recognise import Call, frozen
from relucid.probes.sums import Sum, unmasked
from relucid.probes.tensors import plain
from relucid.records import Site, SiteRecord

_UNMASKED = Sum(unmasked)
_FIELDS = frozenset(field.name for field in fields(SiteRecord))


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
        self._samples = 0
        self._origin: Origin | None = None
        activation = None if call.activation is None else frozen(call.activation)
        self._counters = [kind(activation) for kind in counters()]
        of_z = chain.from_iterable(counter.of_z for counter in self._counters)
        of_h = chain.from_iterable(counter.of_h for counter in self._counters)
        self.z, self.h = Totals(self._units, of_z), Totals(self._units, of_h)
        self.gradient = Gradient(self._units)
        self._histogram = HistogramCounter(activation)
        # Of a function of vectors nothing else is counted.
        self._read = (self.z, self.h)
        if not self._elementwise:
            self._read = (Totals(1, (_UNMASKED,)), Totals(1, (_UNMASKED,)))

    @property
    def name(self) -> str:
        """Name of the site."""
        return self._where.name

    @property
    def path(self) -> str:
        """Path of the module that makes the call."""
        return self._where.module

    def before(self, z: Tensor, part: Part, origin: Origin | None) -> None:
        """Count z, which the call may overwrite."""
        self._origin = origin
        z = plain(z)
        self._samples += part.samples(z)
        self._read[0].read(z, part)
        if self._elementwise and z.numel():
            self._histogram.count(part.of(z))

    def after(self, h: Tensor, part: Part) -> None:
        """Count h, the call's result."""
        self._read[1].read(plain(h), part)

    def nonfinite(self) -> int:
        """Read how many non-finite values were seen so far."""
        gradient = self.gradient.record()
        return sum(self._nonfinite()) + (0 if gradient is None else gradient.nonfinite)

    def _nonfinite(self) -> tuple[int, int]:
        one = NONFINITE if self._elementwise else _UNMASKED
        z, h = (int(totals.counts(one).sum()) for totals in self._read)
        return z, h

    def record(self, order: int) -> SiteRecord:
        """Read all counts."""
        nonfinite_in, nonfinite_out = self._nonfinite()
        found: dict[str, Any] = {}
        for counter in self._counters:
            found |= counter.fields(self.z, self.h)
        known = {name: found.pop(name) for name in _FIELDS & found.keys()}
        return SiteRecord(
            site=self._site(order),
            samples=self._samples,
            elements=self._read[0].elements,
            nonfinite_in=nonfinite_in,
            nonfinite_out=nonfinite_out,
            dtype=self._dtype,
            histogram=self._histogram.record(),
            layer=self._layer(),
            gradient=self.gradient.record(),
            more=found,
            **known,
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
