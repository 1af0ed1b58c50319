"""Names, aliases, objects and parameters lead to the right function, or to a helpful error."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from relucid.errors import DeclarationError, ParameterError, UnknownActivationError
from relucid.functions import activation, catalogue, get, positive
from support.cases import CASES, Case

NAMES: dict[str, str] = {
    # ONNX
    **{"Relu": "relu", "LeakyRelu": "leaky_relu", "PRelu": "prelu", "Elu": "elu", "Celu": "celu"},
    **{"Selu": "selu", "Softplus": "softplus", "Softsign": "softsign", "Sigmoid": "sigmoid"},
    **{"HardSigmoid": "hardsigmoid", "HardSwish": "hardswish", "Tanh": "tanh", "Gelu": "gelu"},
    **{"ThresholdedRelu": "thresholded_relu", "Mish": "mish", "Swish": "silu", "Atan": "arctan"},
    **{"Softmax": "softmax", "LogSoftmax": "log_softmax", "Hardmax": "hardmax"},
    **{"Identity": "identity", "Clip": "hardtanh"},
    # Keras and JAX
    **{"hard_sigmoid": "hardsigmoid", "hard_silu": "hardswish", "hard_swish": "hardswish"},
    **{"log_sigmoid": "logsigmoid", "hard_tanh": "hardtanh", "hard_shrink": "hardshrink"},
    **{"soft_shrink": "softshrink", "tanh_shrink": "tanhshrink", "soft_sign": "softsign"},
    **{"linear": "identity", "swish": "silu", "squareplus": "squareplus"},
    # Transformers
    **{"gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "quick_gelu": "quick_gelu"},
    **{"gelu_python": "gelu", "gelu_fast": "gelu_tanh", "relu2": "squared_relu"},
    # Spellings
    **{
        "leaky-relu": "leaky_relu",
        " ReLU ": "relu",
        "torch.nn.SiLU": "silu",
        "GELU tanh": "gelu_tanh",
    },
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_other_frameworks(name: str) -> None:
    assert get(name).name == NAMES[name]


def test_the_catalogue_is_in_the_order_of_the_documentation() -> None:
    names = list(catalogue())
    assert names[:2] == ["identity", "relu"] and names[-1] == "maxout" and len(names) == 40
    assert all(get(name) is function for name, function in catalogue().items())
    aliases = [alias for function in catalogue().values() for alias in function.aliases]
    assert len(set(aliases) | set(names)) == len(aliases) + len(names)


def test_conventions_that_differ_show_in_the_parameters() -> None:
    assert get("hardsigmoid").parameters == {"shift": 3.0, "width": 6.0}
    assert get("onnx_hard_sigmoid").parameters == {"shift": 2.5, "width": 5.0}
    assert get("keras_hard_sigmoid", width=4.0).changed == {"shift": 2.5, "width": 4.0}
    assert [get("gelu", approximate=a).name for a in ("none", "tanh", "quick")] == [
        *("gelu", "gelu_tanh", "quick_gelu")
    ]


OBJECTS: list[tuple[Any, str, dict[str, float]]] = [
    (nn.ELU, "elu", {}),
    (nn.ELU(0.5), "elu", {"alpha": 0.5}),
    (nn.ReLU(inplace=True), "relu", {}),
    (nn.LeakyReLU(0.3), "leaky_relu", {"negative_slope": 0.3}),
    (nn.Threshold(1, 20), "threshold", {"threshold": 1.0, "value": 20.0}),
    (nn.Hardtanh(-2, 2), "hardtanh", {"min_val": -2.0, "max_val": 2.0}),
    (nn.Softplus(2.0, 9.0), "softplus", {"beta": 2.0, "threshold": 9.0}),
    (nn.Softshrink(0.3), "softshrink", {"lambd": 0.3}),
    (nn.RReLU(0.1, 0.2), "rrelu", {"lower": 0.1, "upper": 0.2}),
    (nn.GELU(), "gelu", {}),
    (nn.GELU("tanh"), "gelu_tanh", {}),
    (nn.Softmax(dim=1), "softmax", {}),
    (F.silu, "silu", {}),
    (torch.relu, "relu", {}),
    (torch.Tensor.sigmoid, "sigmoid", {}),
    (np.tanh, "tanh", {}),
]


@pytest.mark.parametrize(("thing", "name", "changed"), OBJECTS)
def test_classes_instances_and_callables(thing: Any, name: str, changed: dict[str, float]) -> None:
    found = get(thing)
    assert (found.name, found.changed) == (name, changed)
    assert get(found) is found


def test_given_parameters_override_those_of_the_instance() -> None:
    assert get(nn.ELU(0.5), alpha=0.25).changed == {"alpha": 0.25}
    assert get(get("elu", alpha=0.5), alpha=1.0) == get("elu")


@pytest.mark.parametrize(
    ("name", "nearest"), [("rleu", "relu"), ("leaky_rel", "leaky_relu"), ("gelutanh1", "gelu_tanh")]
)
def test_an_unknown_name_is_met_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(UnknownActivationError, match=rf"no activation '{name}'.*'{nearest}'"):
        get(name)


def test_a_name_like_no_other_is_met_with_where_to_look() -> None:
    with pytest.raises(UnknownActivationError, match=r"'zzzzqqq'; `relucid list` prints all"):
        get("zzzzqqq")


@pytest.mark.parametrize("thing", [nn.Linear(2, 2), nn.Linear, 3.0, None, len], ids=repr)
def test_things_that_are_no_activation(thing: Any) -> None:
    with pytest.raises(UnknownActivationError, match="is no declared activation; pass a name"):
        get(thing)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("elu", {"beta": 1.0}, "elu has no parameter 'beta'; its parameters are: alpha"),
        ("relu", {"alpha": 1.0}, "relu has no parameter 'alpha'; its parameters are: none"),
        ("elu", {"alpha": "1"}, "alpha must be a real number, and '1' is a str"),
        ("elu", {"alpha": True}, "alpha must be a real number, and True is a bool"),
        ("elu", {"alpha": 1j}, "alpha must be a real number"),
        ("elu", {"alpha": float("nan")}, "alpha must be a real number, and nan is not"),
        ("celu", {"alpha": 0.0}, "alpha must be > 0, and 0 is not; the default is 1"),
        ("softplus", {"beta": -1.0}, "beta must be > 0"),
        ("maxout", {"pieces": 2.5}, "pieces must be a whole number >= 1, and 2.5 is not"),
        ("hardshrink", {"lambd": -0.5}, "lambd must be >= 0, and -0.5 is not"),
        (
            "hardtanh",
            {"min_val": 2.0},
            "needs min_val <= max_val, and min_val=2, max_val=1",
        ),
        ("rrelu", {"lower": 0.5}, "rrelu needs lower <= upper"),
        ("gelu", {"approximate": "erf"}, "approximate must be one of none, tanh, quick"),
    ],
)
def test_wrong_parameters(name: str, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        get(name, **parameters)


def test_parameters_can_be_given_with_the_call() -> None:
    elu = get("elu")
    assert elu(-1.0, alpha=2.0) == 2.0 * elu(-1.0) and elu.changed == {}
    with pytest.raises(ParameterError, match="no parameter 'slope'"):
        elu(-1.0, slope=2.0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_copies_are_equal_and_work(case: Case) -> None:
    original = case.activation
    for copied in (
        copy.copy(original),
        copy.deepcopy(original),
        pickle.loads(pickle.dumps(original)),
    ):
        assert copied == original and hash(copied) == hash(original)
        assert copied.parameters == original.parameters
    x = np.linspace(-2.0, 2.0, 12)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(original))(x), original(x))


def test_a_pickle_keeps_chosen_derivatives_at_kinks() -> None:
    relu = get("relu").at_kink(0.5)
    assert pickle.loads(pickle.dumps(relu)).derivative(0.0) == 0.5


def test_equality_is_by_function_and_parameters() -> None:
    assert get("elu", alpha=1.0) == get("elu") == get("ELU")
    assert get("elu", alpha=0.5) != get("elu") and get("relu6") != get("hardtanh")
    assert get("relu").at_kink(0.5) != get("relu")
    assert repr(get("elu", alpha=0.5)) == "<relucid elu, alpha=0.5>"


def test_instances_are_immutable() -> None:
    elu = get("elu")
    with pytest.raises(AttributeError):
        elu.name = "other"
    with pytest.raises(TypeError):
        elu.values["alpha"] = 2.0


def _declare(name: str, **options: Any) -> Any:
    def formula(m: Any, x: Any) -> Any:
        return x

    formula.__name__ = name
    return activation(source="this test", derivative=lambda m, x: 1.0, **options)(formula)


def test_a_declaration_can_be_found_and_repeated() -> None:
    mine = _declare("my_identity", aliases=("mine",))
    assert get("my_identity") is mine and get("MINE") is mine
    assert "my_identity" not in catalogue()
    again = _declare("my_identity", aliases=("mine",))  # a notebook cell that is run twice
    assert get("my_identity") is again


def test_a_name_that_is_taken_is_refused() -> None:
    with pytest.raises(DeclarationError, match="already declares an activation 'relu'; choose"):
        _declare("relu")
    with pytest.raises(DeclarationError, match="'swish' already means silu; choose another"):
        _declare("my_gate", aliases=("swish",))


def test_a_formula_and_its_declaration_must_agree() -> None:
    with pytest.raises(DeclarationError, match=r"lopsided takes \(m, x\), and its declaration"):

        @activation(source="this test", parameters={"beta": positive(1.0)})
        def lopsided(m: Any, x: Any) -> Any:
            return x
