"""A network by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from relucid.errors import ParameterError

MakeModule = Callable[[], nn.Module]
"""Makes an activation: a new one at every call."""
Build = Callable[..., nn.Module]


def chosen(networks: Mapping[str, Build], name: str, title: str) -> Build:
    """Return the builder of this name.

    Raises :class:`~relucid.errors.ParameterError` with the names that there are.
    """
    if name not in networks:
        raise ParameterError(
            f"there is no model {name!r} for {title}; choose {', '.join(networks)}"
        )
    return networks[name]
