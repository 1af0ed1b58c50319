"""Why a layer cannot be replaced, in words with the cure."""

from __future__ import annotations

from collections import defaultdict
from itertools import chain

import torch
from torch import Tensor, nn

from relucid.errors import ModelError
from relucid.probes.probe import check_shapes
from relucid.sparse.products import STORAGE
from relucid.swap.slots import Slot, closed, parents, slots, trouble_with

LEAST = 1 << 16
"""Numbers of a weight: below, a call that looks for zeros takes as long as the product (7 us)."""
_WRAPPERS = {"OptimizedModule": "_orig_mod", "DataParallel": "module",
             "DistributedDataParallel": "module", "FullyShardedDataParallel": "module"}  # fmt: skip
_OWN, _VERB = "relucid.sparse.", "accelerate"


def check_plain(model: nn.Module) -> None:
    """Raise :class:`~relucid.errors.ModelError` for wrappers, compiled and unfinished models."""
    inner = _WRAPPERS.get(type(model).__name__)
    if inner is not None:
        raise ModelError(
            f"{type(model).__name__} wraps the model; accelerate model.{inner}, and wrap it again"
        )
    reason = closed(model, _VERB)
    if reason is not None:
        raise ModelError(f"{type(model).__name__} cannot be changed: {reason}")
    check_shapes(model, _VERB)


class Fitness:
    """Knows of each linear layer of a model where it stands, and why it has to stay."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self.slots: dict[str, Slot] = {}
        self._places: dict[int, list[Slot]] = defaultdict(list)
        for slot in slots(model):
            self._places[id(slot.module)].append(slot)
            self.slots.update(dict.fromkeys(slot.paths, slot))
        self._memory: dict[int, set[str]] = defaultdict(set)
        tensors = (model.named_parameters, model.named_buffers)
        for name, tensor in chain(*(named(remove_duplicate=False) for named in tensors)):
            if tensor.device.type == "cpu" and tensor.layout is torch.strided:
                self._memory[tensor.untyped_storage().data_ptr()].add(name)

    def why_not(self, path: str) -> str | None:
        """Return why the layer at a path cannot be replaced, or None."""
        module = self._model.get_submodule(path)
        return (
            _not_linear(module)
            or self._trouble(path, module)
            or _numbers_trouble(module)
            or self._shared(path, module)
        )

    def _trouble(self, path: str, module: nn.Module) -> str | None:
        """What else hangs on the module itself, or the modules around it."""
        if not path:
            return "it is the whole model, and nothing around it could hold another"
        for one in (module, *parents(self._model, path)):
            if type(one).__name__ in _WRAPPERS:
                return f"{type(one).__name__} wraps it; accelerate before wrapping"
            reason = closed(one, _VERB)
            if reason is not None:
                return reason
        return trouble_with(self._model, self.slots[path], _VERB)

    def _shared(self, path: str, module: nn.Module) -> str | None:
        paths = [other for slot in self._places[id(module)] for other in slot.paths]
        if len(paths) > 1:
            others = ", ".join(repr(other) for other in paths if other != path)
            return f"it stands in several places of the model, also as {others}"
        weight = module._parameters["weight"]
        assert weight is not None
        there = self._memory.get(weight.untyped_storage().data_ptr(), set())
        others = ", ".join(repr(name) for name in sorted(there - {f"{path}.weight"}))
        if others:
            return f"its weight is shared with {others}"
        return None


def _not_linear(module: nn.Module) -> str | None:
    kind = type(module)
    if kind is nn.Linear:
        return None
    if kind.__module__.startswith(_OWN):
        return "it is accelerated already; undo that first"
    if nn.utils.parametrize.is_parametrized(module):
        return (
            "its weight is computed anew in each call; "
            "torch.nn.utils.parametrize.remove_parametrizations makes numbers of it"
        )
    if ".quantized" in kind.__module__:
        return "it is quantised; accelerate the model in floating point"
    if isinstance(module, nn.Linear):
        return f"{kind.__name__} is another kind of layer: merge what it adds into an nn.Linear"
    return f"{kind.__name__} is no nn.Linear"


def _numbers_trouble(module: nn.Module) -> str | None:
    weight = module._parameters["weight"]
    assert weight is not None
    for name, one in module._parameters.items():
        if one is None:
            continue
        if type(one) is not nn.Parameter or type(one.data) is not Tensor:
            return f"its {name} is {type(one).__name__}, and no plain parameter"
        if one.device.type != "cpu":
            return f"its {name} is on {one.device}, and the engines are for CPUs"
        if one.dtype not in STORAGE or one.dtype is not weight.dtype:
            kind = str(one.dtype).removeprefix("torch.")
            return f"its {name} is {kind}; the engines take float32 and bfloat16, one for both"
        if not bool(one.isfinite().all()):
            return f"its {name} holds NaN or infinity, which skipped zeros would hide"
    if weight.numel() < LEAST:
        shape = f"{weight.shape[1]} to {weight.shape[0]}"
        return f"with {shape} it is too small: finding the zeros takes as long as the product"
    return None
