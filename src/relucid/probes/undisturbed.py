"""Running a model without leaving traces: modes, buffers and random numbers are put back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn


@contextmanager
def undisturbed(model: nn.Module, *, evaluate: bool) -> Iterator[None]:
    """Restore training flags, buffers and random states at the end, whatever happens.

    With ``evaluate`` every module is in evaluation mode meanwhile. The flags are set one by one:
    ``Module.train`` may be overridden, and modules need not all be in one mode.
    """
    flags = [(module, module.training) for module in model.modules()]
    buffers = _buffers(model)
    with ExitStack() as stack:
        stack.enter_context(same_random_numbers())
        stack.callback(_restore_buffers, buffers)
        stack.callback(_restore_flags, flags)
        if evaluate:
            _restore_flags([(module, False) for module, _ in flags])
            if (
                any(isinstance(m, nn.RNNBase) for m, _ in flags)
                and torch.backends.cudnn.is_available()
            ):
                # cuDNN's recurrent layers run backward only in training mode
                stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        yield


@dataclass(frozen=True)
class _Buffer:
    module: nn.Module
    name: str
    tensor: Tensor
    copy: Tensor
    version: int | None


def _buffers(model: nn.Module) -> list[_Buffer]:
    return [
        _Buffer(module, name, tensor, tensor.detach().clone(), _version(tensor))
        for module in model.modules()
        for name, tensor in module._buffers.items()
        if tensor is not None
    ]


def _version(tensor: Tensor) -> int | None:
    """How often it was changed in place; tensors of inference mode do not count."""
    return None if tensor.is_inference() else tensor._version


def _restore_buffers(buffers: list[_Buffer]) -> None:
    for buffer in buffers:
        if buffer.module._buffers.get(buffer.name) is not buffer.tensor:
            buffer.module._buffers[buffer.name] = buffer.tensor
        # batch_norm changes its statistics without counting it as a change
        same = buffer.version is not None and _version(buffer.tensor) == buffer.version
        if not (same and torch.equal(buffer.tensor, buffer.copy)):
            with torch.inference_mode(buffer.tensor.is_inference()), torch.no_grad():
                buffer.tensor.copy_(buffer.copy)


def _restore_flags(flags: list[tuple[nn.Module, bool]]) -> None:
    for module, training in flags:
        module.training = training


@contextmanager
def same_random_numbers() -> Iterator[None]:
    """Put the random states of PyTorch, Python and NumPy back at the end."""
    python, legacy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(range(torch.cuda.device_count())):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)
