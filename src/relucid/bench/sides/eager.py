"""PyTorch's own functions, and how PyTorch writes each into given buffers.

``torch.ops.aten`` reaches the out= overloads; a call costs 0.5 us more than through PyTorch's
private bindings, where those exist, which is 1 to 3% of a call on 65,536 elements.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from relucid.bench.sides.torch_side import Call, InPlace

aten = torch.ops.aten

_SELU = (1.6732632423543772, 1.0507009873554805, 1.0)

VALUES: dict[str, Callable[..., Tensor]] = {
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "relu6": F.relu6,
    "squared_relu": lambda x: F.relu(x).square(),
    "elu": F.elu,
    "selu": F.selu,
    "celu": F.celu,
    "softplus": F.softplus,
    "logsigmoid": F.logsigmoid,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "mish": F.mish,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softsign": F.softsign,
    "hardswish": F.hardswish,
    "geglu": lambda value, gate: value * F.gelu(gate),
    "swiglu": lambda value, gate: value * F.silu(gate),
    "softmax": lambda x: F.softmax(x, dim=-1),
    "log_softmax": lambda x: F.log_softmax(x, dim=-1),
}


def _squared_relu(c: Call) -> None:
    aten.relu.out(c.x, out=c.y)
    torch.square(c.y, out=c.y)


def _squared_relu_backward(c: Call) -> None:
    aten.relu.out(c.x, out=c.dx)
    c.dx.mul_(2.0).mul_(c.g)


def _softsign(c: Call) -> None:
    torch.abs(c.x, out=c.y)
    torch.div(c.x, c.y.add_(1.0), out=c.y)


def _softsign_backward(c: Call) -> None:
    torch.abs(c.x, out=c.dx)
    torch.div(c.g, c.dx.add_(1.0).square_(), out=c.dx)


IN_PLACE: dict[str, InPlace] = {
    "relu": InPlace(
        lambda c: aten.relu.out(c.x, out=c.y),
        lambda c: aten.threshold_backward.grad_input(c.g, c.y, 0.0, grad_input=c.dx),
    ),
    "leaky_relu": InPlace(
        lambda c: aten.leaky_relu.out(c.x, 0.01, out=c.y),
        lambda c: aten.leaky_relu_backward.grad_input(c.g, c.x, 0.01, False, grad_input=c.dx),
    ),
    "relu6": InPlace(
        lambda c: aten.hardtanh.out(c.x, 0.0, 6.0, out=c.y),
        lambda c: aten.hardtanh_backward.grad_input(c.g, c.x, 0.0, 6.0, grad_input=c.dx),
    ),
    "squared_relu": InPlace(
        _squared_relu, _squared_relu_backward, "composed of relu, square, mul with out="
    ),
    "elu": InPlace(
        lambda c: aten.elu.out(c.x, 1.0, 1.0, 1.0, out=c.y),
        lambda c: aten.elu_backward.grad_input(c.g, 1.0, 1.0, 1.0, False, c.x, grad_input=c.dx),
    ),
    "selu": InPlace(
        lambda c: aten.elu.out(c.x, *_SELU, out=c.y),
        lambda c: aten.elu_backward.grad_input(c.g, *_SELU, False, c.x, grad_input=c.dx),
        "elu.out with SELU's constants, which is what selu calls",
    ),
    "celu": InPlace(
        lambda c: aten.celu.out(c.x, 1.0, out=c.y),
        lambda c: aten.elu_backward.grad_input(c.g, 1.0, 1.0, 1.0, False, c.x, grad_input=c.dx),
    ),
    "softplus": InPlace(
        lambda c: aten.softplus.out(c.x, 1.0, 20.0, out=c.y),
        lambda c: aten.softplus_backward.grad_input(c.g, c.x, 1.0, 20.0, grad_input=c.dx),
    ),
    "logsigmoid": InPlace(
        lambda c: aten.log_sigmoid_forward.output(c.x, output=c.y, buffer=c.scratch),
        lambda c: aten.log_sigmoid_backward.grad_input(c.g, c.x, c.scratch, grad_input=c.dx),
    ),
    "gelu": InPlace(
        lambda c: aten.gelu.out(c.x, out=c.y),
        lambda c: aten.gelu_backward.grad_input(c.g, c.x, grad_input=c.dx),
    ),
    "gelu_tanh": InPlace(
        lambda c: aten.gelu.out(c.x, approximate="tanh", out=c.y),
        lambda c: aten.gelu_backward.grad_input(c.g, c.x, approximate="tanh", grad_input=c.dx),
    ),
    "silu": InPlace(
        lambda c: aten.silu.out(c.x, out=c.y),
        lambda c: aten.silu_backward.grad_input(c.g, c.x, grad_input=c.dx),
    ),
    "mish": InPlace(
        lambda c: aten.mish.out(c.x, out=c.y),
        lambda c: c.dx.copy_(aten.mish_backward(c.g, c.x)),
        "mish_backward has no out= form: its result is copied into the buffer",
    ),
    "sigmoid": InPlace(
        lambda c: aten.sigmoid.out(c.x, out=c.y),
        lambda c: aten.sigmoid_backward.grad_input(c.g, c.y, grad_input=c.dx),
    ),
    "tanh": InPlace(
        lambda c: aten.tanh.out(c.x, out=c.y),
        lambda c: aten.tanh_backward.grad_input(c.g, c.y, grad_input=c.dx),
    ),
    "softsign": InPlace(_softsign, _softsign_backward, "composed of abs, add, div with out="),
    "hardswish": InPlace(
        lambda c: aten.hardswish.out(c.x, out=c.y),
        lambda c: aten.hardswish_backward.out(c.g, c.x, out=c.dx),
    ),
}
"""Of the functions of one number. The others are measured with fresh outputs only."""
