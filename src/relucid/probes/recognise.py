"""Which activation a torch call is: from the function's name and arguments to a declaration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from relucid.errors import ParameterError, UnknownActivationError
from relucid.functions import Activation, get
from relucid.probes.tensors import uncountable

PLAIN_NAMES = {
    "relu": "relu",
    "relu_": "relu",
    "relu6": "relu6",
    "selu": "selu",
    "selu_": "selu",
    "silu": "silu",
    "silu_": "silu",
    "mish": "mish",
    "mish_": "mish",
    "sigmoid": "sigmoid",
    "sigmoid_": "sigmoid",
    "special_expit": "sigmoid",
    "tanh": "tanh",
    "tanh_": "tanh",
    "atan": "arctan",
    "atan_": "arctan",
    "arctan": "arctan",
    "arctan_": "arctan",
    "hardsigmoid": "hardsigmoid",
    "hardsigmoid_": "hardsigmoid",
    "hardswish": "hardswish",
    "hardswish_": "hardswish",
    "softsign": "softsign",
    "tanhshrink": "tanhshrink",
    "logsigmoid": "logsigmoid",
    "log_sigmoid": "logsigmoid",
    "glu": "glu",
    "softmax": "softmax",
    "_softmax": "softmax",
    "special_softmax": "softmax",
    "log_softmax": "log_softmax",
    "_log_softmax": "log_softmax",
    "special_log_softmax": "log_softmax",
    "softmin": "softmin",
}
"""Calls without parameters that matter here, and the catalogue's name for each."""

PARAMETERS = {
    "leaky_relu": ("leaky_relu", ("negative_slope",)),
    "leaky_relu_": ("leaky_relu", ("negative_slope",)),
    "rrelu": ("rrelu", ("lower", "upper")),
    "rrelu_": ("rrelu", ("lower", "upper")),
    "prelu": ("prelu", ("weight",)),
    "elu": ("elu", ("alpha",)),
    "elu_": ("elu", ("alpha",)),
    "celu": ("celu", ("alpha",)),
    "celu_": ("celu", ("alpha",)),
    "hardtanh": ("hardtanh", ("min_val", "max_val")),
    "hardtanh_": ("hardtanh", ("min_val", "max_val")),
    "threshold": ("threshold", ("threshold", "value")),
    "_threshold": ("threshold", ("threshold", "value")),
    "threshold_": ("threshold", ("threshold", "value")),
    "hardshrink": ("hardshrink", ("lambd",)),
    "softshrink": ("softshrink", ("lambd",)),
    "softplus": ("softplus", ("beta", "threshold")),
    "gelu": ("gelu", ("approximate",)),
}
"""Calls with parameters, and those parameters' names in the order of the arguments."""

RENAMED = {"weight": "negative_slope"}
"""The catalogue's names for parameters that it names otherwise."""

CLAMPS = frozenset({"clamp", "clamp_", "clip", "clip_", "clamp_min", "clamp_min_"})
MAXIMA = frozenset({"maximum", "fmax", "max"})
CALLS = frozenset({*PLAIN_NAMES, *PARAMETERS, *CLAMPS, *MAXIMA, "where"})
"""Names of all torch calls that may be an activation."""

ACTIVATION_MODULES: tuple[type[nn.Module], ...] = tuple(
    getattr(nn.modules.activation, name)
    for name in nn.modules.activation.__all__
    if name != "MultiheadAttention"
)


@dataclass(frozen=True)
class Call:
    """An activation call: the pre-activation z and the function, None where not declared."""

    z: Tensor
    name: str
    activation: Activation | None
    learned: tuple[str, ...] = ()
    """Names of the model's parameters that it takes."""

    @property
    def elementwise(self) -> bool:
        """Whether each output depends on one input, so that units can be counted."""
        return self.activation is None or self.activation.kind == "elementwise"

    @property
    def parameters(self) -> dict[str, float]:
        """Parameters that differ from the declaration's defaults."""
        return {} if self.activation is None else plain_parameters(self.activation)


def recognise(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call | None:
    """Return the activation that this torch call computes, or None where it is none.

    Integers and complex numbers, and an activation of a parameter itself (a scale kept positive
    by softplus), are no activation calls.
    """
    name = name_of(function)
    z, rest = _operand(args, kwargs)
    found: Found | None
    if name in MAXIMA:
        z, found = _maximum(args, kwargs)
    elif name == "where":
        z, found = _where(args, kwargs)
    elif name in CLAMPS:
        found = _clamp(rest, kwargs)
    else:
        found = _named(name, rest, kwargs)
    if found is None or not is_data(z):
        return None
    activation = _declared(*found)
    return Call(z, found[0] if activation is None else activation.name, activation)


def name_of(function: Any) -> str:
    """Return the function's name; ``relu`` also for ``torch.ops.aten.relu.default``."""
    name: str = getattr(function, "__name__", "")
    return name.partition(".")[0] if "." in name else name


def of_module(module: nn.Module) -> Activation | None:
    """Return the declaration that a ``relucid.nn`` module carries, by its form."""
    own = getattr(module, "activation", None)
    leaf = next(module.children(), None) is None
    return own if leaf and isinstance(own, Activation) else None


def is_activation_module(module: nn.Module) -> bool:
    """Whether the module is one of torch.nn's activations or carries a declaration."""
    return isinstance(module, ACTIVATION_MODULES) or of_module(module) is not None


def plain_parameters(activation: Activation) -> dict[str, float]:
    """Parameters that differ from their defaults, as numbers: of a learned one, its mean."""
    return {name: _number(value) for name, value in activation.changed.items()}


def frozen(activation: Activation) -> Activation:
    """Replace learned parameters by the mean of their present values."""
    learned = {n: _number(v) for n, v in activation.changed.items() if isinstance(v, Tensor)}
    return activation.with_parameters(**learned) if learned else activation


def _operand(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, tuple[Any, ...]]:
    if args:
        return args[0], args[1:]
    return kwargs.get("input", kwargs.get("self")), ()


def is_data(z: Any) -> bool:
    """Whether this is a tensor of real numbers that is not itself a parameter."""
    return isinstance(z, Tensor) and z.is_floating_point() and not isinstance(z, nn.Parameter)


Found = tuple[str, tuple[tuple[str, Any], ...]]


def _named(name: str, rest: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Found:
    if name in PLAIN_NAMES:
        return PLAIN_NAMES[name], ()
    catalogue_name, names = PARAMETERS[name]
    given = dict(zip(names, rest, strict=False))
    given |= {n: kwargs[n] for n in names if n in kwargs}
    if catalogue_name == "hardtanh" and given == {"min_val": 0.0, "max_val": 6.0}:
        return "relu6", ()
    return catalogue_name, tuple((RENAMED.get(n, n), _hashable(v)) for n, v in given.items())


def _clamp(rest: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Found | None:
    """Recognise a clip that rectifies. Others are guards (``clamp(min=1e-6)``)."""
    bounds = (*rest, None, None)
    low, high = kwargs.get("min", bounds[0]), kwargs.get("max", bounds[1])
    if low is None or not _is_zero(low):
        return None
    if high is None:
        return "relu", ()
    return ("relu6", ()) if _is_number(high, 6.0) else None


def _where(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, Found | None]:
    """``where(x > 0, x, 0)`` and ``where(x < 0, 0, x)``, told by which values are chosen."""
    operands = [*args, *(kwargs[n] for n in ("condition", "input", "other") if n in kwargs)]
    if len(operands) != 3:
        return None, None
    if is_data(operands[0]):  # the method: x.where(condition, other)
        operands[:2] = operands[1::-1]
    condition, first, second = operands
    if not isinstance(condition, Tensor) or condition.dtype is not torch.bool:
        return None, None
    for z, other, chosen in ((first, second, condition), (second, first, ~condition)):
        if is_data(z) and _is_zero(other) and _is_positive(z, chosen):
            return z, ("relu", ())
    return None, None


def _is_positive(z: Tensor, chosen: Tensor) -> bool:
    """Whether exactly the positive values are chosen; zero and NaN may be or not."""
    if z.shape != chosen.shape or uncountable(z) or uncountable(chosen):
        return False
    return bool(((chosen == (z > 0)) | ~(z.abs() > 0)).all())


def _maximum(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, Found | None]:
    """``maximum(x, 0)``, in either order; the zeros may be of x's own shape."""
    operands = [*args, *(kwargs[n] for n in ("input", "other") if n in kwargs)]
    if len(operands) != 2 or not all(isinstance(x, Tensor) for x in operands):
        return None, None
    for z, other in (operands, operands[::-1]):
        if z.numel() >= other.numel() and _is_zero(other):
            return z, ("relu", ())
    return None, None


def _is_zero(value: Any) -> bool:
    if isinstance(value, Tensor):
        if value.requires_grad or uncountable(value):
            return False
        return not bool(value.any())
    return _is_number(value, 0.0)


def _is_number(value: Any, wanted: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == wanted


def _hashable(value: Any) -> Any:
    return _number(value) if isinstance(value, Tensor) else value


def _number(value: Any) -> float:
    return float(value.detach().float().mean()) if isinstance(value, Tensor) else float(value)


@lru_cache(maxsize=256)
def _declared(name: str, parameters: tuple[tuple[str, Any], ...]) -> Activation | None:
    try:
        return get(name, **{n: v if isinstance(v, str) else float(v) for n, v in parameters})
    except (UnknownActivationError, ParameterError):
        return None
