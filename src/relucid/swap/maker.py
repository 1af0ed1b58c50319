"""The new module for a site, from whatever says what it should be."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from relucid.errors import ParameterError, UnknownActivationError
from relucid.functions import Activation, get
from relucid.nn import ActivationModule, make


@dataclass(frozen=True)
class Place:
    """What the new module has to fit: its site, and what stands there and around it."""

    path: str
    training: bool
    inplace: bool = False
    dim: int | None = None
    like: Tensor | None = None
    """A parameter near by, whose device and dtype are taken over."""


@dataclass(frozen=True)
class Maker:
    """Makes a new module for each site."""

    build: Callable[[Place], nn.Module]
    activation: Activation | None = None
    """The function, where it is declared."""
    name: str = "activation"
    """What a new module is called where it has to have a name."""

    def new(self, place: Place) -> nn.Module:
        """Return a module that is nobody else's, in the mode and on the device of the place."""
        module = self.build(place)
        if not isinstance(module, nn.Module):
            raise ParameterError(
                f"to made a {type(module).__name__} for {place.path!r}, and a module is needed; "
                "declare a function of tensors with @relucid.activation, or wrap it in a module"
            )
        if place.like is not None and learns(module):
            module.to(device=place.like.device, dtype=place.like.dtype)
        return module.train(place.training)


def learns(thing: Any) -> bool:
    """Whether this is a module with parameters."""
    return isinstance(thing, nn.Module) and next(thing.parameters(), None) is not None


def maker(to: Any) -> Maker:
    """Read the argument ``to`` of a swap."""
    if isinstance(to, type) and issubclass(to, ActivationModule):
        return _declared(to.declared)
    if isinstance(to, nn.Module):
        return Maker(lambda place: copy.deepcopy(to), name=_name(type(to)))
    if isinstance(to, type) and issubclass(to, nn.Module):
        return Maker(lambda place: _constructed(to), name=_name(to))
    try:
        return _declared(get(to))
    except UnknownActivationError:
        if not callable(to) or isinstance(to, type):
            raise
    return Maker(_calling(to))


def _declared(activation: Activation) -> Maker:
    def build(place: Place) -> nn.Module:
        if activation.kind == "elementwise":
            return make(activation, inplace=place.inplace)
        return make(activation) if place.dim is None else make(activation, dim=place.dim)

    return Maker(build, activation, activation.name)


def _name(cls: type[nn.Module]) -> str:
    """The name of the function that a class is named after; else its own, in lower case."""
    try:
        return get(cls).name
    except UnknownActivationError:
        return cls.__name__.lower()


def _constructed(cls: type[nn.Module]) -> nn.Module:
    try:
        return cls()
    except TypeError as error:
        raise ParameterError(
            f"{cls.__name__} cannot be made without arguments ({error}); pass a module, "
            f"to={cls.__name__}(...), or a function that makes one"
        ) from error


def _calling(function: Callable[..., Any]) -> Callable[[Place], Any]:
    """Give the function the site's name if it has one argument that must be given."""
    takes_name = _required(function) == 1

    def build(place: Place) -> Any:
        try:
            return function(place.path) if takes_name else function()
        except Exception as error:
            given = f"the site's name {place.path!r}" if takes_name else "nothing"
            raise ParameterError(
                f"to failed to make a module, given {given}: {type(error).__name__}: {error}. "
                "It is a name, a declared function, a module, or a callable that makes a module; "
                "declare a function of tensors with @relucid.activation"
            ) from error

    return build


def _required(function: Callable[..., Any]) -> int:
    """Number of arguments by position that have no default; none where it cannot be told."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return 0
    by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.default is p.empty and p.kind in by_position for p in parameters)
