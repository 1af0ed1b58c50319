"""Hooks on pre-activations, through which the gradient of the loss is seen."""

from __future__ import annotations

from torch import Tensor
from torch.utils.hooks import RemovableHandle

from relucid.probes.arrange import Part
from relucid.probes.counters.gradient import Gradient
from relucid.probes.tensors import plain, uncountable


class GradientHook:
    """A hook on one z. It counts nothing until it is told where to."""

    def __init__(self, z: Tensor, scale: float) -> None:
        self._scale = scale
        self._target: tuple[Gradient, Part] | None = None
        self._once = z.is_leaf  # it outlives the pass, and would call for those that follow too
        self._handle: RemovableHandle = z.register_hook(self._count)

    def aim(self, counter: Gradient, part: Part) -> None:
        """Count the gradient that will reach z."""
        self._target = counter, part

    def remove(self) -> None:
        """Take the hook off."""
        self._handle.remove()

    @property
    def alive(self) -> bool:
        """Whether the graph still exists."""
        return self._handle.hooks_dict_ref() is not None

    def _count(self, gradient: Tensor) -> None:
        if self._target is not None and uncountable(gradient) is None:
            counter, part = self._target
            counter.count(plain(gradient), part, self._scale)
        if self._once:
            self.remove()


class GradientHooks:
    """All hooks of a watch, to be removed with it."""

    def __init__(self) -> None:
        self._hooks: list[GradientHook] = []
        self.scale = 1.0
        """The loss scaler's factor in this pass."""

    def watch(self, z: Tensor) -> GradientHook:
        """Put a hook on z, which must require a gradient."""
        hook = GradientHook(z, self.scale)
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
