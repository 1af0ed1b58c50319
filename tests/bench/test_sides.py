"""Every contender computes the function and gradient whose name it has, in every form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from relucid.bench.buffers import FROM_MEMORY, VECTOR, make_inputs, sets, shape_of
from relucid.bench.choices import Peer
from relucid.bench.plan import EVERY_FORM, FUNCTIONS, LIST, RECTIFIERS
from relucid.bench.sides import Cell, Form, Lineup
from relucid.bench.sides.compiled import inductor
from relucid.bench.sides.eager import IN_PLACE, VALUES
from relucid.bench.sides.numpy_side import VALUES as TEXTBOOK

SIZE, CACHE = 2048, 1 << 20
each = pytest.mark.parametrize("function", FUNCTIONS)
forms = pytest.mark.parametrize("form", EVERY_FORM, ids="-".join)
ROOMY = 3e-6
"""Peers are off by many units in the last place in the tails: this is absolute, near 1."""


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    """A line-up sets PyTorch's number of threads."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def lineup_of(function: str, *peers: Peer, size: int = SIZE) -> Lineup:
    return Lineup(Cell(function, "float32", size, 1), peers, CACHE)


def assert_right(lineup: Lineup, form: Form, name: str) -> None:
    """Compare with PyTorch's function in float64 and its autograd."""
    subject, first = lineup.subjects(form)[name], lineup.inputs[0]
    leaves = [x.double().requires_grad_() for x in first.arguments]
    value = VALUES[lineup.cell.function](*leaves)
    gradients = torch.autograd.grad(value, leaves, first.gradient.double())
    subject.run(0)  # a call leaves nothing behind that changes the next
    found, found_gradients = subject.run(0)
    assert (found is None) == (form[0] == "backward")
    assert (found_gradients is None) == (form[0] == "forward")
    if found is not None:
        assert_near(found, value)
    if found_gradients is not None:
        for gradient, expected in zip(found_gradients, gradients, strict=True):
            assert_near(gradient, expected)


def assert_near(found: Any, expected: torch.Tensor) -> None:
    array = found.detach().numpy() if isinstance(found, torch.Tensor) else np.asarray(found)
    np.testing.assert_allclose(array, expected.detach().numpy(), rtol=ROOMY, atol=ROOMY)


@forms
@each
def test_relucid_and_eager(function: str, form: Form) -> None:
    lineup = lineup_of(function, Peer.EAGER)
    if form[1] == "out" and function not in LIST + RECTIFIERS:
        assert set(lineup.subjects(form)) == {"copy"}
        return
    for name in ("relucid", "eager"):
        assert_right(lineup, form, name)


@pytest.mark.parametrize("function", IN_PLACE)
def test_eager_writes_into_the_given_buffers_wholly(function: str) -> None:
    """Buffers begin as NaN, and what is returned is what was written."""
    run = lineup_of(function, Peer.EAGER).subjects(("both", "out"))["eager"].run
    (value, gradients), (again, gradients_again) = run(0), run(0)
    assert gradients is not None and gradients_again is not None
    assert value.data_ptr() == again.data_ptr()
    assert gradients[0].data_ptr() == gradients_again[0].data_ptr()


@each
def test_numpy(function: str) -> None:
    lineup = lineup_of(function, Peer.NUMPY)
    assert_right(lineup, ("forward", "fresh"), "numpy")
    assert "numpy" not in lineup.subjects(("both", "fresh"))


@each
def test_textbook_expressions_stay_in_float32(function: str) -> None:
    arguments = [x.numpy() for x in lineup_of(function).inputs[0].arguments]
    assert TEXTBOOK[function](*arguments).dtype == np.float32


@each
def test_jax(function: str) -> None:
    pytest.importorskip("jax")
    lineup = lineup_of(function, Peer.JAX)
    for form in (("forward", "fresh"), ("both", "fresh")):
        assert_right(lineup, form, "jax")


# Inductor (2.13) loads a module of PyTorch's own that uses what PyTorch deprecates.
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.*:DeprecationWarning")
def test_torch_compile() -> None:
    """One function suffices: the wrapping is the same for all, and compiling takes seconds."""
    with inductor():
        lineup = lineup_of("elu", Peer.COMPILE)
        for form in EVERY_FORM:
            assert_right(lineup, form, "compile")
            assert lineup.subjects(form)["compile"].compile_seconds is not None


def test_yardsticks() -> None:
    small = lineup_of("elu").subjects(("both", "out"))
    assert set(small) == {"relucid", "copy"}
    (x,) = lineup_of("elu").inputs[0].arguments
    assert torch.equal(small["copy"].run(0)[0], x)
    large = lineup_of("elu", size=FROM_MEMORY)
    assert set(large.subjects(("both", "out"))) == {"relucid", "copy", "relu"}
    assert set(large.subjects(("forward", "out"))) == {"relucid", "copy"}


def test_buffers_outlast_the_caches_where_they_are_to_come_from_memory() -> None:
    assert sets(FROM_MEMORY - 1, torch.float32, 1 << 30) == 1
    for cache in (1 << 20, 1 << 25, 1 << 29):
        count = sets(FROM_MEMORY, torch.float32, cache)
        assert count >= 2
        assert 4 * count * FROM_MEMORY * 4 >= 4 * cache  # two read, two written


def test_sets_differ_and_gradients_are_powers_of_two() -> None:
    first, second, *_ = make_inputs("swiglu", torch.bfloat16, FROM_MEMORY, 1 << 20)
    assert not torch.equal(first.arguments[0], second.arguments[0])
    assert not torch.equal(*first.arguments)
    assert set(first.gradient.abs().unique().tolist()) == {0.5, 1.0, 2.0}


@pytest.mark.parametrize(("size", "length"), [(1, 1), (1000, 8), (1001, 1), (65_536, VECTOR)])
def test_vectors_are_rows_of_equal_length(size: int, length: int) -> None:
    assert shape_of("softmax", size) == (size // length, length)
    assert shape_of("elu", size) == (size,)
