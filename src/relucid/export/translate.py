"""How activations are written as ONNX: by their declarations, where PyTorch's way loses digits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from onnxscript import opset20 as op

from relucid.export.words import OnnxWords, Value
from relucid.functions import Elementwise, get
from relucid.functions.evaluate import keep_nan
from relucid.nn.operators import declaration

Table = dict[Any, Callable[..., Any]]


def table() -> Table:
    """Return what takes the place of the exporter's own translations, by PyTorch's operators.

    The others of its translations are right, or as right as PyTorch itself.
    """
    aten, own = torch.ops.aten, torch.ops.relucid
    return {
        aten.sigmoid.default: partial(_declared, "sigmoid"),
        aten.silu.default: partial(_declared, "silu"),
        aten.mish.default: partial(_declared, "mish"),
        aten.log_sigmoid.default: partial(_declared, "logsigmoid"),
        aten.gelu.default: _gelu,
        aten.glu.default: _glu,
        aten.rrelu.default: _rrelu,
        aten.expm1.default: partial(_word, "expm1"),
        aten.log1p.default: partial(_word, "log1p"),
        aten.erfc.default: partial(_word, "erfc"),
        aten.special_erfc.default: partial(_word, "erfc"),
        own.value.default: _value,
        own.learned_value.default: _learned_value,
    }


def written(activation: Elementwise, node: Any, learned: dict[str, Any] | None = None) -> Any:
    """Return the node that computes an activation, with nodes in place of some parameters."""
    x = Value(node, node.dtype)
    given = {name: Value(tensor, tensor.dtype) for name, tensor in (learned or {}).items()}
    parameters = {**activation.arguments, **given}
    native = _NATIVE.get(activation.name)
    if activation.name == "prelu" and given:
        return op.PRelu(node, given["negative_slope"].node)
    if native is not None and not given:
        return native(node, **parameters)
    formula, words = partial(activation.formula, **parameters), OnnxWords(x)
    if activation.name in _KEEP_NAN:
        return formula(words, x).node
    return keep_nan(formula, words, x).node


def _leaky(node: Any, negative_slope: float) -> Any:
    return op.LeakyRelu(node, alpha=negative_slope)


def _clip(node: Any, min_val: float, max_val: float) -> Any:
    x = Value(node, node.dtype)
    return x.made("Clip", min_val, max_val).node


def _bounded_gelu(node: Any, approximate: str = "none") -> Any:
    """At minus infinity ONNX's own is NaN; below -1e4 it is 0."""
    x = Value(node, node.dtype)
    return x.made("Max", -1e4).made("Gelu", approximate=approximate).node


# One operator, which runtimes fuse and quantise, where it computes the function as well.
_NATIVE: dict[str, Callable[..., Any]] = {
    "identity": lambda node: op.Identity(node),
    "relu": lambda node: op.Relu(node),
    "leaky_relu": _leaky,
    "hardtanh": _clip,
    "relu6": _clip,
    "tanh": lambda node: op.Tanh(node),
    "gelu": _bounded_gelu,
}


_KEEP_NAN = frozenset("sigmoid silu quick_gelu mish gelu_tanh logsigmoid elu selu celu".split())
"""Functions whose formulas in ONNX give NaN for NaN by themselves: choosing it takes longer than
they do."""


def _declared(name: str, node: Any) -> Any:
    found: Any = get(name)
    return written(found, node)


def _gelu(node: Any, approximate: str = "none") -> Any:
    return _bounded_gelu(node, approximate)


def _glu(node: Any, dim: int = -1) -> Any:
    value, gate = (Value(half, node.dtype) for half in op.Split(node, axis=dim, num_outputs=2))
    return (value * OnnxWords(gate).sigmoid(gate)).node


def _rrelu(node: Any, lower: float = 0.125, upper: float = 1 / 3, *_: Any, **__: Any) -> Any:
    """In evaluation mode the slope is the mean of the two. The exporter knows no RReLU."""
    return op.LeakyRelu(node, alpha=(lower + upper) / 2.0)


def _word(name: str, node: Any) -> Any:
    x = Value(node, node.dtype)
    return getattr(OnnxWords(x), name)(x).node


def _value(node: Any, function: str, numbers: Sequence[float]) -> Any:
    declared, _ = declaration(function)
    names = list(declared.parameters_declared)
    return written(declared.with_parameters(**dict(zip(names, numbers, strict=False))), node)


def _learned_value(
    node: Any, learned: Sequence[Any], function: str, numbers: Sequence[float]
) -> Any:
    declared, names = declaration(function)
    others = [name for name in declared.parameters_declared if name not in names]
    chosen = declared.with_parameters(**dict(zip(others, numbers, strict=False)))
    return written(chosen, node, dict(zip(names, learned, strict=True)))
