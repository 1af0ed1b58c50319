"""One site and all that is counted at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from itertools import chain
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relucid.errors import ModelError, RelucidError
from relucid.functions import Activation, get
from relucid.probes.arrange import Arrangement, Part
from relucid.probes.counters import counters
from relucid.probes.counters.gradient import Gradient
from relucid.probes.counters.histogram import HistogramCounter
from relucid.probes.counters.nonfinite import NONFINITE
from relucid.probes.counters.totals import Totals
from relucid.probes.history import History, When, thorough
from relucid.probes.layers import Origin
from relucid.probes.recognise import Call, frozen
from relucid.probes.sums import Sum, unmasked
from relucid.probes.tensors import plain
from relucid.records import Reader, Site, SiteHistory, SiteRecord

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

    def __init__(
        self, where: Where, call: Call, arrangement: Arrangement, window: int | None
    ) -> None:
        self._made_of = _described(where, call, arrangement)
        shape = tuple(call.z.shape)
        view, axis = arrangement.three_axes(call.z)
        self._where, self._call_name, self._parameters = where, call.name, call.parameters
        self._elementwise, self._learned = call.elementwise, call.learned
        self._units = view.shape[axis] if self._elementwise else 0
        self._shape, self._unit_axis = arrangement.sample_shape(shape), arrangement.unit_axis
        self._dtype = str(call.z.dtype).removeprefix("torch.")
        self._samples = 0
        self.origin: Origin | None = None
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
        wanted = self.z.wanted
        self._history = None if window is None else History(self._units, wanted, window)

    @classmethod
    def described(cls, about: dict[str, Any], window: int | None) -> CountedSite:
        """Return the site that :meth:`about` describes, with nothing counted.

        Raises :class:`~relucid.errors.ModelError` where its function is not declared here.
        """
        where, arrangement = Where(*about["where"]), Arrangement(*about["arrangement"])
        dtype = getattr(torch, about["dtype"])
        z = torch.empty(about["shape"], dtype=dtype, device="meta")
        activation = _declared(where.name, about["activation"], about["parameters"])
        call = Call(z, about["call"], activation, tuple(about["learned"]))
        return cls(where, call, arrangement, window)

    def in_words(self) -> str:
        """Name the site, its function and the number of its units."""
        given = ", ".join(f"{name}={value:g}" for name, value in self._parameters.items())
        return f"{self.name!r}: {self._call_name}({given}) of {self._units} units"

    def about(self) -> dict[str, Any]:
        """Say in plain values what the site is."""
        return self._made_of

    def state(self, turn: int) -> dict[str, NDArray[np.float64]]:
        """Read all counts, up to sampled pass ``turn``, as :meth:`put` takes them."""
        z, h = self._read
        numbers = (self._samples, z.elements, h.elements, self.gradient.batches)
        return {
            "numbers": np.array((*numbers, self.gradient.totals.elements), np.float64),
            "z": z.sums(),
            "h": h.sums(),
            "gradient": self.gradient.totals.sums(),
            "histogram": self._histogram.state(),
            **({} if self._history is None else self._history.state(turn)),
        }

    def put(self, state: Mapping[str, NDArray[np.float64]]) -> None:
        """Go on from counts that :meth:`state` read."""
        samples, *elements, batches, of_gradient = map(int, state["numbers"])
        self._samples, self.gradient.batches = samples, batches
        for name, totals, seen in zip("zh", self._read, elements, strict=True):
            totals.put(state[name], seen)
        self.gradient.totals.put(state["gradient"], of_gradient)
        self._histogram.put(state["histogram"])
        if self._history is not None:
            self._history.put(state)

    def add_ranks(self, ranks: int) -> None:
        """Take what was put as the sums of so many processes."""
        if self._history is not None:
            self._history.ranks = ranks

    @property
    def name(self) -> str:
        """Name of the site."""
        return self._where.name

    @property
    def path(self) -> str:
        """Path of the module that makes the call."""
        return self._where.module

    def before(self, z: Tensor, part: Part, origin: Origin | None, when: When) -> None:
        """Count z, which the call may overwrite."""
        self.origin = origin
        samples = part.form.samples
        self._samples += samples
        added, elements = self._read[0].read(z, part)
        if self._history is not None:
            self._history.add(when, samples, elements, added)
        if self._elementwise and z.numel() and self._pictured(part, when.turn):
            self._histogram.count(part.of(plain(z)))

    def _pictured(self, part: Part, turn: int) -> bool:
        """Whether z goes into the histogram, which costs as much as all other counts together."""
        return part.form.all_values or thorough(turn) or not self._histogram.begun

    def after(self, h: Tensor, part: Part) -> None:
        """Count h, the call's result."""
        self._read[1].read(h, part)

    def backward(self, gradient: Tensor, scale: float, *, part: Part, when: When) -> None:
        """Count the gradient that reached z."""
        found = self.gradient.count(gradient, part, scale)
        if self._history is not None:
            self._history.add_gradient(when, *found)

    def nonfinite(self) -> int:
        """Read how many non-finite values were seen so far."""
        gradient = self.gradient.record()
        return sum(self._nonfinite()) + (0 if gradient is None else gradient.nonfinite)

    def _nonfinite(self) -> tuple[int, int]:
        one = NONFINITE if self._elementwise else _UNMASKED
        z, h = (int(totals.counts(one).sum()) for totals in self._read)
        return z, h

    def history(self) -> SiteHistory | None:
        """Read what it did over time, if that is kept."""
        return None if self._history is None else self._history.record()

    def record(self, order: int, reader: Reader | None) -> SiteRecord:
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
            history=self.history(),
            follows=None if self.origin is None else self.origin.follows,
            more=found,
            reader=reader,
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
            learned=self._learned,
        )

    def _layer(self) -> Any:
        origin = self.origin
        if origin is None or origin.weighted is None:
            return None
        return origin.weighted.record(origin.normalised_by)


def _described(where: Where, call: Call, arrangement: Arrangement) -> dict[str, Any]:
    return {
        "where": astuple(where),
        "call": call.name,
        "activation": None if call.activation is None else call.activation.name,
        "parameters": call.parameters,
        "learned": call.learned,
        "shape": tuple(call.z.shape),
        "dtype": str(call.z.dtype).removeprefix("torch."),
        "arrangement": astuple(arrangement),
    }


def _declared(site: str, name: str | None, parameters: dict[str, float]) -> Activation | None:
    try:
        return None if name is None else get(name, **parameters)
    except RelucidError as error:
        raise ModelError(
            f"the state has counts of {name} at {site}, which is not declared here as it was "
            f"({error}); import the module that declares it first"
        ) from error
