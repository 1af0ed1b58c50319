"""Results where the caller asks for them: ``out=``, ``vjp``, and what is refused untouched."""

import numpy as np
import pytest
import torch

import relucid
from relucid import nn as rnn
from relucid.errors import DtypeError, ParameterError, RelucidError, ShapeError
from support.cases import ELEMENTWISE
from support.fast import fast
from support.kernels import same_bits
from support.modules import by_case

SILU = relucid.get("silu")
ARANGE = torch.linspace(-4.0, 4.0, 60)


def outs(x):
    """Memory for a result of the shape of x, laid out in many ways, and filled with 7."""
    wide = torch.full((*x.shape[:-1], 3 * x.shape[-1] + 1), 7.0)
    return {
        "fresh": torch.full_like(x, 7.0),
        "strided": wide[..., 1 : 3 * x.shape[-1] : 3],
        "transposed": torch.full(x.shape[::-1], 7.0).permute(*range(x.ndim)[::-1]),
        "offset": torch.full((x.numel() + 3,), 7.0)[3:].view(x.shape),
        "of a leaf": torch.full_like(x, 7.0).requires_grad_(),
    }


@pytest.mark.parametrize("shape", [(60,), (5, 12), (3, 4, 5)])
@pytest.mark.parametrize("place", ["fresh", "strided", "transposed", "offset", "of a leaf"])
@pytest.mark.parametrize("turned", [False, True])
def test_the_result_lands_in_out_which_is_returned(shape, place, turned):
    x = ARANGE.reshape(shape[::-1]).permute(*range(len(shape))[::-1]) if turned else (
        ARANGE.reshape(shape)
    )  # fmt: skip
    g = torch.randn(shape)
    with torch.no_grad():
        for call, expected in (
            (lambda out: SILU(x, out=out), SILU(x)),
            (lambda out: SILU.vjp(x, g, out=out), SILU.vjp(x, g)),
        ):
            out = outs(x)[place]
            assert call(out) is out
            assert same_bits(out, expected)
            assert out.grad_fn is None


@by_case([case for case in ELEMENTWISE if not case.parameters])
def test_a_product_with_the_derivative_is_right(case):
    x = torch.linspace(-6.0, 6.0, 501, dtype=torch.float64) + 0.0123
    g = torch.linspace(-2.0, 1.0, 501, dtype=torch.float64)
    expected = g * torch.tensor(fast(case, "derivative", x.numpy()))
    torch.testing.assert_close(case.activation.vjp(x, g), expected, rtol=1e-11, atol=1e-13)
    torch.testing.assert_close(
        case.activation.vjp(x.float(), g.float()).double(), expected, rtol=2e-5, atol=1e-6
    )
    on_numpy = case.activation.vjp(x.numpy(), g.numpy())
    np.testing.assert_allclose(on_numpy, expected.numpy(), rtol=1e-11, atol=1e-13)


REFUSED = {
    "shape": (lambda: torch.full((2, 3), 7.0), ShapeError, r"\(2, 3\)"),
    "a shape that would broadcast": (lambda: torch.full((1, 60), 7.0), ShapeError, "shape"),
    "dtype": (lambda: torch.full((60,), 7.0, dtype=torch.float64), DtypeError, "float64"),
    "integers": (lambda: torch.full((60,), 7), DtypeError, "int64"),
    "device": (lambda: torch.empty(60, device="meta"), DtypeError, "meta"),
    "type": (lambda: np.full(60, 7.0, np.float32), ParameterError, "ndarray"),
    "a list": (lambda: [7.0] * 60, ParameterError, "list"),
    "gradients": (lambda: torch.full((60,), 7.0, requires_grad=True), ParameterError, "gradient"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_an_out_that_does_not_fit_is_refused_and_not_written(what):
    make, error, text = REFUSED[what]
    for call in (
        lambda out: SILU(ARANGE, out=out),
        lambda out: SILU.vjp(ARANGE, ARANGE, out=out),
        lambda out: SILU(ARANGE, out=out, beta=0.5),
    ):
        out = make()
        with pytest.raises(error, match=text):
            call(out)
        if what != "device":
            untouched = torch.as_tensor(out).detach() == 7.0
            assert untouched.all()


def test_an_input_that_is_followed_is_refused_with_out():
    x = ARANGE.clone().requires_grad_()
    out = torch.zeros(60)
    for call in (
        lambda: SILU(x, out=out),
        lambda: SILU.vjp(ARANGE, x, out=out),
        lambda: relucid.get("elu", alpha=torch.ones((), requires_grad=True))(ARANGE, out=out),
    ):
        with pytest.raises(ParameterError, match="no_grad"):
            call()
    assert not out.any()


@pytest.mark.parametrize(
    ("g", "error"),
    [
        (torch.ones(59), ShapeError),
        (torch.ones(1), ShapeError),
        (torch.ones(60, dtype=torch.float64), DtypeError),
        (torch.ones(60, device="meta"), DtypeError),
        (1.0, ParameterError),
        (np.ones(60, np.float32), RelucidError),
    ],
    ids=["short", "one", "dtype", "device", "number", "array"],
)
def test_a_gradient_that_does_not_fit_is_refused(g, error):
    with pytest.raises(error):
        SILU.vjp(ARANGE, g)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_products_of_what_has_no_derivative_are_refused(dtype):
    x = torch.ones(3).to(dtype)
    with pytest.raises(DtypeError):
        relucid.get("relu").vjp(x, x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_a_function_that_promotes_integers_writes_floats_only(dtype):
    out = torch.full((3,), 7).to(dtype)
    if dtype == torch.float32:
        assert relucid.get("tanh")(torch.arange(3), out=out) is out
        assert torch.equal(out, relucid.get("tanh")(torch.arange(3).float()))
    else:
        with pytest.raises(DtypeError):
            relucid.get("tanh")(torch.arange(3), out=out)
        assert out.tolist() == [7, 7, 7]


OVERLAPS = {
    "itself": lambda a: (a, a),
    "shifted up": lambda a: (a[:-1], a[1:]),
    "shifted down": lambda a: (a[1:], a[:-1]),
    "far": lambda a: (a[:-40], a[40:]),
    "reversed rows": lambda a: (a[:6400].view(80, 80), a[:6400].view(80, 80).t()),
    "interleaved": lambda a: (a[:9000:2], a[1:9000:2]),
    "arrays of one buffer": lambda a: tuple(
        torch.from_numpy(part) for part in (a.numpy()[:-1], a.numpy()[1:])
    ),
    "arrays of one buffer, down": lambda a: tuple(
        torch.from_numpy(part) for part in (a.numpy()[3:], a.numpy()[:-3])
    ),
}


@pytest.mark.parametrize("how", OVERLAPS)
def test_an_out_that_overlaps_the_input_has_the_values_of_the_input_as_it_was(how):
    x, out = OVERLAPS[how](torch.linspace(-4.0, 4.0, 9001))
    expected = SILU(x.clone())
    SILU(x, out=out)
    assert same_bits(out, expected)
    x, out = OVERLAPS[how](torch.linspace(-4.0, 4.0, 9001))
    fixed = torch.randn(x.shape)
    expected = SILU.vjp(x.clone(), fixed)
    SILU.vjp(x, fixed, out=out)
    assert same_bits(out, expected)
    g, out = OVERLAPS[how](torch.linspace(-4.0, 4.0, 9001))
    expected = SILU.vjp(fixed, g.clone())
    SILU.vjp(fixed, g, out=out)
    assert same_bits(out, expected)


def test_an_out_whose_elements_share_memory_is_refused():
    out = torch.zeros(1).expand(60)
    with pytest.raises(RuntimeError, match="single memory location"):
        SILU(ARANGE, out=out)
    assert not out.any()


def test_views_that_negate_are_read_and_written_as_such():
    # The imaginary part of a conjugate is stored with the other sign.
    number = torch.tensor(1.0 + 2.0j)
    identity, one = relucid.get("identity"), torch.tensor(1.0)
    negated = number.conj().imag
    assert identity(negated).item() == -2.0
    assert identity.vjp(one, negated).item() == -2.0
    identity(torch.tensor(5.0), out=negated)
    assert (negated.item(), number.item()) == (5.0, 1.0 - 5.0j)


@pytest.mark.parametrize("write", ["out", "vjp", "inplace"])
def test_a_written_tensor_counts_as_modified(write):
    x, weight = torch.randn(5), torch.ones(5, requires_grad=True)
    product = weight * x  # keeps x for backward
    if write == "out":
        SILU(torch.randn(5), out=x)
    elif write == "vjp":
        SILU.vjp(torch.randn(5), torch.randn(5), out=x)
    else:
        rnn.SiLU(inplace=True)(x)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.sum().backward()


def test_numpy_arrays_are_written_into_arrays():
    x, g = ARANGE.double().numpy(), np.linspace(0.0, 1.0, 60)
    out = np.full(60, 7.0)
    assert SILU(x, out=out) is out
    np.testing.assert_array_equal(out, SILU(x))
    assert SILU.vjp(x, g, out=out) is out
    np.testing.assert_array_equal(out, SILU.vjp(x, g))
    wide = np.full((60, 2), 7.0)
    SILU(x, out=wide[:, 1])
    np.testing.assert_array_equal(wide, np.stack([np.full(60, 7.0), SILU(x)], axis=1))
    SILU(wide[1:, 1], out=wide[:-1, 1])  # overlaps
    np.testing.assert_array_equal(wide[:-1, 1], SILU(SILU(x)[1:]))


@pytest.mark.parametrize(
    ("out", "error"),
    [
        (np.full(59, 7.0), ShapeError),
        (np.full((1, 60), 7.0), ShapeError),
        (np.full(60, 7.0, np.float32), DtypeError),
        (torch.full((60,), 7.0, dtype=torch.float64), ParameterError),
    ],
    ids=["short", "broadcast", "dtype", "tensor"],
)
def test_an_out_that_does_not_fit_a_numpy_input_is_refused(out, error):
    x = ARANGE.double().numpy()
    for call in (lambda: SILU(x, out=out), lambda: SILU.vjp(x, x, out=out)):
        with pytest.raises(error, match="silu: out="):
            call()
    assert (out == 7.0).all()
