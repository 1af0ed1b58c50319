"""torch.compile: PyTorch's functions, and the same written into given buffers, by Inductor."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from relucid.bench.sides.torch_side import Call, InPlace

_LOGGERS = ("torch._dynamo", "torch._inductor")


def compiled_value(value: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The function compiled, differentiable."""

    def forward(*arguments: Tensor) -> Tensor:
        return value(*arguments)

    return _compile(forward)


def compiled_in_place(value: Callable[..., Tensor]) -> InPlace:
    """The function and its gradient compiled to write into given buffers.

    The gradient is that of ``torch.func.vjp``, traced and fused; nothing of the forward pass is
    left in it but what the gradient needs.
    """

    def forward(x: Tensor, y: Tensor) -> None:
        y.copy_(value(x))

    def backward(x: Tensor, g: Tensor, dx: Tensor) -> None:
        _, pull, *_ = torch.func.vjp(value, x)
        dx.copy_(pull(g)[0])

    write, write_gradient = _compile(forward), _compile(backward)

    def call_forward(c: Call) -> None:
        write(c.x, c.y)

    def call_backward(c: Call) -> None:
        write_gradient(c.x, c.g, c.dx)

    return InPlace(call_forward, call_backward)


@contextmanager
def inductor() -> Iterator[None]:
    """Inductor with an empty cache, so that compile times are real, started and silent.

    Its start, which builds a header for all later kernels, belongs to no function: 9 s here.
    """
    name = "TORCHINDUCTOR_CACHE_DIR"
    before = os.environ.get(name)
    with tempfile.TemporaryDirectory(prefix="relucid-bench-") as folder:
        os.environ[name] = folder
        try:
            compiled_value(torch.cos)(torch.zeros(64))
            _quieten()
            yield
        finally:
            os.environ.pop(name)
            if before is not None:
                os.environ[name] = before


def forget_compiled() -> None:
    """Let Dynamo begin anew, so that it never reaches its limit of recompilations."""
    torch.compiler.reset()


def _compile(function: Callable[..., Any]) -> Callable[..., Any]:
    """``fullgraph`` makes it an error, not a silent fall to eager, when too much is compiled."""
    compiled: Callable[..., Any] = torch.compile(function, dynamic=False, fullgraph=True)
    return compiled


def _quieten() -> None:
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
