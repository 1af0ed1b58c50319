"""Where modules stand in a model, and which of them are closed to a swap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from relucid.functions import Activation
from relucid.swap.ledger import Entry

_FUSED_FLAGS = {"relu": 1, "gelu": 2}
"""What PyTorch's fused encoder layer computes, by ``activation_relu_or_gelu``."""
_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_state_dict_hooks",
)


@dataclass(frozen=True)
class Slot:
    """A module as a child of another, under all paths that lead there."""

    paths: tuple[str, ...]
    parent: nn.Module
    name: str
    module: nn.Module

    @property
    def path(self) -> str:
        """The first path."""
        return self.paths[0]


def slots(model: nn.Module) -> list[Slot]:
    """Every place of a module, in the order of named_modules().

    One that stands at two places has two; the child of a shared module has one, under two paths.
    """
    found: dict[tuple[int, str], Slot] = {}
    at: dict[str, nn.Module] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        at[path] = module
        if path:
            above, _, name = path.rpartition(".")
            known = found.get((id(at[above]), name))
            paths = (path,) if known is None else (*known.paths, path)
            found[id(at[above]), name] = Slot(paths, at[above], name, module)
    return list(found.values())


def closed(module: nn.Module, verb: str = "swap") -> str | None:
    """Why nothing inside a module can be changed, or None; ``verb`` says what is to be done."""
    if isinstance(module, torch.jit.ScriptModule):
        return (
            "it is compiled by TorchScript, and what it calls cannot be changed; "
            f"{verb} before that"
        )
    compiled = getattr(module, "_compiled_call_impl", None) is not None
    if compiled or hasattr(module, "_torchdynamo_orig_callable"):
        return f"it is compiled by torch.compile; {verb} before that, and compile again"
    if type(module).__module__ == "relucid.sparse.mlp":
        return "its layers rely on the zeros of its activation; make another MLP with the new one"
    return None


def closed_paths(model: nn.Module) -> dict[str, str]:
    """The outermost closed modules and why they are."""
    found: dict[str, str] = {}
    for path, module in model.named_modules():
        reason = closed(module)
        if reason is not None and not is_below(path, found):
            found[path] = reason
    return found


def accelerated(model: nn.Module) -> str | None:
    """Return the path of a layer that relies on the zeros of the activation after it, if any."""
    shut = closed_paths(model)
    return next((path for path, module in model.named_modules() if not is_below(path, shut)
                 and type(module).__module__ == "relucid.sparse.certified"), None)  # fmt: skip


def is_below(path: str, above: Any) -> bool:
    """Whether a path is one of ``above``, or inside it."""
    return any(path == one or path.startswith(f"{one}.") for one in above)


def parents(model: nn.Module, path: str) -> Iterator[nn.Module]:
    """Yield the modules that hold this path, the nearest first, ending with the model."""
    while path:
        path = path.rpartition(".")[0]
        yield model.get_submodule(path)


def nearest_parameter(model: nn.Module, path: str, module: nn.Module) -> Tensor | None:
    """Return a real parameter of the module, or of the nearest module around it that has one."""
    for one in (module, *parents(model, path)):
        for parameter in one.parameters():
            if parameter.is_floating_point():
                return parameter
    return None


def is_wrapped(model: nn.Module, path: str) -> bool:
    """Whether something around a path keeps a list of the parameters (DDP, FSDP)."""
    names = {base.__name__ for parent in parents(model, path) for base in type(parent).__mro__}
    return bool(names & {"DistributedDataParallel", "FullyShardedDataParallel"})


def trouble_with(model: nn.Module, slot: Slot, verb: str = "swap") -> str | None:
    """Why a module cannot be replaced without losing something else, or None.

    ``verb`` is as for :func:`closed`.
    """
    if any(getattr(slot.module, hooks, None) for hooks in _HOOKS):
        return "it carries hooks, which the new module would not have; remove them first"
    if "forward" in vars(slot.module):
        return "its forward was replaced on the instance; take that back first"
    for path in slot.paths:
        for parent in parents(model, path):
            if type(parent).__module__.startswith("torch.ao."):
                return (
                    f"it belongs to a fused {type(parent).__name__}, which takes it for granted; "
                    f"{verb} before fusing"
                )
    return None


def mend_layer(parent: nn.Module, name: str, function: Activation | None) -> Iterator[Entry]:
    """Tell PyTorch's encoder layer what its fused code should compute, if anything."""
    if isinstance(parent, nn.TransformerEncoderLayer) and name == "activation":
        key, said = "activation_relu_or_gelu", vars(parent)
        flag = 0 if function is None else _FUSED_FLAGS.get(function.name, 0)
        yield Entry(said, key, said.get(key, 0), flag).make()


def mend_encoders(model: nn.Module) -> Iterator[Entry]:
    """Keep encoders from nested tensors, which only layers with fused code can take."""
    for module in model.modules():
        if not isinstance(module, nn.TransformerEncoder) or not module.use_nested_tensor:
            continue
        if not all(
            getattr(layer, "activation_relu_or_gelu", 0) for layer in module.layers.children()
        ):
            yield Entry(vars(module), "use_nested_tensor", True, False).make()
