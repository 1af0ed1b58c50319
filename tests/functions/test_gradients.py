"""Declared derivatives are the derivatives: by finite differences, by PyTorch, by brute force.

Finite differences of functions of one input are in ``tests/nn/test_transforms.py``: the modules
call them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from support.cases import ELEMENTWISE, TWO_INPUT, VECTOR, Case
from support.pytorch import pytorch
from support.ulp import joints

# PyTorch's forward-mode differentiation still scripts its decompositions.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")

elementwise = pytest.mark.parametrize("case", ELEMENTWISE, ids=lambda case: case.id)
two_input = pytest.mark.parametrize("case", TWO_INPUT, ids=lambda case: case.id)
vector = pytest.mark.parametrize("case", VECTOR, ids=lambda case: case.id)


def _away_from_kinks(case: Case, *shape: int) -> Tensor:
    """Normal numbers, at least 0.05 from every point at which a formula changes."""
    x = torch.randn(4 * int(np.prod(shape)), dtype=torch.float64, generator=_seeded()) * 3
    for joint in joints(case):
        x = x[(x - joint).abs() > 0.05]
    return x[: int(np.prod(shape))].reshape(shape).requires_grad_()


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(11)


@elementwise
def test_gradient_is_the_declared_derivative(case: Case) -> None:
    x = torch.linspace(-6.0, 6.0, 241, dtype=torch.float32, requires_grad=True)
    (gradient,) = torch.autograd.grad(case.activation(x).sum(), x)
    assert torch.equal(gradient, case.activation.derivative(x.detach()))


@elementwise
def test_at_kinks_the_gradient_is_the_declared_one(case: Case) -> None:
    kinks = case.activation.kinks
    x = torch.tensor([k.at for k in kinks], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(case.activation(x).sum(), x)
    assert gradient.tolist() == [k.derivative for k in kinks]
    assert case.activation.derivative(x.detach().numpy()).tolist() == gradient.tolist()


@elementwise
def test_at_kinks_pytorch_declares_the_same(case: Case) -> None:
    own = pytorch(case)
    kinks = [k for k in case.activation.kinks]
    if own is None or not kinks:
        pytest.skip("PyTorch has no such function" if own is None else "smooth")
    x = torch.tensor([k.at for k in kinks], dtype=torch.float64, requires_grad=True)
    (theirs,) = torch.autograd.grad(own(x).sum(), x)
    assert [k.derivative for k in kinks] == pytest.approx(theirs.tolist(), abs=1e-12)


@elementwise
def test_second_derivative_at_zero_is_one_of_its_sides(case: Case) -> None:
    """Formulas are written in abs(x), which PyTorch would differentiate to 0 at 0."""
    x = torch.tensor([-1e-9, 0.0, 1e-9], dtype=torch.float64, requires_grad=True)
    slope = case.activation.derivative(x)
    if not slope.requires_grad:
        return
    (second,) = torch.autograd.grad(slope.sum(), x)
    left, at, right = second.tolist()
    assert min(abs(at - left), abs(at - right)) < 1e-6


@pytest.mark.parametrize("choice", [0.0, 0.5, 1.0])
def test_the_derivative_at_a_kink_can_be_chosen(choice: float) -> None:
    relu = Case("relu").activation.at_kink(choice)
    x = torch.zeros(3, requires_grad=True)
    relu(x).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [choice] * 3
    assert relu.derivative(np.zeros(2)).tolist() == [choice] * 2


LEARNABLE = [
    (case, name) for case in ELEMENTWISE for name in case.activation.parameters if case.parameters
]


@pytest.mark.parametrize(
    ("case", "name"), LEARNABLE, ids=lambda v: v if isinstance(v, str) else v.id
)
def test_gradients_of_parameters(case: Case, name: str) -> None:
    x = _away_from_kinks(case, 12).detach()
    start = torch.tensor(case.parameters.get(name, 1.0), dtype=torch.float64, requires_grad=True)
    others = {n: v for n, v in case.parameters.items() if n != name}

    def by_parameter(value: Tensor) -> Tensor:
        function = Case(case.name, {**others, name: value}).activation
        result = function(x)
        assert isinstance(result, Tensor)
        return result

    assert gradcheck(by_parameter, (start,))


@two_input
def test_partials_of_gated_units(case: Case) -> None:
    x = _away_from_kinks(Case(case.activation.gate.name), 3, 8)
    value, gate = x[:, :4].detach().requires_grad_(), x[:, 4:].detach().requires_grad_()
    assert gradcheck(case.activation, (value, gate), check_forward_ad=True)
    assert gradgradcheck(case.activation, (value, gate))
    by_value, by_gate = case.activation.derivative(value.detach(), gate.detach())
    expected = torch.autograd.grad(case.activation(value, gate).sum(), (value, gate))
    torch.testing.assert_close((by_value, by_gate), expected)
    on_numpy = case.activation.derivative(value.detach().numpy(), gate.detach().numpy())
    np.testing.assert_allclose(on_numpy[0], by_value, rtol=1e-13)
    np.testing.assert_allclose(on_numpy[1], by_gate, rtol=1e-13)


OWN: dict[str, Callable[..., Tensor]] = {
    "softmax": torch.softmax,
    "log_softmax": torch.log_softmax,
    "softmin": lambda x, dim: torch.softmax(-x, dim),
    "maxout": lambda x, dim: x.unflatten(dim, (-1, 2)).amax(dim),
}


@vector
def test_vector_functions_by_gradcheck(case: Case) -> None:
    x = torch.randn(3, 6, dtype=torch.float64, generator=_seeded()).requires_grad_()
    assert gradcheck(case.activation, (x,), check_forward_ad=True)
    assert gradgradcheck(case.activation, (x,))


@vector
def test_jacobian_products_against_brute_force(case: Case) -> None:
    """jvp and vjp are the products with the Jacobian of finite differences."""
    rng = np.random.default_rng(12)
    x = rng.normal(size=6)
    step = 1e-6
    columns = [
        (case.activation(x + step * unit) - case.activation(x - step * unit)) / (2 * step)
        for unit in np.eye(6)
    ]
    jacobian = np.stack(columns, axis=-1)
    v, g = rng.normal(size=6), rng.normal(size=jacobian.shape[0])
    for convert in (np.asarray, torch.from_numpy):
        forward = case.activation.jvp(convert(x), convert(v))
        backward = case.activation.vjp(convert(x), convert(g))
        np.testing.assert_allclose(forward, jacobian @ v, atol=1e-8)
        np.testing.assert_allclose(backward, jacobian.T @ g, atol=1e-8)


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_jacobian_products_against_pytorch(name: str, axis: int) -> None:
    x = torch.randn(4, 6, 8, dtype=torch.float64, generator=_seeded())
    v = torch.randn(x.shape, dtype=torch.float64, generator=_seeded())
    activation = Case(name).activation

    def own(y: Tensor) -> Tensor:
        return (
            OWN[name](y, axis)
            if name != "maxout"
            else OWN[name](y.movedim(axis, -1), -1).movedim(-1, axis)
        )

    value, tangent = torch.func.jvp(own, (x,), (v,))
    _, backward = torch.func.vjp(own, x)
    g = torch.randn(value.shape, dtype=torch.float64, generator=_seeded())
    torch.testing.assert_close(activation(x, axis), value)
    torch.testing.assert_close(activation.jvp(x, v, axis), tangent)
    torch.testing.assert_close(activation.vjp(x, g, axis), backward(g)[0])
