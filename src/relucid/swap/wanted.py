"""What is to be replaced, and where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from relucid.errors import ModelError, ParameterError, UnknownActivationError
from relucid.functions import Activation, get
from relucid.probes.recognise import plain_parameters


@dataclass(frozen=True)
class Wanted:
    """One function with its parameters, or all of one number, or the modules of one class."""

    activation: Activation | None = None
    module_class: type[nn.Module] | None = None
    patterns: tuple[str, ...] = ()
    used: set[str] = field(default_factory=set, compare=False)
    """The patterns that named some site."""

    @property
    def everything(self) -> bool:
        """Whether every function of one number is wanted."""
        return self.activation is None and self.module_class is None

    def takes(self, found: Activation | None, module: nn.Module | None = None) -> bool:
        """Whether this function, or this module, is wanted."""
        if self.module_class is not None:
            return isinstance(module, self.module_class)
        if found is None or found.name == "identity":
            return False
        if self.activation is None:
            return True
        return found.name == self.activation.name and _agree(self.activation, found)

    def takes_call(self, name: str, found: Activation | None) -> bool:
        """Whether a call is wanted; of one whose parameters are not declared, the name counts."""
        if found is not None or self.module_class is not None:
            return self.takes(found)
        return self.activation is None or self.activation.name == name

    def named(self, *names: str) -> bool:
        """Whether a site of these names is where the swap is wanted."""
        fitting = {p for p in self.patterns if any(_fits(name, p) for name in names)}
        self.used.update(fitting)
        return bool(fitting) or not self.patterns

    def check_used(self) -> None:
        """Raise :class:`~relucid.errors.ModelError` for a pattern that named no activation."""
        for pattern in self.patterns:
            if pattern not in self.used:
                raise ModelError(
                    f"at={pattern!r} names no activation that was looked for; give the name of a "
                    "module or site as named_modules() or a checkup shows it, with * for anything"
                )

    def __str__(self) -> str:
        """The function's name, as the user would say it."""
        if self.module_class is not None:
            return self.module_class.__name__
        return "activation" if self.activation is None else described(self.activation)


def wanted(old: Any, at: str | Iterable[str] | None) -> Wanted:
    """Read the arguments ``old`` and ``at`` of a swap."""
    patterns = (at,) if isinstance(at, str) else tuple(at or ())
    if at is not None and not patterns:
        raise ParameterError("at names no place; leave it out to swap everywhere")
    if old is None or (isinstance(old, str) and old == "all"):
        return Wanted(patterns=patterns)
    try:
        return Wanted(get(old), patterns=patterns)
    except UnknownActivationError:
        if isinstance(old, nn.Module):
            return Wanted(module_class=type(old), patterns=patterns)
        if isinstance(old, type) and issubclass(old, nn.Module):
            return Wanted(module_class=old, patterns=patterns)
        raise


def described(activation: Activation) -> str:
    """``leaky_relu(negative_slope=0.2)``: the parameters that are not the defaults."""
    shown = ", ".join(f"{n}={v:g}" for n, v in plain_parameters(activation).items())
    return f"{activation.name}({shown})" if shown else activation.name


def _agree(asked: Activation, found: Activation) -> bool:
    """Whether the parameters that were asked for are those found; learned ones may be any."""
    there = plain_parameters(found)
    return all(
        n in asked.learned or there.get(n, found.parameters[n]) == v
        for n, v in plain_parameters(asked).items()
    )


def _fits(name: str, pattern: str) -> bool:
    return name == pattern or name.startswith(f"{pattern}.") or fnmatchcase(name, pattern)
