"""Which layers read the units of a layer, through its activation."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree

from relucid.nn.calls import called_activation, declared_by
from relucid.nn.flow import WEIGHTED
from relucid.probes.batches import Batch
from relucid.probes.undisturbed import undisturbed

_SAME_UNITS = frozenset(
    "batch_norm layer_norm instance_norm group_norm rms_norm identity flatten reshape view "
    "contiguous clone to float double half bfloat16 type mean boolean_dispatch".split()
)


class _Trail(TorchFunctionMode):
    """While active, follow each tensor back to the layer whose units it holds."""

    def __init__(self) -> None:
        super().__init__()
        # The tensors are held too: a freed one would pass its id on to another.
        self._made: dict[int, tuple[Tensor, nn.Module]] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        layer = self._common((args, kwargs)) if _keeps_units(func, args, kwargs) else None
        result = func(*args, **kwargs)
        self.note(result, layer)
        return result

    def note(self, results: Any, layer: nn.Module | None) -> None:
        for tensor in _pytree.tree_leaves(results):
            if isinstance(tensor, Tensor):
                self._made.pop(id(tensor), None)
                if layer is not None:
                    self._made[id(tensor)] = (tensor, layer)

    def layer(self, tensor: Any) -> nn.Module | None:
        found = self._made.get(id(tensor))
        return found[1] if found else None

    def _common(self, operands: Any) -> nn.Module | None:
        layers = {self.layer(x) for x in _pytree.tree_leaves(operands) if isinstance(x, Tensor)}
        layers.discard(None)
        return layers.pop() if len(layers) == 1 else None


def readers(model: nn.Module, example: Batch) -> dict[nn.Module, list[nn.Module]]:
    """Run the model once and return, for each layer, those that read its activated units alone."""
    trail, found = _Trail(), dict[nn.Module, list[nn.Module]]()

    def enter(layer: nn.Module, args: Any, kwargs: Any) -> None:
        source = trail.layer(args[0] if args else kwargs.get("input"))
        if source is not None and layer not in found.setdefault(source, []):
            found[source].append(layer)

    def leave(layer: nn.Module, args: Any, output: Any) -> None:
        trail.note(output, layer)

    def pass_on(module: nn.Module, args: Any, output: Any) -> None:
        trail.note(output, trail.layer(args[0] if args else None))

    with ExitStack() as stack:
        stack.enter_context(undisturbed(model, evaluate=True))
        for module in model.modules():
            if isinstance(module, WEIGHTED):
                hook = module.register_forward_pre_hook(enter, with_kwargs=True)
                stack.callback(hook.remove)
                stack.callback(module.register_forward_hook(leave).remove)
            elif next(module.children(), None) is None and declared_by(module) is not None:
                stack.callback(module.register_forward_hook(pass_on).remove)
        with torch.no_grad(), trail:
            example.call(model)
    return found


def _keeps_units(func: Any, args: Any, kwargs: Mapping[str, Any]) -> bool:
    """Whether a call leaves units what they are, and in order: activations, pooling, flattening."""
    name = getattr(func, "__name__", "").strip("_")
    if name in _SAME_UNITS or "_pool" in name or "dropout" in name:
        return True
    return called_activation(func, args, kwargs) is not None
