"""Finding an activation by name, alias, class, instance or callable."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any, TypeVar

from relucid.errors import DeclarationError, ParameterError, UnknownActivationError
from relucid.functions.base import DECLARED, Activation

A = TypeVar("A", bound=Activation)
_names: dict[str, str] = {}
_presets: dict[str, dict[str, float]] = {}
_OTHERWISE = frozenset({"linear", "clip"})
"""Names that mean an activation when spelled, but another thing as a class or function."""
_BUILT_IN = "relucid.functions.families"


def register(activation: A) -> A:
    """Make a declared activation findable by its name and aliases."""
    known = DECLARED.get(activation.name)
    if known is not None and known.home != activation.home:
        raise DeclarationError(
            f"{known.home} already declares an activation {activation.name!r}; "
            f"choose another name for the one in {activation.home}"
        )
    for alias in (activation.name, *activation.aliases):
        owner = _names.setdefault(_normal(alias), activation.name)
        if owner != activation.name:
            raise DeclarationError(
                f"{alias!r} already means {owner}; choose another name or alias for "
                f"{activation.name}"
            )
    DECLARED[activation.name] = activation
    return activation


def preset(alias: str, activation: Activation, **values: float) -> None:
    """Declare another framework's name for an activation with other parameter values."""
    _names[_normal(alias)] = activation.name
    _presets[_normal(alias)] = values


def get(activation: Any, /, **parameters: Any) -> Activation:
    """Return the activation that a name, alias, class, instance or callable stands for.

    ``get("elu", alpha=0.5)``, ``get("Swish")``, ``get(torch.nn.ELU(0.5))``,
    ``get(torch.nn.functional.silu)``. Parameters are read off a module instance; those given
    here override them.

    Raises :class:`~relucid.errors.UnknownActivationError` with the nearest names, or
    :class:`~relucid.errors.ParameterError`.
    """
    if isinstance(activation, Activation):
        return activation.with_parameters(**parameters)
    if isinstance(activation, str):
        return _by_name(activation, parameters)
    own = getattr(activation, "activation", None)
    if isinstance(own, Activation):
        return own.with_parameters(**parameters)
    return _by_object(activation, parameters)


def read(text: str) -> Activation:
    """Return the activation that a text names, ``elu`` or ``elu:alpha=0.5,...``.

    Raises as :func:`get` does, and :class:`~relucid.errors.ParameterError` for what is no number.
    """
    name, _, chosen = text.partition(":")
    return get(name.strip(), **read_parameters(filter(None, chosen.split(","))))


def read_parameters(texts: Iterable[str]) -> dict[str, float]:
    """Read parameters, each as ``alpha=0.5``.

    Raises :class:`~relucid.errors.ParameterError` for what is no number.
    """
    return dict(map(_parameter, texts))


def is_name(name: str) -> bool:
    """Whether :func:`get` knows a name; cheaper than to ask it, where most are none."""
    return _normal(name) in _names


def catalogue() -> dict[str, Activation]:
    """The activations that relucid declares, by name, in the order of the documentation."""
    return {n: a for n, a in DECLARED.items() if a.home.startswith(_BUILT_IN)}


def declared() -> dict[str, Activation]:
    """All activations declared so far, the user's own too, by name."""
    return dict(DECLARED)


def _parameter(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name.strip(), float(value)
    except ValueError as error:
        raise ParameterError(
            f"a parameter is NAME=VALUE with a number, for example alpha=0.5, and not {text!r}"
        ) from error


def _by_name(name: str, parameters: dict[str, Any]) -> Activation:
    key = _normal(name)
    if key not in _names:
        near = difflib.get_close_matches(key, _names, n=5, cutoff=0.5)
        nearest = list(dict.fromkeys(_names[n] for n in near))[:3]
        hint = f"did you mean {' or '.join(map(repr, nearest))}?" if nearest else ""
        raise UnknownActivationError(
            f"there is no activation {name!r}; {hint + ' ' if hint else ''}"
            "`relucid list` prints all names"
        )
    chosen = {**_presets.get(key, {}), **parameters}
    if _names[key] == "gelu" and "approximate" in chosen:
        return _gelu(chosen.pop("approximate"), chosen)
    return DECLARED[_names[key]].with_parameters(**chosen)


def _gelu(approximate: Any, parameters: dict[str, Any]) -> Activation:
    """PyTorch chooses between two different functions by a word; here they have two names."""
    names = {"none": "gelu", "tanh": "gelu_tanh", "quick": "quick_gelu"}
    if approximate not in names:
        raise ParameterError(
            f"gelu: approximate must be one of {', '.join(names)}, not {approximate!r}"
        )
    return DECLARED[names[approximate]].with_parameters(**parameters)


def _by_object(thing: Any, parameters: dict[str, Any]) -> Activation:
    """A class, module instance or function: by its name, parameters by their attributes."""
    subject = thing if hasattr(thing, "__name__") else type(thing)
    name = getattr(subject, "__name__", "")
    if _normal(name) not in _names or _normal(name) in _OTHERWISE:
        raise UnknownActivationError(
            f"{thing!r} is no declared activation; pass a name (`relucid list` prints all), or "
            "declare it with @relucid.activation"
        )
    found = _by_name(name, {})
    if subject is not thing:
        read = {n: getattr(thing, n) for n in found.parameters_declared if hasattr(thing, n)}
        if hasattr(thing, "approximate"):
            read["approximate"] = thing.approximate
        if name == "PReLU":
            read["negative_slope"] = thing.weight.detach()
        parameters = {**{n: _plain(v) for n, v in read.items()}, **parameters}
    return _by_name(name, parameters)


def _plain(value: Any) -> Any:
    """A Python number from an int or a tensor of one element; anything else as it is."""
    single = hasattr(value, "numel") and value.numel() == 1
    return float(value) if single or isinstance(value, int) else value


def _normal(name: str) -> str:
    """``Leaky-ReLU``, ``leaky_relu`` and ``LeakyReLU`` are one name."""
    return re.sub(r"[\s_\-]", "", name.strip().rpartition(".")[2]).lower()
