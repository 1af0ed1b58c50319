"""Which function a module or a plain function is: by its class where that says it, else by values.

The name of a class of the model's own says too little: many a ``GELU`` computes the tanh form.
"""

from __future__ import annotations

import copy
import inspect
import warnings
from functools import cache, partial
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relucid.errors import ParameterError, UnknownActivationError
from relucid.functions import Activation, Elementwise, get
from relucid.nn.calls import declared_by
from relucid.probes.recognise import ACTIVATION_MODULES, CLAMPS, MAXIMA, of_module
from relucid.probes.written import computes, epsilon, identify, sample

_SPACES = (torch, F, torch.special, Tensor)
_BOUNDS = frozenset({*CLAMPS, *MAXIMA, "where"})


class Known:
    """What the modules of a model were found to be."""

    def __init__(self) -> None:
        self.verdicts: dict[int, Activation | None] = {}
        """By identity: what a pass of the probes said of modules of the model's own."""
        self._tried: dict[int, Activation | None] = {}

    def of(self, module: nn.Module) -> Activation | None:
        """Return the function that a module computes, None where it is none that is known."""
        if of_module(module) is not None or type(module) in ACTIVATION_MODULES:
            return _with_numbers(declared_by(module))
        if type(module).__module__.startswith("torch."):
            return None
        verdict = self.verdicts.get(id(module))
        if verdict is None and id(module) not in self._tried:
            self._tried[id(module)] = _tried(module)
        return verdict or self._tried.get(id(module))


def of_function(value: Any) -> Activation | None:
    """Return the activation that a plain function is: PyTorch's, a partial of one, or declared.

    A function of the model's own counts if its name is an activation's and its values are too.
    """
    if isinstance(value, Activation):
        return value
    if isinstance(value, partial):
        return _of_partial(value)
    if not isinstance(value, FunctionType | BuiltinFunctionType | MethodDescriptorType):
        return None
    found = None if value.__name__ in _BOUNDS else _named(value)
    if found is None or is_torch(value):
        return found
    return found if _has_values_of(found, value) else None


def _with_numbers(activation: Activation | None) -> Activation | None:
    """The function at its defaults where its parameters have no values yet, on the meta device."""
    if activation is None or not any(
        getattr(v, "is_meta", False) for v in activation.values.values()
    ):
        return activation
    return get(activation.name)


def is_torch(function: Any) -> bool:
    """Whether this is a function of PyTorch, or a method of its tensors."""
    name = getattr(function, "__name__", "")
    return any(getattr(space, name, None) is function for space in _SPACES)


def _named(value: Any) -> Activation | None:
    try:
        return get(value)
    except (UnknownActivationError, ParameterError):
        return None


def _of_partial(value: partial[Any]) -> Activation | None:
    if of_function(value.func) is None or value.args:
        return None
    keywords = {n: v for n, v in value.keywords.items() if n not in ("inplace", "training")}
    try:
        return get(value.func, **keywords)
    except (UnknownActivationError, ParameterError):
        return None


def _has_values_of(activation: Activation, function: Any) -> bool:
    z = _grid()
    h = _called(function, z)
    return h is not None and computes(activation, sample(z), sample(h), epsilon(z))


def _tried(module: nn.Module) -> Activation | None:
    """Try a copy of a module of the model's own on numbers from -8 to 8.

    Only one that holds no modules, parameters or buffers: those are no activation, or learn it.
    """
    held = (module._modules, module._parameters, module._buffers)
    if any(held) or isinstance(module, torch.jit.ScriptModule) or not _takes_one(module):
        return None
    z = _grid()
    h = _called(lambda x: copy.deepcopy(module).eval()(x), z)
    return None if h is None else identify(sample(z), sample(h), epsilon(z))


def _called(function: Any, z: Tensor) -> Tensor | None:
    try:
        with torch.random.fork_rng(devices=()), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nobody asked for this call
            h = function(z.clone())
    except Exception:  # whatever code of the user's raises here: it takes no such tensor
        return None
    alike = isinstance(h, Tensor) and h.shape == z.shape and h.dtype == z.dtype and h.is_cpu
    return h if alike else None


def _takes_one(module: nn.Module) -> bool:
    parameters = list(inspect.signature(module.forward).parameters.values())
    required = [p for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    return len(required) == 1 and required[0] is parameters[0]


@cache
def _grid() -> Tensor:
    return torch.linspace(-8.0, 8.0, 512, dtype=torch.float32).reshape(2, 4, 8, 8)


def kind_of(activation: Activation | None) -> str:
    """How many inputs a function has: one number, a vector, or a value and a gate."""
    if activation is None or isinstance(activation, Elementwise):
        return "elementwise"
    return activation.kind
