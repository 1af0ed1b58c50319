"""One site and all that is counted at it."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from relucid.functions import Activation
from relucid.probes.arrange import Arrangement, arrange
from relucid.probes.chunk import chunks
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
        self._of_z = (Firing(), Saturation(activation), Kinks(activation), Moments())
        self._outputs = Outputs()
        self._histogram = HistogramCounter(activation)
        masks = not self._elementwise
        self._nonfinite_in, self._nonfinite_out = Nonfinite(masks), Nonfinite(masks)
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
        view, axis = arrangement.three_axes(z)
        for chunk in chunks(view, axis, arrangement.group):
            self._nonfinite_in.count(chunk)
            self._samples += chunk.samples
            self._elements += chunk.elements if self._elementwise else chunk.values.numel()
            if self._elementwise:
                for counter in self._of_z:
                    counter.count(chunk)
        if self._elementwise and z.numel():
            self._histogram.count(z)

    def after(self, h: Tensor, arrangement: Arrangement) -> None:
        """Count h, the call's result."""
        h = plain(h)
        if not self._elementwise:
            arrangement = arrange(tuple(h.shape), None, None)
        view, axis = arrangement.three_axes(h)
        for chunk in chunks(view, axis, arrangement.group):
            self._nonfinite_out.count(chunk)
            if self._elementwise:
                self._outputs.count(chunk)

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


def plain(tensor: Tensor) -> Tensor:
    """The tensor's values, out of the graph and as a plain tensor."""
    return tensor.detach().as_subclass(Tensor)


def uncountable(z: Tensor) -> str | None:
    """Why this tensor's values cannot be counted, or None."""
    if torch._C._functorch.is_functorch_wrapped_tensor(z):
        return "its values are hidden by torch.func (vmap, grad or jvp)"
    if z.layout is not torch.strided or z.is_nested:
        return "its tensor is sparse, nested or packed"
    if z.device.type == "meta":
        return "its tensor is on the meta device, without values"
    if type(z).__torch_dispatch__ is not Tensor.__torch_dispatch__:
        return f"its values are kept by {type(z).__name__}, not by a plain tensor"
    return None


class GradientHooks:
    """Tensor hooks that count dL/dz, and their removal."""

    def __init__(self) -> None:
        self._handles: list[RemovableHandle] = []
        self.scale = 1.0

    def watch(self, z: Tensor, site: CountedSite, arrangement: Arrangement) -> RemovableHandle:
        """Count the gradient that will reach z."""
        gradient, scale = weakref.ref(site.gradient), self.scale

        def count(arrived: Tensor) -> None:
            counter = gradient()
            if counter is not None and uncountable(arrived) is None:
                counter.count(plain(arrived), arrangement, scale)

        handle = z.register_hook(count)
        self._handles.append(handle)
        return handle

    def prune(self) -> None:
        """Forget hooks whose graph is gone."""
        self._handles = [h for h in self._handles if h.hooks_dict_ref() is not None]

    def remove(self) -> None:
        """Take all hooks off, also of graphs that are still to be run backward."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

