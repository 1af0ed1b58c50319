"""The modules whose behaviour or constructor in torch.nn goes beyond their function."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from relucid.functions import Elementwise, get
from relucid.nn.autograd import refuse_other_dtypes
from relucid.nn.elementwise import ElementwiseModule, evaluated
from relucid.nn.words import compute_dtype


class GELUModule(ElementwiseModule):
    """``approximate`` chooses between what PyTorch calls one function and relucid two."""

    def _set_up(self, function: Any, *, approximate: str = "none", **options: Any) -> None:
        chosen = function if approximate == "none" else get("gelu", approximate=approximate)
        super()._set_up(chosen, **options)
        self.approximate = approximate


class PReLUModule(ElementwiseModule):
    """The learned slope has PyTorch's name, ``weight``, and its first value is ``init``."""

    keys: ClassVar[Mapping[str, str]] = MappingProxyType({"negative_slope": "weight"})

    def _set_up(self, function: Any, *, init: float | None = None, **options: Any) -> None:
        if init is not None:
            function = function.with_parameters(negative_slope=init)
        super()._set_up(function, **options)
        self.init = function.parameters["negative_slope"]

    def extra_repr(self) -> str:
        """Show what torch.nn.PReLU shows."""
        return f"num_parameters={self.num_parameters}"


class RReLUModule(ElementwiseModule):
    """In training each element draws its own slope; in evaluation the mean slope is used.

    Where a bound is learned the mean slope is used in training too.
    """

    def _value(self, x: Tensor, inplace: bool) -> Tensor:
        if not self.training or self.learn:
            return super()._value(x, inplace)
        refuse_other_dtypes(self._function.name, x)
        lower, upper = (self._function.parameters[n] for n in ("lower", "upper"))
        slopes = torch.empty_like(x, dtype=compute_dtype(x)).uniform_(lower, upper)
        return evaluated(_leaky_relu, x, {"negative_slope": slopes}, inplace)


_leaky_relu = cast(Elementwise, get("leaky_relu"))


def _parameter(name: str, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default)


SPECIAL: dict[str, tuple[type[ElementwiseModule], tuple[inspect.Parameter, ...]]] = {
    "gelu": (GELUModule, (_parameter("approximate", "none"),)),
    "prelu": (PReLUModule, (_parameter("init", 0.25),)),
    "rrelu": (RReLUModule, ()),
}
"""Class and further constructor arguments, by the name of the declaration."""
