"""A new activation module from whatever names one."""

from __future__ import annotations

import copy
from typing import Any

from torch import nn

from relucid.functions import Activation, get
from relucid.nn.classes import class_of
from relucid.nn.module import ActivationModule

_OPTIONS = ("inplace", "dim", "learn", "num_parameters", "device", "dtype")


def make(activation: Any, /, **parameters: Any) -> ActivationModule:
    """Return a new module, at every call another, for a name, class, instance or callable.

    ``make("elu", alpha=0.5)``, ``make("silu", learn="beta")``, ``make("prelu",
    num_parameters=64)``, ``make("softmax", dim=1)``, ``make(torch.nn.LeakyReLU(0.2))``,
    ``make(torch.nn.functional.mish)``, ``make(my_activation)`` for one declared with
    :func:`relucid.activation`. A module instance is copied, with its learned parameters, unless
    other parameters are given.

    Args:
        activation: a name, alias, declaration, module class, module or function.
        parameters: values for the function's parameters, and options of the module: ``inplace``,
            ``learn``, ``num_parameters``, ``device``, ``dtype`` (elementwise functions), ``dim``
            (functions along an axis).

    Raises:
        UnknownActivationError: with the nearest names.
        ParameterError: for a parameter or option that the function does not have.

    """
    if isinstance(activation, ActivationModule) and not parameters:
        return copy.deepcopy(activation)
    options = {n: parameters.pop(n) for n in _OPTIONS if n in parameters}
    if isinstance(activation, nn.Module):
        options = {**_options_of(activation), **options}
    function = _function(activation, parameters)
    module = class_of(function).of(function, **options)
    if isinstance(activation, nn.Module):
        _copy_learned(activation, module)
    return module


def _function(activation: Any, parameters: dict[str, Any]) -> Activation:
    """The declaration with parameters; of a module those with which it began to learn."""
    if isinstance(activation, ActivationModule):
        return activation._function.with_parameters(**parameters)
    if isinstance(activation, type) and issubclass(activation, ActivationModule):
        return activation.declared.with_parameters(**parameters)
    if isinstance(activation, nn.PReLU):  # its learned slopes are copied afterwards
        return get("prelu", **parameters)
    return get(activation, **parameters)


def _options_of(module: nn.Module) -> dict[str, Any]:
    offered = ("inplace", "dim", "learn", "num_parameters")
    return {name: getattr(module, name) for name in offered if hasattr(module, name)}


def _copy_learned(source: nn.Module, module: ActivationModule) -> None:
    """Give the new module the mode and the learned tensors of the old, on the same device."""
    module.train(source.training)
    for name, parameter in source.named_parameters(recurse=False):
        if name in module._parameters:
            copied = nn.Parameter(parameter.detach().clone(), parameter.requires_grad)
            module.register_parameter(name, copied)
