"""ONNX's own node cases of the catalogue's operators, run on NumPy arrays and on tensors.

Each case is a one-node model with inputs and expected outputs, made by the onnx package. An
adapter reads the node's attributes and says which declared function that is.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch

from relucid.functions import get
from support.routes import to_numpy, to_torch

onnx = pytest.importorskip("onnx")

Attributes = dict[str, Any]
Adapter = Callable[..., Any]


def _plain(name: str, **parameters: str) -> Adapter:
    """The declared function; ``parameters`` says which attribute is which parameter."""

    def adapter(attributes: Attributes, x: Any) -> Any:
        chosen = {p: attributes[a] for p, a in parameters.items() if a in attributes}
        return get(name, **chosen)(x)

    return adapter


def _along_axis(name: str) -> Adapter:
    return lambda attributes, x: get(name)(x, attributes.get("axis", -1))


def _hardsigmoid(attributes: Attributes, x: Any) -> Any:
    """ONNX: clip(alpha*x + beta, 0, 1), with 0.2 and 0.5 for defaults."""
    alpha, beta = attributes.get("alpha", 0.2), attributes.get("beta", 0.5)
    return get("onnx_hard_sigmoid", width=1.0 / alpha, shift=beta / alpha)(x)


def _selu(attributes: Attributes, x: Any) -> Any:
    if not attributes:
        return get("selu")(x)
    return attributes["gamma"] * get("elu", alpha=attributes["alpha"])(x)


def _shrink(attributes: Attributes, x: Any) -> Any:
    bias, lambd = attributes.get("bias", 0.0), attributes["lambd"]
    assert bias in (0.0, lambd)
    return get("softshrink" if bias else "hardshrink", lambd=lambd)(x)


def _clip(attributes: Attributes, x: Any, low: Any = None, high: Any = None) -> Any:
    kind = np.iinfo if str(x.dtype).rpartition(".")[2].startswith("int") else np.finfo
    limits = kind(np.dtype(str(x.dtype).rpartition(".")[2]))
    ends = {"min_val": limits.min if low is None else low.item()}
    ends["max_val"] = limits.max if high is None else high.item()
    return get("clip", **ends)(x)


def _prelu(attributes: Attributes, x: Any, slope: Any) -> Any:
    return get("prelu", negative_slope=slope)(x)


def _swiglu(attributes: Attributes, gate: Any, value: Any) -> Any:
    if "alpha" in attributes:
        return value * get("silu", beta=attributes["alpha"])(gate)
    return get("swiglu")(value, gate)


def _thresholded_relu(attributes: Attributes, x: Any) -> Any:
    return get("thresholded_relu", threshold=attributes.get("alpha", 1.0))(x)


ADAPTERS: dict[str, Adapter] = {
    "Relu": _plain("relu"),
    "LeakyRelu": _plain("leaky_relu", negative_slope="alpha"),
    "PRelu": _prelu,
    "Elu": _plain("elu", alpha="alpha"),
    "Celu": _plain("celu", alpha="alpha"),
    "Selu": _selu,
    "Softplus": _plain("softplus"),
    "Softsign": _plain("softsign"),
    "Sigmoid": _plain("sigmoid"),
    "HardSigmoid": _hardsigmoid,
    "HardSwish": _plain("hardswish"),
    "Tanh": _plain("tanh"),
    "ThresholdedRelu": _thresholded_relu,
    "Shrink": _shrink,
    "Clip": _clip,
    "Gelu": _plain("gelu", approximate="approximate"),
    "Mish": _plain("mish"),
    "Swish": _plain("swish", beta="alpha"),
    "Softmax": _along_axis("softmax"),
    "LogSoftmax": _along_axis("log_softmax"),
    "Hardmax": _along_axis("hardmax"),
    "Identity": _plain("identity"),
    "Atan": _plain("arctan"),
    "SwiGLU": _swiglu,
}
COUNTS = {
    **{"Relu": 1, "LeakyRelu": 3, "PRelu": 2, "Elu": 3, "Celu": 3, "Selu": 3, "Softplus": 2},
    **{"Softsign": 2, "Sigmoid": 2, "HardSigmoid": 3, "HardSwish": 1, "Tanh": 2},
    **{"ThresholdedRelu": 3, "Shrink": 2, "Clip": 11, "Gelu": 4, "Mish": 1, "Swish": 1},
    **{"Softmax": 7, "LogSoftmax": 7, "Hardmax": 7, "Identity": 3, "Atan": 2, "SwiGLU": 3},
}
NOT_OURS = {
    "test_clip_min_greater_than_max": "hardtanh refuses limits in the wrong order",
    "test_identity_sequence": "a list of tensors",
    "test_identity_opt": "an optional list of tensors",
}


@lru_cache(maxsize=1)
def _cases() -> dict[str, Any]:
    from onnx.backend.test.case import node

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's, from the making of cases
        for operator in ADAPTERS:  # onnx's own loader makes all 1,884, which takes seconds
            import_module(f"{node.__name__}.{operator.lower()}")
    return {
        case.name: case
        for case in node._NodeTestCases
        if len(case.model.graph.node) == 1
        and case.model.graph.node[0].op_type in ADAPTERS
        and case.name not in NOT_OURS
    }


def test_every_operator_has_its_cases() -> None:
    counted = Counter(case.model.graph.node[0].op_type for case in _cases().values())
    assert counted == COUNTS


@pytest.mark.parametrize("name", sorted(_cases()))
@pytest.mark.parametrize("route", ["numpy", "torch"])
def test_node_case(name: str, route: str) -> None:
    case = _cases()[name]
    (node,) = case.model.graph.node
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    attributes = {n: v.decode() if isinstance(v, bytes) else v for n, v in attributes.items()}
    for inputs, (expected,) in case.data_sets:
        given = iter(inputs)
        operands = [next(given) if operand else None for operand in node.input]
        if route == "torch":
            operands = [None if x is None else to_torch(np.array(x)) for x in operands]
        result = ADAPTERS[node.op_type](attributes, *operands)
        if isinstance(result, torch.Tensor):
            result = to_numpy(result, expected.dtype)
        assert result.dtype == expected.dtype and result.shape == expected.shape
        np.testing.assert_allclose(
            result.astype(np.float64), expected.astype(np.float64), rtol=case.rtol, atol=case.atol
        )
