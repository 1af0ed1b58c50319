"""Where NaN and infinity are born: the first operation that makes them out of finite numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from relucid.probes.source import users_line
from relucid.probes.trouble import Value, real_tensors, trouble
from relucid.probes.undisturbed import undisturbed
from relucid.probes.walk import Paths, Walk
from relucid.records import Birth

LOSS = "(loss)"
"""Stands for the module where the loss function itself gives birth."""
_UNINITIALISED = ("empty", "new_empty", "resize", "set_", "_efficientzerotensor")


def find_birth(
    model: nn.Module,
    call: Callable[[], Any],
    loss: Callable[[Any], Tensor] | None = None,
    *,
    batch: int = 0,
) -> Birth | None:
    """Run ``call`` once more and return where NaN or infinity is born, or None if nowhere.

    ``call`` runs the model on the batch in question: ``lambda: model(x)``. ``loss`` takes what
    it returns; with it, the loss and the backward pass are searched too. The model, its
    parameters' ``.grad`` and the random state stay as they are.

    A parameter or buffer that is NaN already, or a parameter that is infinite, is the birth
    itself. Infinities that are written on purpose are none: those that come from an infinite
    constant (``masked_fill``, ``full``, ``where``) as attention masks do. A NaN that is made of
    such an infinity (softmax of a row that is masked as a whole) is.
    """
    already = _in_parameters(model, batch)
    if already is not None:
        return already
    search = _Search(Paths(model), batch)
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(undisturbed(model, evaluate=False))
        stack.enter_context(torch.set_grad_enabled(loss is not None))
        stack.enter_context(search.attached())
        result = call()
        if loss is not None and search.birth is None:
            _run_backward(model, loss(result), search)
    return search.birth


def _run_backward(model: nn.Module, loss: Tensor, search: _Search) -> None:
    trained = [p for p in model.parameters() if p.requires_grad]
    if search.birth is None and loss.requires_grad and trained:
        search.phase = "backward"
        torch.autograd.grad(loss.sum(), trained, allow_unused=True)


class _Search:
    """Looks at what goes into and comes out of each operation below autograd."""

    def __init__(self, paths: Paths, batch: int) -> None:
        self.birth: Birth | None = None
        self.phase: Literal["forward", "backward"] = "forward"
        self._batch = batch
        self._paths = paths
        self._walk = Walk(paths, lambda frame, z: None, lambda frame, h: None)
        self._labels: dict[Any, tuple[str, str | None]] = {}

    def attached(self) -> ExitStack:
        """Follow the modules, label the graph's nodes and search, until the stack is closed."""
        model, walk, stack = self._paths.model, self._walk, ExitStack()
        walk.attach()
        stack.callback(walk.detach)
        hooks = (
            model.register_forward_pre_hook(lambda _, a, k: walk.begin(a, k), with_kwargs=True),
            model.register_forward_hook(lambda _, a, output: walk.end(output), always_call=True),
        )
        for hook in hooks:
            stack.callback(hook.remove)
        stack.enter_context(_Labels(self))
        stack.enter_context(_Operations.of(self))
        return stack

    def label(self, result: Any) -> None:
        """Remember in which module the nodes of the graph behind this result were made."""
        place = (self._path(), users_line())
        waiting = [x.grad_fn for x in real_tensors((result,)) if x.grad_fn is not None]
        while waiting:
            node = waiting.pop()
            if node not in self._labels:
                self._labels[node] = place
                waiting += [n for n, _ in node.next_functions if n is not None]

    def run(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Run an operation and compare its inputs with its results."""
        name = func.overloadpacket.__name__
        if self.birth is not None or func.is_view or name.startswith(_UNINITIALISED):
            return func(*args, **kwargs)
        before = trouble((args, kwargs)) if func._schema.is_mutable else None
        result = func(*args, **kwargs)
        after = trouble((result,))
        if after:
            born = _born(trouble((args, kwargs)) if before is None else before, after)
            if born is not None:
                self.birth = self._describe(name, born)
        return result

    def _describe(self, name: str, value: Value) -> Birth:
        module, source, operation = self._path(), users_line(), name.strip("_")
        if self.phase == "backward":
            node = torch._C._current_autograd_node()
            if node is not None:
                module, source = self._labels.get(node, (LOSS, None))
                operation = node.name()
        return Birth(module, operation, value, source, self._batch, self.phase)

    def _path(self) -> str:
        return self._walk.stack[-1].place.path if self._walk.stack else LOSS


class _Operations(TorchDispatchMode):
    """Hands every operation below autograd to the search."""

    search: _Search

    @classmethod
    def of(cls, search: _Search) -> _Operations:
        mode = cls()
        mode.search = search
        return mode

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the operation."""
        return self.search.run(func, args, kwargs or {})


class _Labels(TorchFunctionMode):
    """Labels the graph after each call, so that the backward pass can be traced to modules."""

    def __init__(self, search: _Search) -> None:
        super().__init__()
        self._search = search

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the call and label what it made."""
        result = func(*args, **(kwargs or {}))
        if torch.is_grad_enabled():
            self._search.label(result)
        return result


def _born(before: set[Value], after: set[Value]) -> Value | None:
    """Return what the results hold that the inputs do not explain."""
    if "nan" in after and "nan" not in before:
        return "nan"
    return "inf" if "inf" in after and not before else None


def _in_parameters(model: nn.Module, batch: int) -> Birth | None:
    parameters = [(n, "parameter", p) for n, p in model.named_parameters()]
    buffers = [(n, "buffer", b) for n, b in model.named_buffers()]
    for name, kind, tensor in parameters + buffers:
        found = trouble((tensor.detach(),))
        if "nan" in found or (found and kind == "parameter"):
            module, _, own = name.rpartition(".")
            value: Value = "nan" if "nan" in found else "inf"
            return Birth(module, f"{kind} {own}", value, None, batch)
    return None
