"""Kernels along an axis: truth, one answer for one vector, specials, gradients, layouts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from mpmath import mp, mpf
from torch import Tensor

from relucid import get
from relucid.errors import KernelError
from relucid.functions import Vector
from relucid.kernels.llvm.vector_run import SHORT
from relucid.kernels.vector import Recorder
from relucid.nn.fused_vector import FusedVector, vector
from support.ulp import ulps

NAMES = ("softmax", "log_softmax", "softmin")
LENGTHS = (1, 2, 7, 8, 15, 16, 17, 33, 64, 65, 130, 1000)
DTYPES = {
    torch.float64: 1e-14,
    torch.float32: 2e-7,
    torch.float16: 1.1e-3,
    torch.bfloat16: 9e-3,
}
"""Relative distance of neighbouring numbers, and a little more."""
INF, NAN = float("inf"), float("nan")

names = pytest.mark.parametrize("name", NAMES)
dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: str(dtype)[6:])


def fused(name: str, axis: int, *tensors: Tensor, which: str = "formula") -> Tensor:
    result = vector(get(name), which, axis, *tensors)
    assert result is not None, f"{name} was not compiled"
    return result


def bits(x: Tensor) -> bytes:
    return x.contiguous().view(torch.uint8).numpy().tobytes() if x.ndim else x.numpy().tobytes()


def scores(*shape: int, seed: int = 0, scale: float = 4.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator) * scale


def powers_in_float64(name: str, x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The shares of each row and the sum's logarithm beyond the largest, by NumPy."""
    z = x.double().numpy() * (-1.0 if name == "softmin" else 1.0)
    z = z - z.max(axis=-1, keepdims=True)
    powers = np.exp(z)
    others = np.sort(powers, axis=-1)[..., :-1].sum(axis=-1, keepdims=True)  # all but one 1
    return powers / (1.0 + others), z - np.log1p(others)


def truth(name: str, x: Tensor) -> np.ndarray:
    shares, logarithms = powers_in_float64(name, x)
    return logarithms if name == "log_softmax" else shares


def gradient(name: str, x: Tensor, g: Tensor) -> np.ndarray:
    """Jᵀ g by the textbook's Jacobian, written out."""
    shares, _ = powers_in_float64(name, x)
    slopes = g.double().numpy()
    if name == "log_softmax":
        return slopes - shares * slopes.sum(axis=-1, keepdims=True)
    weighted = shares * (slopes - (shares * slopes).sum(axis=-1, keepdims=True))
    return -weighted if name == "softmin" else weighted


@names
@pytest.mark.parametrize("length", LENGTHS)
def test_values_in_float32_are_within_2_units_in_the_last_place(name: str, length: int) -> None:
    spread = torch.logspace(-2, 1.5, 60)[:, None]
    x = scores(60, length, seed=length, scale=1.0) * spread
    for axis, given in ((1, x), (0, x.T.contiguous())):
        value = fused(name, axis, given)
        result = value if axis == 1 else value.T
        expected = truth(name, x)
        assert ulps(result, expected, 0.0, np.float32).max() <= 2.0


@names
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_entry_that_leads_by_far(name: str, dtype: Any) -> None:
    """The others decide the digits of log_softmax there; judged by mpmath."""
    row = np.array([0.5, 31.0, -2.25, 0.125] * 6, dtype)
    row[5::4] = 1.0
    with mp.workprec(200):
        sign = -1 if name == "softmin" else 1
        powers = [mp.exp(sign * mpf(float(v))) for v in row]
        exact = [p / sum(powers) for p in powers]
        exact = [mp.log(p) for p in exact] if name == "log_softmax" else exact
        high = np.array([float(v) for v in exact])
        low = np.array([float(v - h) for v, h in zip(exact, high.tolist(), strict=True)])
    bound = 2.0 if dtype == np.float32 else 4.0
    assert ulps(fused(name, 0, torch.from_numpy(row)), high, low, dtype).max() <= bound


@names
def test_long_sums_in_float64(name: str) -> None:
    """50,000 terms, whose plain sum is off by more: judged by a sum in 200 bits."""
    x = scores(50_257, seed=3, scale=1.0).double()
    with mp.workprec(200):
        sign = -1 if name == "softmin" else 1
        total = sum(mp.exp(sign * mpf(v)) for v in x.tolist())
        for i in range(0, 50_257, 997):
            power = mp.exp(sign * mpf(x[i].item()))
            exact = mp.log(power / total) if name == "log_softmax" else power / total
            high = float(exact)
            error = ulps(fused(name, 0, x)[i], high, float(exact - high), np.float64)
            assert error.max() <= 4.0


@names
@dtypes
@pytest.mark.parametrize("length", LENGTHS)
def test_values_and_gradients_in_every_dtype(name: str, dtype: Any, length: int) -> None:
    x, g = (scores(9, length, seed=length + s).to(dtype) for s in (0, 1))
    leaf = x.clone().requires_grad_()
    value = fused(name, -1, leaf)
    value.backward(g)
    assert leaf.grad is not None
    near = DTYPES[dtype]
    expected = truth(name, x)
    np.testing.assert_allclose(value.detach().double(), expected, rtol=2 * near, atol=near * 1e-4)
    # The gradient is a difference: its error is relative to what is subtracted.
    by_x = gradient(name, x, g)
    scale = np.abs(g.double().numpy()).max(axis=-1, keepdims=True)
    if name == "log_softmax":
        scale = scale + np.abs(g.double().numpy().sum(axis=-1, keepdims=True))
    assert (np.abs(leaf.grad.double().numpy() - by_x) <= 4 * near * scale).all()


@names
def test_gradients_in_float32_are_within_4_units_of_their_terms(name: str) -> None:
    """Judged as the derivatives of NUMERICS are, relative to the terms of the last difference."""
    x, g = scores(200, 100, seed=5), scores(200, 100, seed=6, scale=1.0)
    leaf = x.clone().requires_grad_()
    fused(name, -1, leaf).backward(g)
    assert leaf.grad is not None
    shares, _ = powers_in_float64(name, x)
    slopes = g.double().numpy()
    if name == "log_softmax":
        terms = np.abs(slopes) + shares * np.abs(slopes.sum(axis=-1, keepdims=True))
    else:
        mean = (shares * np.abs(slopes)).sum(axis=-1, keepdims=True)
        terms = shares * (np.abs(slopes) + mean)
    error = np.abs(leaf.grad.double().numpy() - gradient(name, x, g))
    assert (error <= 4 * 2.0**-24 * terms + 2.0**-149).all()


def arrangements(x: Tensor) -> Iterator[tuple[str, int, Tensor, Any]]:
    """The rows of x in other tensors: what, axis, tensor, and how to get the rows back."""
    rows, length = x.shape
    yield "columns", 0, x.T.contiguous(), lambda y: y.T
    yield "transposed", 0, x.T, lambda y: y.T
    wide = torch.cat([x, scores(rows, 3, seed=9)], dim=1)
    yield "rows with gaps", 1, wide[:, :length], lambda y: y
    yield "every other row", 1, x.repeat_interleave(2, 0)[::2], lambda y: y
    yield "every other element", 1, x.repeat_interleave(2, 1)[:, ::2], lambda y: y
    for inner in (2, 3, 8, 16, 21, 64):
        copies = x[:, :, None].expand(rows, length, inner).contiguous()
        copies[:, :, :-1] = scores(rows, length, inner - 1, seed=11)
        yield f"last of {inner} side by side", 1, copies, lambda y: y[:, :, -1]
    images = x.reshape(rows, length, 1, 1).expand(-1, -1, 2, 3)
    images = images.contiguous(memory_format=torch.channels_last)
    yield "channels_last", 1, images, lambda y: y[:, :, 1, 2]
    yield "blocks with gaps", 1, torch.stack([x, x + 1.0], -1)[:, :, :1], lambda y: y[:, :, 0]


@names
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("length", LENGTHS)
def test_one_vector_has_one_answer_in_every_layout(name: str, dtype: Any, length: int) -> None:
    x, g = (scores(5, length, seed=length + s).to(dtype) for s in (0, 1))
    for which in ("formula", "backward_product"):
        given = (x,) if which == "formula" else (x, g)
        alone = torch.cat([
            fused(name, 1, *(t[i : i + 1] for t in given), which=which) for i in range(5)
        ])  # fmt: skip
        assert bits(fused(name, 1, *given, which=which)) == bits(alone)
        layouts = zip(*(arrangements(t.float()) for t in given), strict=True)
        for several in layouts:
            what, axis, _, back = several[0]
            tensors = [_kept_order(t, dtype) for _, _, t, _ in several]
            result = back(fused(name, axis, *tensors, which=which))
            assert bits(result) == bits(alone), (what, which)


def _kept_order(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Convert a view of a larger tensor so that it stays one."""
    if x.is_contiguous() or x._base is None:
        return x.to(dtype)
    return x._base.to(dtype).as_strided(x.shape, x.stride(), x.storage_offset())


@names
def test_gradients_have_one_answer_in_every_layout(name: str) -> None:
    x, g = scores(5, 77), scores(5, 77, seed=1)

    def by_x(axis: int, value: Tensor, slopes: Tensor) -> Tensor:
        leaf = value.detach().requires_grad_()
        fused(name, axis, leaf).backward(slopes)
        assert leaf.grad is not None
        return leaf.grad

    expected = by_x(1, x, g)
    layouts = zip(arrangements(x), arrangements(g), strict=True)
    for (what, axis, value, back), (_, _, slopes, _) in layouts:
        assert bits(back(by_x(axis, value, slopes))) == bits(expected), what


@names
@pytest.mark.parametrize(("shape", "axis"), [((300, 500), 1), ((500, 300), 0), ((3, 64, 900), 1)])
def test_one_answer_with_any_number_of_threads(
    name: str, shape: tuple[int, ...], axis: int
) -> None:
    x, g = scores(*shape), scores(*shape, seed=1)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3, 7):
            torch.set_num_threads(threads)
            leaf = x.clone().requires_grad_()
            value = fused(name, axis, leaf)
            value.backward(g)
            assert leaf.grad is not None
            results.append((bits(value.detach()), bits(leaf.grad)))
    finally:
        torch.set_num_threads(before)
    assert len(set(results)) == 1


@pytest.mark.parametrize("length", [1, 5, 16, 40, 100])
@pytest.mark.parametrize("special", [INF, -INF, NAN])
@dtypes
def test_specials_are_those_of_pytorch(length: int, special: float, dtype: Any) -> None:
    """One special entry at every place, and vectors of nothing else, in both layouts."""
    x = scores(length + 2, length).to(dtype)
    x[torch.arange(length), torch.arange(length)] = special
    x[length] = special
    for name in ("softmax", "log_softmax"):
        expected = getattr(torch, name)(x.double(), 1)
        for value in (fused(name, 1, x), fused(name, 0, x.T.contiguous()).T):
            near = DTYPES[dtype]
            torch.testing.assert_close(
                value.double(), expected, rtol=2 * near, atol=near / 10, equal_nan=True
            )


def test_nan_with_any_payload_and_sign() -> None:
    patterns = torch.tensor([0x7FC00001, -0x400000, 0x7F800001, -1], dtype=torch.int32)
    for pattern in patterns:
        x = scores(2, 40)
        x[0, 17] = pattern.view(torch.float32)
        for name in NAMES:
            value = fused(name, 1, x)
            assert value[0].isnan().all()
            assert value[1].isfinite().all()


def test_zeros_of_both_signs() -> None:
    x = torch.tensor([[-0.0, -0.0], [-0.0, 0.0], [0.0, -0.0]])
    for value in (fused("log_softmax", 1, x), fused("log_softmax", 0, x.T.contiguous()).T):
        assert bits(value) == bits(torch.log_softmax(x.double(), 1).float())
    assert bits(fused("log_softmax", 0, torch.tensor([-0.0]))) == bits(torch.tensor([0.0]))


@names
@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (3, 0), (2, 0, 4)])
def test_nothing_and_numbers(name: str, shape: tuple[int, ...]) -> None:
    x = scores(*shape)
    leaf = x.clone().requires_grad_()
    value = fused(name, 0, leaf)
    value.backward(torch.ones(shape))
    assert value.shape == shape
    if not shape:
        assert value.item() == (0.0 if name == "log_softmax" else 1.0)
    assert leaf.grad is not None
    assert not leaf.grad.any()


@names
def test_far_apart_scores(name: str) -> None:
    """Differences at which exp underflows, overflows, and is subnormal."""
    x = torch.tensor(
        [[0.0, -87.5, -103.0, -104.5, -1e30, -3e38], [2e38, 1e38, 0.0, -1e38, 1.0, 2.0]]
    )
    value = fused(name, 1, x)
    expected = truth(name, x)
    assert value.isfinite().all()
    np.testing.assert_allclose(value, expected, rtol=2e-7, atol=2.0**-149)


@names
@pytest.mark.parametrize("axis", range(4))
def test_memory_order_is_kept(name: str, axis: int) -> None:
    x = scores(4, 6, 5, 7).to(memory_format=torch.channels_last)
    leaf = x.clone().requires_grad_()
    value = fused(name, axis, leaf)
    assert value.stride() == x.stride()
    value.backward(torch.ones(4, 6, 5, 7))
    assert leaf.grad is not None
    assert leaf.grad.stride() == x.stride()
    assert bits(value.detach()) == bits(fused(name, axis, x.contiguous()))


@names
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_gradcheck(name: str, axis: int) -> None:
    x = scores(3, 4, 5).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda t: fused(name, axis, t), x)
    assert torch.autograd.gradgradcheck(lambda t: fused(name, axis, t), x)


@names
def test_second_gradients_in_float32(name: str) -> None:
    x = scores(4, 33)

    def twice(function: Any, leaf: Tensor) -> Tensor:
        (first,) = torch.autograd.grad(function(leaf)[:, 3].sum(), leaf, create_graph=True)
        (second,) = torch.autograd.grad(first[:, 5].sum(), leaf)
        return second

    own = twice(lambda t: fused(name, 1, t), x.clone().requires_grad_())
    plain = {
        "softmax": lambda t: t.softmax(1),
        "log_softmax": lambda t: t.log_softmax(1),
        "softmin": lambda t: (-t).softmax(1),
    }[name]
    expected = twice(plain, x.double().requires_grad_())
    torch.testing.assert_close(own.double(), expected, rtol=1e-5, atol=1e-6)


@names
@pytest.mark.parametrize("which", ["forward_product", "backward_product"])
def test_products_with_the_jacobian(name: str, which: str) -> None:
    x, v = scores(6, 50), scores(6, 50, seed=1)
    expected = get(name)._apply(which, 1, x.double().numpy(), v.double().numpy())
    np.testing.assert_allclose(fused(name, 1, x, v, which=which), expected, rtol=2e-6, atol=1e-6)
    assert vector(get(name), which, 1, x.requires_grad_(), v) is None  # autograd has to see it
    assert vector(get(name), which, 1, x.detach(), v.double()) is None


def test_what_is_saved() -> None:
    """Softmax keeps its output; log_softmax its input and three numbers a vector."""

    def saved(name: str, dtype: torch.dtype) -> list[int]:
        sizes: list[int] = []
        x = scores(10, 600).to(dtype).requires_grad_()

        def pack(t: Tensor) -> Tensor:
            sizes.append(t.nbytes)
            return t

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            value = fused(name, 1, x)
        pointers = {t.data_ptr() for t in (x, value)}
        assert len(pointers) == 2
        return sizes

    assert saved("softmax", torch.float32) == [10 * 600 * 4]
    assert saved("log_softmax", torch.float32) == [10 * 600 * 4, 3 * 10 * 8]
    assert saved("softmax", torch.bfloat16) == [10 * 600 * 2, 2 * 10 * 8]


def test_what_cannot_be_compiled_is_found_once() -> None:
    for name in ("hardmax", "maxout"):
        assert vector(get(name), "formula", 0, scores(4)) is None
        assert any(fused is None for fused in get(name).prepared.values())
    with pytest.raises(KernelError, match="cumsum"):
        FusedVector(get("hardmax"), torch.float32, 32)
    with pytest.raises(KernelError, match="ndim"):
        FusedVector(get("maxout"), torch.float32, 32)


def test_a_declaration_of_ones_own() -> None:
    """A quotient by a shared number has the specials of a division, whatever its size."""
    base = get("softmax")
    assert isinstance(base, Vector)

    def share(m: Any, x: Any, axis: int) -> Any:
        return x / m.sum(m.abs(x), axis)

    def product(m: Any, x: Any, v: Any, axis: int) -> Any:
        return v * m.sum(x, axis)

    own = replace(
        base, name="share", formula=share, forward_product=product, backward_product=product
    )
    x = torch.tensor([
        [0.0, 0.0, -0.0], [INF, 1.0, 2.0], [1e-45, 1e-44, 3e-45], [1e38, 2e38, 1e37],
        [NAN, 1.0, 2.0], [1e-38, 0.0, 1e-20], [3.0, -4.0, 5.0],
    ])  # fmt: skip
    expected = x.double() / x.double().abs().sum(1, keepdim=True)
    value = vector(own, "formula", 1, x)
    assert value is not None
    torch.testing.assert_close(value, expected.float(), rtol=2.4e-7, atol=1e-44, equal_nan=True)


@names
def test_float32_in_64_bits_is_correctly_rounded(name: str) -> None:
    x = scores(50, 100, seed=8)
    value = vector(get(name), "formula", 1, x, bits=64)
    assert value is not None
    assert ulps(value, truth(name, x), 0.0, np.float32).max() <= 0.500001


def test_stages_of_softmax() -> None:
    """The largest, the sum of the exponentials, the quotients; the exponentials are kept."""
    loop = Recorder(get("softmax"), "float32", 32).product("formula", ("x",))
    assert [[total.how for total in stage] for stage in loop.stages] == [["max"], ["sum"], []]
    assert loop.kept is not None and loop.kept[0] == 1
    half = Recorder(get("softmax"), "bfloat16", 32).product("formula", ("x",))
    assert half.kept is None, "the output holds too few digits"


def test_short_vectors_have_kernels_of_their_own() -> None:
    made = FusedVector(get("softmax"), torch.float32, 32)
    for length in (3, 20, 40, 200):
        made.product("formula", 1, scores(20, length))
    assert len({registers for _, _, registers in made._kernels}) == len({*SHORT, 0})
