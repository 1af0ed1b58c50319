"""A model run in float64, module by module: what rounding alone makes of a difference.

The whole of a large model in float64 takes twice its memory; here each module's own parameters
are wide while it runs, and no longer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from relucid.probes.batches import Batch
from relucid.probes.contents import tensors_within
from relucid.probes.undisturbed import undisturbed
from relucid.shrink.surgery import twin


def wide_outputs(model: nn.Module, batch: Batch) -> list[Tensor] | None:
    """Return the outputs in float64 arithmetic; None of a model that does not run in it."""
    copied = twin(model)
    given = batch.mapped(lambda x: x.double() if x.is_floating_point() else x.clone())
    try:
        with _widened(copied), undisturbed(copied, evaluate=True), torch.no_grad():
            return [x.detach().clone() for x in tensors_within(given.call(copied))]
    except (RuntimeError, TypeError):  # a dtype that is written into the model's code
        return None


@contextmanager
def _widened(model: nn.Module) -> Iterator[None]:
    with ExitStack() as stack:
        for module in model.modules():
            if any(map(_narrow, (*module._parameters.values(), *module._buffers.values()))):
                held: list[dict[str, Any]] = []
                for handle in (
                    module.register_forward_pre_hook(lambda m, _, held=held: _widen(m, held)),
                    module.register_forward_hook(lambda m, *_, held=held: _restore(m, held)),
                ):
                    stack.callback(handle.remove)
        yield


def _narrow(tensor: Tensor | None) -> bool:
    return tensor is not None and tensor.is_floating_point() and tensor.dtype is not torch.float64


def _widen(module: nn.Module, held: list[dict[str, Any]]) -> None:
    held.append({"_parameters": dict(module._parameters), "_buffers": dict(module._buffers)})
    for name, one in module._parameters.items():
        if one is not None and _narrow(one):
            module._parameters[name] = nn.Parameter(one.detach().double(), False)
    for name, buffer in module._buffers.items():
        if buffer is not None and _narrow(buffer):
            module._buffers[name] = buffer.double()


def _restore(module: nn.Module, held: list[dict[str, Any]]) -> None:
    for kind, tensors in held.pop().items():
        getattr(module, kind).update(tensors)
