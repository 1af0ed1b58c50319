"""Two hooks on a model, which go round its forward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from relucid.errors import ModelError
from relucid.probes.probe import check_model


class Attached:
    """Calls ``begin`` before each forward of a model, and ``end`` after it, raised or not."""

    def __init__(self, model: nn.Module, begin: Callable[[], None], end: Callable[[], None]):
        before = model.register_forward_pre_hook(_Turn(begin))
        # First of the hooks after forward, as the one before is the last: contexts of others'
        # hooks are round ours.
        after = model.register_forward_hook(_Turn(end), prepend=True, always_call=True)
        self._handles = before, after

    def remove(self) -> None:
        """Take the hooks off."""
        for handle in self._handles:
            handle.remove()


def attach(model: nn.Module, begin: Callable[[], None], end: Callable[[], None]) -> Attached:
    """Put the hooks on. Raises :class:`~relucid.errors.ModelError` for what takes none."""
    check_model(model)
    if isinstance(model, torch.jit.ScriptModule):
        raise ModelError(
            "a scripted model takes no hooks: use `with relucid.pack():` around its forward"
        )
    return Attached(model, begin, end)


class _Turn:
    """A hook that a copy of the model gets without what it does."""

    def __init__(self, act: Callable[[], None] | None = None) -> None:
        self._act = act

    def __call__(self, *_: Any) -> None:
        if self._act is not None:
            self._act()

    def __deepcopy__(self, memo: dict[int, Any]) -> _Turn:
        return _Turn()

    def __reduce__(self) -> tuple[Any, ...]:
        return _Turn, ()
