"""Modules of functions of one number: parameters that can be learned, and writing in place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from relucid.errors import ParameterError, ShapeError
from relucid.functions import Elementwise
from relucid.functions.bridge import torch_routes
from relucid.nn.module import ActivationModule


class ElementwiseModule(ActivationModule):
    """Apply a function of one number to each element of a tensor of any shape.

    Args:
        inplace: write the result into the input and return the input.
        learn: name or names of parameters to learn. They start at the given value and are
            unconstrained: a step of the optimiser may carry one out of its domain, where the
            function is evaluated as its formula says.
        num_parameters: 1 for parameters shared by all elements, or the length of axis 1 for one
            a channel, as ``torch.nn.PReLU``.
        device, dtype: of the learned parameters.

    Further arguments are the parameters of the declaration.

    """

    _function: Elementwise

    def _set_up(
        self,
        function: Any,
        *,
        inplace: bool = False,
        learn: str | Iterable[str] | None = None,
        num_parameters: int = 1,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        _refuse_tensors(function)
        self._function = function
        self.inplace = inplace
        self.num_parameters = num_parameters
        names = function.learned if learn is None else learn
        self.learn = (names,) if isinstance(names, str) else tuple(names)
        if num_parameters != 1 and not self.learn:
            raise ParameterError(
                f"{function.name}: num_parameters={num_parameters} needs learn=, the name of the "
                "parameter to learn"
            )
        for name in self.learn:
            initial = self._initial(name).to(device=device, dtype=dtype)
            self.register_parameter(self._key(name), nn.Parameter(initial))

    @property
    def activation(self) -> Elementwise:
        """The function that the module applies; a learned parameter's value is its tensor."""
        return self._function.with_parameters(**{n: self._tensor(n) for n in self.learn})

    def forward(self, input: Tensor) -> Tensor:
        """Return the value at each element: same shape and dtype as ``input``."""
        value = self._value(input, self.inplace)
        self._note_route()
        return value

    def reset_parameters(self) -> None:
        """Set learned parameters back to the values with which they began."""
        for name in self.learn:
            with torch.no_grad():
                self._tensor(name).copy_(self._initial(name))

    def _value(self, x: Tensor, inplace: bool) -> Tensor:
        learned = None
        if self.learn:
            learned = {n: self._broadcast(self._tensor(n), x) for n in self.learn}
        return evaluated(self._function, x, learned, inplace)

    def _broadcast(self, parameter: Tensor, x: Tensor) -> Tensor:
        if self.num_parameters == 1:
            return parameter.reshape(())
        if x.ndim < 2 or x.shape[1] != self.num_parameters:
            raise ShapeError(
                f"{type(self).__name__} learns one parameter for each of {self.num_parameters} "
                f"channels along axis 1, which shape {tuple(x.shape)} does not have"
            )
        return parameter.reshape(-1, *(1,) * (x.ndim - 2))

    def _initial(self, name: str) -> Tensor:
        if name not in self._function.parameters_declared:
            offered = ", ".join(self._function.parameters_declared) or "none"
            raise ParameterError(
                f"{self._function.name} has no parameter {name!r} to learn; it has: {offered}"
            )
        value = torch.as_tensor(self._function.parameters[name], dtype=torch.get_default_dtype())
        return value.detach().expand(self.num_parameters).clone()

    def _key(self, name: str) -> str:
        return self.keys.get(name, name)

    def _tensor(self, name: str) -> Tensor:
        return self._parameters[self._key(name)]  # type: ignore[return-value]  # never None here

    def _shown(self, name: str) -> Any:
        if name == "learn":
            return None if self.learn == self.declared.learned else self.learn
        return self._function.arguments.get(name, getattr(self, name, None))


def evaluated(
    function: Elementwise, x: Tensor, learned: Mapping[str, Tensor] | None, inplace: bool = False
) -> Tensor:
    """Return the value by the present route, with tensors in place of some parameters."""
    value: Tensor = torch_routes().elementwise(function, x, learned, inplace)
    return value


def _refuse_tensors(function: Elementwise) -> None:
    for name, value in function.values.items():
        if not isinstance(value, float):
            raise ParameterError(
                f"{function.name}: {name} is an array here, which the module would not save or "
                f"move; pass a number to start from and learn={name!r}"
            )
