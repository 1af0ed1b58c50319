"""What each weighted layer of a model reads: the output of which activation, or of what else.

A chain of ``nn.Sequential`` says so itself. Any other model is run once on an example, and every
tensor that appears is remembered with what made it: order of registration says nothing about
order of use, and symbolic tracing fails on models with control flow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from relucid.errors import ModelError
from relucid.functions import Activation
from relucid.functions.bridge import speak_torch, torch_routes
from relucid.nn.calls import called_activation, declared_by, passes_on
from relucid.nn.module import ActivationModule

WEIGHTED = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)
"""Layers whose input is noted."""


@dataclass(frozen=True)
class Origin:
    """What made a tensor: its name for the reader, and the activation if it is one."""

    name: str
    activation: Activation | None = None


INPUT = Origin("input")


@dataclass
class Reads:
    """What every weighted layer read, in the order of calls."""

    of: dict[nn.Module, list[Origin]] = field(default_factory=dict)

    def note(self, layer: nn.Module, origin: Origin) -> None:
        """Note one call of a layer."""
        self.of.setdefault(layer, []).append(origin)


class Flow(TorchFunctionMode):
    """While active, remember what made each tensor."""

    def __init__(self) -> None:
        super().__init__()
        # The tensors are held too: a freed one would pass its id on to another.
        self._origins: dict[int, tuple[Tensor, Origin]] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run the call and remember it as the origin of its results."""
        kwargs = kwargs or {}
        inherited = self._inherited(args, kwargs) if passes_on(func) else None
        result = func(*args, **kwargs)
        activation = called_activation(func, args, kwargs)
        name = activation.name if activation else getattr(func, "__name__", "call")
        self.remember(result, inherited or Origin(name.strip("_"), activation))
        return result

    def remember(self, results: Any, origin: Origin) -> None:
        """Give all tensors in ``results`` an origin."""
        for tensor in tree_leaves(results):
            if isinstance(tensor, Tensor):
                self._origins[id(tensor)] = (tensor, origin)

    def origin(self, tensor: Any) -> Origin:
        """The origin of a tensor; one that no call made is an input."""
        known = self._origins.get(id(tensor))
        return known[1] if known else INPUT

    def _inherited(self, args: Any, kwargs: Any) -> Origin | None:
        """The common origin of all tensors of a call (``cat`` may have several), or None."""
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        origins = {self.origin(tensor) for tensor in tensors}
        return origins.pop() if len(origins) == 1 else None


class _NotedRoutes:
    """The routes in use, for ``relucid.get("elu")(x)`` in a model; function modes do not see it."""

    def __init__(self, inner: Any, flow: Flow) -> None:
        self._inner, self._flow = inner, flow
        self.derivative, self.product = inner.derivative, inner.product

    def elementwise(
        self, activation: Activation, x: Any, learned: Any = None, inplace: bool = False
    ) -> Any:
        """Evaluate a function of one number and remember it."""
        result = self._inner.elementwise(activation, x, learned, inplace)
        self._flow.remember(result, Origin(activation.name, activation))
        return result

    def elementwise_out(self, activation: Activation, x: Any, out: Any) -> Any:
        """Evaluate into given memory and remember it."""
        result = self._inner.elementwise_out(activation, x, out)
        self._flow.remember(result, Origin(activation.name, activation))
        return result

    def two_input(self, activation: Activation, value: Any, gate: Any, axis: int) -> Any:
        """Evaluate a gated pair and remember it."""
        result = self._inner.two_input(activation, value, gate, axis)
        self._flow.remember(result, Origin(activation.name, activation))
        return result

    def vector(self, activation: Activation, which: str, axis: int, *arrays: Any) -> Any:
        """Evaluate a function along an axis and remember it."""
        result = self._inner.vector(activation, which, axis, *arrays)
        self._flow.remember(result, Origin(activation.name, activation))
        return result


def reads_of(model: nn.Module, example: Any) -> Reads:
    """Note what the layers of a model read, by its structure or by running it on an example.

    Raises :class:`~relucid.errors.ModelError` where it needs an example and has none.
    """
    if example is not None:
        if isinstance(example, Mapping):
            return reads_when_run(model, (), example)
        return reads_when_run(model, example if isinstance(example, tuple) else (example,), {})
    if isinstance(model, nn.Sequential) and _is_plain(model):
        return reads_in_order(model)
    raise ModelError(
        "which activation a layer reads cannot be told from this model's structure; pass an "
        "example of its input: (model, example)"
    )


def _is_plain(model: nn.Sequential) -> bool:
    return all(
        _is_plain(child) if isinstance(child, nn.Sequential) else not list(child.children())
        for child in model
    )


def reads_when_run(model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Reads:
    """Run the model in evaluation mode without gradients and note what its layers read."""
    reads, flow = Reads(), Flow()

    def note_read(layer: nn.Module, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        given = inputs[0] if inputs else keywords.get("input")
        reads.note(layer, flow.origin(given))

    def note_activation(module: ActivationModule, _: Any, output: Any) -> None:
        if module.activation.name != "identity":
            flow.remember(output, Origin(module.activation.name, module.activation))

    with ExitStack() as stack:
        stack.enter_context(_evaluating(model))
        stack.callback(speak_torch, torch_routes())
        speak_torch(_NotedRoutes(torch_routes(), flow))
        for module in model.modules():
            if isinstance(module, WEIGHTED):
                handle = module.register_forward_pre_hook(note_read, with_kwargs=True)
                stack.callback(handle.remove)
            elif isinstance(module, ActivationModule):
                stack.callback(module.register_forward_hook(note_activation).remove)
        with torch.no_grad(), flow:
            model(*args, **kwargs)
    return reads


def reads_in_order(model: nn.Sequential) -> Reads:
    """Follow nested ``nn.Sequential`` in their order of execution, without running them."""
    reads, origin = Reads(), INPUT
    for module in _unrolled(model):
        if isinstance(module, WEIGHTED):
            reads.note(module, origin)
        if not passes_on(module):
            activation = declared_by(module)
            name = activation.name if activation else type(module).__name__
            origin = Origin(name, activation)
    return reads


def _unrolled(model: nn.Module) -> Iterator[nn.Module]:
    if not isinstance(model, nn.Sequential):
        yield model
        return
    for child in model:
        yield from _unrolled(child)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, and after it every module's own mode again."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
