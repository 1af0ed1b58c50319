"""A module class for every declaration, with torch.nn's name and signature where it has one."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import update_wrapper
from types import FunctionType
from typing import Any

from torch import nn

from relucid.errors import DeclarationError
from relucid.functions import Activation, declared
from relucid.nn.axis import TwoInputModule, VectorModule
from relucid.nn.elementwise import ElementwiseModule
from relucid.nn.module import ActivationModule
from relucid.nn.special import SPECIAL

_POSITIONAL = inspect.Parameter.POSITIONAL_OR_KEYWORD
_KEYWORD = inspect.Parameter.KEYWORD_ONLY

_BASES: dict[str, type[ActivationModule]] = {
    "elementwise": ElementwiseModule,
    "two-input": TwoInputModule,
    "vector": VectorModule,
}
_SPELLINGS = {name.lower(): name for name in nn.modules.activation.__all__}
"""PyTorch's own spelling of a function's name (ReLU, SiLU), by lower-case letters."""

_made: dict[str, type[ActivationModule]] = {}


def class_of(activation: Activation) -> type[ActivationModule]:
    """Return the module class of an activation's declaration, made on first use."""
    declaration = declared().get(activation.name, activation)
    known = _made.get(activation.name)
    if known is None or known.declared is not declaration:
        known = _made[activation.name] = _make_class(declaration)
    return known


def class_name(activation: Activation) -> str:
    """``leaky_relu`` is LeakyReLU, ``penalized_tanh`` PenalizedTanh, ``my_silu`` MySiLU."""
    words = activation.name.split("_")
    whole = _SPELLINGS.get("".join(words))
    return activation.class_name or whole or "".join(map(_spelled, words))


def _spelled(word: str) -> str:
    return _SPELLINGS.get(word, word.capitalize())


def _make_class(declaration: Activation) -> type[ActivationModule]:
    name = class_name(declaration)
    base, further = SPECIAL.get(declaration.name, (_BASES[declaration.kind], ()))
    _check_names(declaration, base)
    namespace = {
        "__module__": "relucid.nn",
        "__doc__": f"{declaration.summary}\n\n{inspect.cleandoc(base.__doc__ or '')}",
        "__reduce_ex__": _reduce,
        "__signature__": (signature := _signature(declaration, base, further)),
        "forward": _own_code(base.forward),
        "declared": declaration,
        "signature": signature,
    }
    return type(name, (base,), namespace)


def _check_names(declaration: Activation, base: type[ActivationModule]) -> None:
    reserved = {*dir(base), "training", *(option.name for option in _options(base))}
    for name in declaration.parameters_declared:
        if name in reserved:
            raise DeclarationError(
                f"the parameter {name!r} of {declaration.name} cannot be an attribute of its "
                "module, where that name means something else; give it another name"
            )


def _signature(
    declaration: Activation, base: type[ActivationModule], further: tuple[inspect.Parameter, ...]
) -> inspect.Signature:
    """torch.nn's arguments in torch.nn's order; what it lacks can only be given by keyword."""
    ours = {p.name: p for p in (*further, *_parameters(declaration, base), *_options(base))}
    name = class_name(declaration)
    if name not in _SPELLINGS.values():
        return inspect.Signature(list(ours.values()))
    theirs = inspect.signature(getattr(nn, name)).parameters
    shared = [_positional(ours[n], theirs[n]) for n in theirs if n in ours]
    rest = [p.replace(kind=_KEYWORD) for n, p in ours.items() if n not in theirs]
    return inspect.Signature([*shared, *rest])


def _positional(ours: inspect.Parameter, theirs: inspect.Parameter) -> inspect.Parameter:
    default = theirs.default if ours.name == "dim" else ours.default
    return ours.replace(kind=_POSITIONAL, default=default)


def _parameters(
    declaration: Activation, base: type[ActivationModule]
) -> Iterator[inspect.Parameter]:
    for name, parameter in declaration.parameters_declared.items():
        if name not in base.keys:
            yield inspect.Parameter(name, _POSITIONAL, default=parameter.default)


def _options(base: type[ActivationModule]) -> Iterator[inspect.Parameter]:
    """The constructor's further arguments; ``dim`` and ``inplace`` by position too."""
    kind = next(k for k in _BASES.values() if issubclass(base, k))
    for option in list(inspect.signature(kind._set_up).parameters.values())[2:]:
        by_position = option.name in ("dim", "inplace")
        yield inspect.Parameter(
            option.name, _POSITIONAL if by_position else _KEYWORD, default=option.default
        )


def _own_code(function: Any) -> FunctionType:
    """A copy with a code object of its own: torch.compile counts recompilations by code object."""
    code = function.__code__.replace()
    copy = FunctionType(code, function.__globals__, argdefs=function.__defaults__)
    update_wrapper(copy, function)
    return copy


def _reduce(self: ActivationModule, protocol: int) -> Any:
    """Pickle by declaration, since the class of a user's own is not found by its name."""
    if "declared" not in vars(type(self)):
        return object.__reduce_ex__(self, protocol)
    return _blank, (self.declared,), self.__dict__


def _blank(declaration: Activation) -> ActivationModule:
    cls = class_of(declaration)
    return cls.__new__(cls)
