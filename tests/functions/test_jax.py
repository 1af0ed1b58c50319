"""JAX arrays in, JAX arrays out; under jit; and grad gives the declared derivative.

XLA flushes subnormal numbers to zero on CPUs, and its own functions are up to 6 units in the last
place off, so accuracy is asserted on inputs and results well above them, with its own bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from relucid.errors import DtypeError
from relucid.functions import get
from support.cases import ELEMENTWISE, TWO_INPUT, VECTOR, Case
from support.fast import fast
from support.truth import exact
from support.ulp import BFLOAT16, root_distance, root_size, sample32, sample64, ulps

jax = pytest.importorskip("jax")
jnp = jax.numpy

elementwise = pytest.mark.parametrize("case", ELEMENTWISE, ids=lambda case: case.id)
each = pytest.mark.parametrize("which", ["value", "derivative"])

BOUND32 = 8.5
"""ULP in float32, where NumPy and PyTorch compute in float64."""
BOUND64 = 14.0
"""ULP in float64: XLA's tanh alone is 6.4, and tanhshrink's derivative is its square."""


@pytest.fixture
def double_precision() -> Iterator[None]:
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


def _of_one_size(x: Any, size: int) -> Any:
    """The numbers, and then the first of them again: what XLA compiled for a size serves all."""
    assert len(x) <= size
    return np.resize(x, size)


def _function(case: Case, which: str) -> Any:
    return case.activation if which == "value" else case.activation.derivative


def _worst(case: Case, which: str, function: Any, x: Any, truth: Any, low: Any) -> float:
    limits = np.finfo(x.dtype)
    floor, ceiling = float(limits.tiny) ** 0.75, float(limits.max) / 4
    plain = (np.abs(truth) > floor) & (np.abs(truth) < ceiling) & (np.abs(x) < ceiling)
    plain &= (np.abs(x) > floor) | (x == 0)
    plain &= root_distance(case, which, x) > root_size(case)
    result = function(jnp.asarray(x))
    assert isinstance(result, jax.Array) and result.dtype == x.dtype
    return float(ulps(np.asarray(result), truth, low, x.dtype)[plain].max())


@elementwise
@each
def test_float32(case: Case, which: str) -> None:
    x = sample32(case, 100_000)
    for kink in case.activation.kinks:  # whose place is rounded to float32 with the parameter
        x = x[np.abs(x - kink.at) > 1e-2]
    x = _of_one_size(x, 100_300)
    truth = fast(case, which, x)
    function = _function(case, which)
    assert _worst(case, which, function, x, truth, 0.0) <= BOUND32
    if not case.parameters:
        assert _worst(case, which, jax.jit(function), x, truth, 0.0) <= BOUND32


@elementwise
@each
@pytest.mark.usefixtures("double_precision")
def test_float64(case: Case, which: str) -> None:
    x = _of_one_size(sample64(case, 900), 1000)
    assert _worst(case, which, _function(case, which), x, *exact(case, which, x)) <= BOUND64


@elementwise
def test_bfloat16_computes_in_float32_and_rounds_once(case: Case) -> None:
    x = np.linspace(-9.0, 9.0, 301).astype(BFLOAT16)
    for which in ("value", "derivative"):
        result = _function(case, which)(jnp.asarray(x))
        wide = _function(case, which)(jnp.asarray(x.astype(np.float32)))
        assert result.dtype == jnp.bfloat16
        np.testing.assert_array_equal(np.asarray(result), np.asarray(wide).astype(BFLOAT16))


@elementwise
def test_grad_is_the_declared_derivative(case: Case) -> None:
    """At kinks, at infinity and at NaN too, where tracing the formula would say otherwise."""
    kinks = [np.float32(k.at) for k in case.activation.kinks]
    specials = [-3.0, -0.5, 0.0, 0.5, 3.0, 1e38, np.inf, -np.inf, np.nan]
    x = jnp.asarray(_of_one_size([*kinks, *specials], 12), jnp.float32)
    declared = np.asarray(case.activation.derivative(x))
    gradient = jax.vmap(jax.grad(case.activation))(x)
    np.testing.assert_allclose(np.asarray(gradient), declared, rtol=1e-5)


def test_second_derivatives_under_jit() -> None:
    second = jax.jit(jax.vmap(jax.grad(jax.grad(get("tanh")))))
    x = jnp.linspace(-2.0, 2.0, 9)
    t = np.tanh(np.asarray(x))
    np.testing.assert_allclose(second(x), -2 * t * (1 - t * t), atol=1e-6)


def test_learned_parameters_have_gradients() -> None:
    x = jnp.asarray([-2.0, -1.0, 3.0])

    def total(slope: Any) -> Any:
        return get("prelu", negative_slope=slope)(x).sum()

    value, gradient = jax.value_and_grad(total)(jnp.asarray(0.25))
    assert value == 2.25 and gradient == -3.0


@pytest.mark.parametrize("case", VECTOR, ids=lambda case: case.id)
def test_vector_functions(case: Case) -> None:
    x = np.random.default_rng(13).integers(-2, 3, size=(4, 6)).astype(np.float32)
    v = np.random.default_rng(14).normal(size=x.shape).astype(np.float32)
    value, tangent = jax.jvp(case.activation, (jnp.asarray(x),), (jnp.asarray(v),))
    np.testing.assert_allclose(value, case.activation(x), rtol=3e-6, atol=1e-6)
    np.testing.assert_allclose(tangent, case.activation.jvp(x, v), rtol=1e-5, atol=1e-6)
    g = np.random.default_rng(15).normal(size=value.shape).astype(np.float32)
    (gradient,) = jax.vjp(case.activation, jnp.asarray(x))[1](jnp.asarray(g))
    np.testing.assert_allclose(gradient, case.activation.vjp(x, g), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", TWO_INPUT, ids=lambda case: case.id)
def test_gated_units(case: Case) -> None:
    x = np.random.default_rng(16).normal(size=(3, 8)).astype(np.float32)
    result = jax.jit(case.activation)(jnp.asarray(x))
    np.testing.assert_allclose(result, case.activation(x), rtol=1e-6)


def test_integers_and_other_types() -> None:
    x = jnp.asarray([-5, 0, 2**24 + 1], dtype=jnp.int32)
    assert get("relu")(x).tolist() == [0, 0, 2**24 + 1] and get("relu")(x).dtype == jnp.int32
    assert get("tanh")(x).dtype == jnp.asarray(0.0).dtype
    with pytest.raises(DtypeError, match="not on int32; convert first"):
        get("gelu")(x)
    with pytest.raises(DtypeError, match="not on complex64; take its real part"):
        get("gelu")(jnp.asarray([1j]))
