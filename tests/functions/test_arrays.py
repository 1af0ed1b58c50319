"""Shapes, layouts and element types: the same kind out as in, and a clear refusal of others."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch

import relucid
from relucid.errors import DtypeError, ShapeError
from relucid.functions import get
from support.cases import CASES, ELEMENTWISE, TWO_INPUT, VECTOR, Case
from support.routes import to_torch

elementwise = pytest.mark.parametrize("case", ELEMENTWISE, ids=lambda case: case.id)
FLOATS = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]
TORCH_FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@elementwise
def test_numbers_lists_and_zero_dimensions(case: Case) -> None:
    for function in (case.activation, case.activation.derivative):
        number = function(-0.75)
        assert isinstance(number, np.float64)
        assert function(np.float64(-0.75)) == number
        assert function([-0.75, 2])[0] == number
        assert function(np.array(-0.75)).shape == ()
        tensor = function(torch.tensor(-0.75, dtype=torch.float64))
        assert tensor.shape == () and tensor.item() == pytest.approx(number, rel=1e-15)
        assert type(function(np.float32(-0.75))) is np.float32


@elementwise
@pytest.mark.parametrize("shape", [(0,), (3, 0, 2), (1,), (2, 3, 4)], ids=str)
def test_shape_and_type_are_kept(case: Case, shape: tuple[int, ...]) -> None:
    for function in (case.activation, case.activation.derivative):
        for dtype in FLOATS:
            result = function(np.ones(shape, dtype))
            assert result.shape == shape and result.dtype == dtype
        for torch_dtype in TORCH_FLOATS:
            tensor = function(torch.ones(shape, dtype=torch_dtype))
            assert tensor.shape == shape and tensor.dtype == torch_dtype


@elementwise
def test_any_layout_gives_the_same_bits(case: Case) -> None:
    plain = np.random.default_rng(3).normal(size=(4, 6, 8, 2)).astype(np.float32) * 3
    tensor = torch.from_numpy(plain)
    for function in (case.activation, case.activation.derivative):
        expected = function(plain)
        for layout in (plain[::-1, ::2], np.asfortranarray(plain), plain.transpose(2, 0, 3, 1)):
            np.testing.assert_array_equal(function(layout), function(np.ascontiguousarray(layout)))
        for tensor_layout in (tensor[:, ::2, 1:], tensor.mT, tensor[:1].expand(5, 6, 8, 2)):
            assert torch.equal(function(tensor_layout), function(tensor_layout.contiguous()))
        with relucid.precision("correct"):  # as NumPy's, rounded once
            np.testing.assert_array_equal(function(tensor).numpy(), expected)
        last = tensor.contiguous(memory_format=torch.channels_last)
        assert function(last).is_contiguous(memory_format=torch.channels_last)


@elementwise
def test_the_length_of_a_tensor_does_not_change_its_bits(case: Case) -> None:
    """PyTorch's own float32 functions differ between the vectorised body and the remainder."""
    x = torch.linspace(-9.0, 9.0, 4097)
    for function in (case.activation, case.activation.derivative):
        whole = function(x)
        parts = [function(part) for part in x.split([1, 3, 7, 14, 40, 4032])]
        assert torch.equal(torch.cat(parts), whole)


@elementwise
def test_the_input_is_left_alone(case: Case) -> None:
    x = np.array([-1.0, 0.5], dtype=np.float64)
    result = case.activation(x)
    assert not np.shares_memory(result, x)
    tensor = torch.tensor([-1.0, 0.5], dtype=torch.float64)
    assert case.activation(tensor).data_ptr() != tensor.data_ptr()


INTEGERS: dict[str, dict[str, float]] = {
    "identity": {},
    "relu": {},
    "relu6": {},
    "hardtanh": {"min_val": -2.0, "max_val": 3.0},
    "threshold": {"threshold": 1.0, "value": 7.0},
}


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_where_pytorch_takes_them(name: str) -> None:
    own = {
        "identity": lambda x: x,
        "relu": torch.relu,
        "relu6": torch.nn.functional.relu6,
        "hardtanh": lambda x: torch.nn.functional.hardtanh(x, -2, 3),
        "threshold": lambda x: torch.nn.functional.threshold(x, 1, 7),
    }[name]
    activation = get(name, **INTEGERS[name])
    for dtype in (torch.int8, torch.int16, torch.int32, torch.int64):
        x = torch.arange(-9, 9, dtype=dtype)
        assert torch.equal(activation(x), own(x)) and activation(x).dtype == dtype
        result = activation(x.numpy())
        np.testing.assert_array_equal(result, own(x).numpy())
        assert result.dtype == x.numpy().dtype


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softsign", "tanhshrink", "arctan"])
def test_integers_become_floats_where_pytorch_makes_them_so(name: str) -> None:
    x = np.arange(-3, 4)
    activation = get(name)
    for function in (activation, activation.derivative):
        np.testing.assert_array_equal(function(x), function(x.astype(np.float64)))
        assert function(x).dtype == np.float64
        assert torch.equal(function(torch.from_numpy(x)), function(torch.from_numpy(x).float()))


def test_unsigned_integers_pass_relu() -> None:
    x = torch.arange(200, 256, dtype=torch.uint8)
    assert torch.equal(get("relu")(x), x)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
@pytest.mark.parametrize("dtype", ["bool", "complex64", "complex128", "float8_e4m3fn", "int32"])
def test_other_types_are_refused_with_a_cure(case: Case, dtype: str) -> None:
    activation = case.activation
    if dtype == "int32" and getattr(activation, "integers", "refused") != "refused":
        pytest.skip("taken")
    inputs: list[Any] = [torch.ones((2, 6)).to(getattr(torch, dtype))]
    if dtype != "float8_e4m3fn":
        inputs.append(np.ones((2, 6), dtype=dtype))
    cure = "real part" if "complex" in dtype else "convert first"
    for x in inputs:
        with pytest.raises(DtypeError, match=rf"{case.name} is defined .* not on {dtype}.*{cure}"):
            activation(x)
        if case in ELEMENTWISE:
            with pytest.raises(DtypeError, match=cure):
                activation.derivative(x)


@pytest.mark.parametrize("case", TWO_INPUT, ids=lambda case: case.id)
def test_gated_units_halve_an_axis(case: Case) -> None:
    x = np.random.default_rng(4).normal(size=(3, 8, 5))
    value, gate = x[:, :4], x[:, 4:]
    expected = case.activation(value, gate)
    np.testing.assert_array_equal(case.activation(x, axis=1), expected)
    tensor = case.activation(to_torch(x), axis=-2)
    np.testing.assert_allclose(tensor.numpy(), expected, rtol=1e-14)
    with pytest.raises(ShapeError, match="odd"):
        case.activation(x, axis=2)
    with pytest.raises(ShapeError, match="axis 3 does not exist"):
        case.activation(x, axis=3)


@pytest.mark.parametrize("case", VECTOR, ids=lambda case: case.id)
def test_vector_functions_act_along_any_axis(case: Case) -> None:
    x = np.random.default_rng(5).normal(size=(6, 12, 6))
    for axis in (0, 1, 2, -3):
        moved = np.moveaxis(case.activation(np.moveaxis(x, axis, -1)), -1, axis)
        np.testing.assert_allclose(case.activation(x, axis), moved, rtol=1e-15)
        np.testing.assert_allclose(case.activation(to_torch(x), axis).numpy(), moved, rtol=1e-14)
    with pytest.raises(ShapeError, match="axis 3 does not exist"):
        case.activation(x, 3)


@pytest.mark.parametrize("case", VECTOR, ids=lambda case: case.id)
@pytest.mark.parametrize("shape", [(0, 6), (6, 0), (0,)], ids=str)
def test_vector_functions_of_nothing(case: Case, shape: tuple[int, ...]) -> None:
    for x in (np.ones(shape), torch.ones(shape)):
        result = case.activation(x)
        assert result.shape[0] == shape[0] and np.asarray(result).size == 0


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmin", "hardmax"])
def test_vector_functions_of_a_number(name: str) -> None:
    expected = 0.0 if name == "log_softmax" else 1.0
    for x in (2.5, np.array(2.5), torch.tensor(2.5)):
        result = get(name)(x)
        assert np.shape(result) == () and result == expected


def test_maxout_needs_whole_groups() -> None:
    with pytest.raises(ShapeError, match="axis -1, whose length 5 is no multiple of 2"):
        get("maxout")(np.ones((3, 5)))
    with pytest.raises(ShapeError, match="whose length 1 is no multiple of 2"):
        get("maxout")(2.5)
