"""Hooks on pre-activations, through which the gradient of the loss is seen."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor
from torch.utils.hooks import RemovableHandle

from relucid.probes.tensors import uncountable

Count = Callable[[Tensor, float], None]
"""Takes the gradient and the loss scaler's factor."""


class GradientHook:
    """A hook on one z. It counts nothing until it is told where to."""

    def __init__(self, z: Tensor, scale: float, lock: AbstractContextManager[Any]) -> None:
        self._scale, self._lock = scale, lock
        self._target: Count | None = None
        self._once = z.is_leaf  # it outlives the pass, and would call for those that follow too
        self._handle: RemovableHandle = z.register_hook(self._count)

    def aim(self, count: Count) -> None:
        """Have the gradient that will reach z counted."""
        self._target = count

    def remove(self) -> None:
        """Take the hook off."""
        self._handle.remove()

    @property
    def alive(self) -> bool:
        """Whether the graph still exists."""
        return self._handle.hooks_dict_ref() is not None

    def _count(self, gradient: Tensor) -> None:
        if self._target is not None and uncountable(gradient) is None:
            with self._lock:
                self._target(gradient, self._scale)
        if self._once:
            self.remove()


class GradientHooks:
    """All hooks of a watch, to be removed with it."""

    def __init__(self, lock: AbstractContextManager[Any]) -> None:
        self._hooks: list[GradientHook] = []
        self._lock = lock
        self.scale = 1.0
        """The loss scaler's factor in this pass."""

    def watch(self, z: Tensor) -> GradientHook:
        """Put a hook on z, which must require a gradient."""
        hook = GradientHook(z, self.scale, self._lock)
        self._hooks.append(hook)
        return hook

    def prune(self) -> None:
        """Forget hooks whose graph is gone."""
        self._hooks = [hook for hook in self._hooks if hook.alive]

    def remove(self) -> None:
        """Take all hooks off, also of graphs that are still to be run backward."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
