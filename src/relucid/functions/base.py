"""What an activation is: one immutable declaration, and what is common to all kinds."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Self

from relucid.errors import DeclarationError, ParameterError
from relucid.functions.parameters import Parameter

_NOTHING: Mapping[str, Any] = MappingProxyType({})
DECLARED: dict[str, Activation] = {}
"""All activations declared so far, the user's own too, by name."""


@dataclass(frozen=True, eq=False)
class Activation:
    """A declared activation function with values for its parameters.

    Instances are immutable and callable; :meth:`with_parameters` returns a changed copy. The
    declaration's texts are what ``relucid explain`` and the documentation show.
    """

    name: str
    family: str
    source: str
    summary: str = ""
    cures: str = ""
    costs: str = ""
    note: str = ""
    """What texts often get wrong about it."""
    aliases: tuple[str, ...] = ()
    parameters_declared: Mapping[str, Parameter] = field(default_factory=lambda: _NOTHING)
    values: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    """Values of declared parameters that were changed from their defaults."""
    fixed: Mapping[str, float] = field(default_factory=lambda: _NOTHING)
    """Parameters of the family's formula that this member does not offer."""
    learned: tuple[str, ...] = ()
    """Parameters that are learned unless asked otherwise, as PReLU's slope is."""
    rising: tuple[str, ...] = ()
    """Parameters whose values must not fall from one to the next."""
    class_name: str = ""
    """Name of its module class, where words and PyTorch's spelling do not give it (GEGLU)."""

    kind: ClassVar[str]

    def __post_init__(self) -> None:
        for slot in ("parameters_declared", "values", "fixed"):
            object.__setattr__(self, slot, MappingProxyType(dict(getattr(self, slot))))

    @property
    def parameters(self) -> dict[str, Any]:
        """Current value of every parameter that can be chosen."""
        return {n: self.values.get(n, p.default) for n, p in self.parameters_declared.items()}

    @cached_property
    def prepared(self) -> dict[Any, Any]:
        """What other rooms made for this very function and keep with it: compiled kernels."""
        return {}

    @property
    def changed(self) -> dict[str, Any]:
        """The parameters whose value is not the declared default."""
        return dict(self.values)

    @property
    def arguments(self) -> dict[str, Any]:
        """All that the formula takes beside its arrays: chosen and fixed parameters."""
        return {**self.parameters, **self.fixed}

    def with_parameters(self, **values: Any) -> Self:
        """Return a copy with other parameter values.

        Raises :class:`~relucid.errors.ParameterError` for an unknown name or a value outside its
        domain.
        """
        if not values:
            return self
        chosen = {**self.values, **{n: self._checked(n, v) for n, v in values.items()}}
        kept = {
            n: v
            for n, v in chosen.items()
            if not isinstance(v, float) or v != self.parameters_declared[n].default
        }
        changed = replace(self, values=kept)
        changed._check_order()
        return changed

    def member(self, name: str, **changes: Any) -> Self:
        """Return another function of the same family: other defaults, names and texts."""
        fixed = {**self.fixed, **changes.pop("fixed", {})}
        declared = changes.pop("parameters", None) or {
            n: p for n, p in self.parameters_declared.items() if n not in fixed
        }
        texts: dict[str, Any] = {"aliases": (), "summary": "", "note": "", "learned": ()}
        texts["class_name"] = ""
        return replace(
            self, name=name, parameters_declared=declared, fixed=fixed, **{**texts, **changes}
        )

    def _checked(self, name: str, value: Any) -> Any:
        if name not in self.parameters_declared:
            offered = ", ".join(self.parameters_declared) or "none"
            raise ParameterError(
                f"{self.name} has no parameter {name!r}; its parameters are: {offered}"
            )
        return self.parameters_declared[name].check(self.name, name, value)

    def _check_order(self) -> None:
        values = [self.arguments[name] for name in self.rising]
        if all(isinstance(v, float) for v in values) and values != sorted(values):
            raise ParameterError(
                f"{self.name} needs {' <= '.join(self.rising)}, and {self._shown()} breaks that"
            )

    def _shown(self) -> str:
        return ", ".join(f"{n}={_number(v)}" for n, v in self.parameters.items())

    def __repr__(self) -> str:
        shown = "".join(f", {n}={_number(v)}" for n, v in self.changed.items())
        return f"<relucid {self.name}{shown}>"

    def _key(self) -> tuple[Any, ...]:
        values = tuple((n, v if isinstance(v, float) else id(v)) for n, v in self.values.items())
        return (type(self), self.name, values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Activation) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by name: the declaration itself is code, found again by importing it."""
        return (_restore, (self.name, self.home, self._state()))

    @property
    def home(self) -> str:
        """Name of the module that declares it."""
        raise NotImplementedError

    def _state(self) -> dict[str, Any]:
        return dict(self.values)

    def _restored(self, state: dict[str, Any]) -> Self:
        return self.with_parameters(**state)


def _restore(name: str, home: str, state: dict[str, Any]) -> Activation:
    importlib.import_module(home)
    if name not in DECLARED:
        raise DeclarationError(f"{home} no longer declares the activation {name!r}")
    return DECLARED[name]._restored(state)


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else "learned"
