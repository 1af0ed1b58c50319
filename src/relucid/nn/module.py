"""What all activation modules share: a declaration, parameters as attributes, repr, pickling."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Self

import torch
from torch import nn

from relucid.errors import ParameterError
from relucid.functions import Activation
from relucid.kernels.choose import ran


class ActivationModule(nn.Module):
    """A ``torch.nn.Module`` that applies one declared activation.

    Every parameter of the declaration is an attribute (``module.alpha``), which can be read and
    set. Where a parameter is learned the attribute is an ``nn.Parameter``.
    """

    declared: ClassVar[Activation]
    """The declaration, at its defaults."""
    signature: ClassVar[inspect.Signature]
    """What the constructor takes."""

    keys: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Attribute and state_dict key of a learned parameter, where it is not the parameter's name."""

    route: str | None = None
    """The route that computed the latest eager call: "plain", "llvm" or "triton"."""

    _function: Activation

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        chosen = self._bind(args, kwargs)
        values = {n: chosen.pop(n) for n in self.declared.parameters_declared if n in chosen}
        self._set_up(self.declared.with_parameters(**values), **chosen)

    @classmethod
    def of(cls, function: Activation, **options: Any) -> Self:
        """Return a module of this class that applies ``function``, parameters as it has them."""
        for option in options:
            if option not in cls.signature.parameters:
                raise ParameterError(
                    f"{function.name} takes no {option!r}; its module is constructed as "
                    f"{cls.__name__}{cls.signature}"
                )
        module = cls.__new__(cls)
        nn.Module.__init__(module)
        module._set_up(function, **options)
        return module

    def _set_up(self, *args: Any, **kwargs: Any) -> None:
        """Finish construction: ``_set_up(function, **options)``."""
        raise NotImplementedError

    @property
    def activation(self) -> Activation:
        """The function that the module applies, with its present parameters."""
        return self._function

    def _note_route(self) -> None:
        if not torch.compiler.is_compiling():
            self.__dict__["route"] = ran.get()

    def __getattr__(self, name: str) -> Any:
        if self._is_setting(name):
            return self._function.arguments[name]
        return super().__getattr__(self.keys.get(name, name))

    def __setattr__(self, name: str, value: Any) -> None:
        if self._is_setting(name) and not isinstance(value, nn.Parameter):
            self._function = self._function.with_parameters(**{name: value})
        else:
            super().__setattr__(name, value)

    def _is_setting(self, name: str) -> bool:
        """Whether ``name`` is a parameter of the function that is not learned."""
        mine = self.__dict__
        offered = "_function" in mine and name in mine["_function"].arguments
        return offered and name not in mine.get("learn", ())

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ParameterError(
                f"{type(self).__name__}: {error}; it is called as "
                f"{type(self).__name__}{self.signature}"
            ) from None
        bound.apply_defaults()
        return dict(bound.arguments)

    def extra_repr(self) -> str:
        """Show what torch.nn shows: the constructor's arguments, options only where chosen."""
        shown = []
        for name, parameter in self.signature.parameters.items():
            value = self._shown(name)
            positional = parameter.kind is parameter.POSITIONAL_OR_KEYWORD and name != "inplace"
            if positional or value != parameter.default:
                shown.append(f"{name}={value!r}")
        return ", ".join(shown)

    def _shown(self, name: str) -> Any:
        """The present value of the constructor's argument ``name``."""
        return getattr(self, name)
