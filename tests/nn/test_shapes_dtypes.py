"""Shapes, layouts and element types: what PyTorch's own functions take and keep."""

import math

import pytest
import torch
from torch import nn

from relucid import nn as rnn
from relucid.errors import DtypeError, ShapeError
from support.cases import CASES, ELEMENTWISE
from support.modules import by_case, module_of

ALL = by_case(CASES)
EACH = by_case(ELEMENTWISE)
NAN_LANES = 67  # more than two vectors of any width, and a tail


def graded(module, x):
    """Value and gradient of the sum."""
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    y = module(x)
    return y.detach(), torch.autograd.grad(y.sum(), x)[0]


@EACH
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (2, 3, 4, 5)])
def test_any_shape_is_kept_with_its_gradient(case, shape):
    value, gradient = graded(module_of(case).eval(), torch.randn(shape))
    assert value.shape == gradient.shape == shape


@ALL
def test_layouts_give_the_values_of_a_plain_copy(case):
    module, x = module_of(case).eval(), torch.randn(6, 12, 12)
    for view in (x.transpose(1, 2), x[::2, :, :], x.flip(0), x[:1].expand(5, 12, 12)):
        plain = view.contiguous()
        assert torch.equal(module(view), module(plain))
        value, gradient = graded(module, view)
        assert torch.equal(gradient, graded(module, plain)[1])
        assert torch.equal(value, module(plain))


@ALL
def test_a_view_that_requires_grad_passes_its_gradient_on(case):
    leaf = torch.randn(4, 24, requires_grad=True)
    module = module_of(case).eval()
    module(leaf[:, ::2]).sum().backward()
    _, expected = graded(module, leaf[:, ::2])
    assert torch.equal(leaf.grad[:, ::2], expected)
    assert not leaf.grad[:, 1::2].any()


@EACH
def test_channels_last_is_kept(case):
    x = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    for tensor in graded(module_of(case).eval(), x):
        assert tensor.is_contiguous(memory_format=torch.channels_last)


@ALL
def test_meta_tensors_give_the_real_shape_and_dtype(case):
    module = module_of(case).eval()
    real, meta = module(torch.randn(2, 12)), module(torch.empty(2, 12, device="meta"))
    assert (meta.shape, meta.dtype, meta.device.type) == (real.shape, real.dtype, "meta")


@ALL
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtypes_are_kept_and_16_bit_rounds_once(case, dtype):
    module, x = module_of(case).eval(), torch.randn(3, 12).to(dtype)
    value, gradient = graded(module, x)
    assert value.dtype == gradient.dtype == dtype
    if dtype != torch.float64:
        exact = module(x.double())
        limits = torch.finfo(dtype)
        scale = (2.0 ** torch.frexp(exact)[1].sub(1).double()).clamp(min=limits.tiny)
        assert ((value.double() - exact).abs() <= 0.5001 * limits.eps * scale).all()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (rnn.ReLU(), nn.ReLU()),
        (rnn.ReLU6(), nn.ReLU6()),
        (rnn.Hardtanh(-2.0, 3.0), nn.Hardtanh(-2.0, 3.0)),
        (rnn.Threshold(1.0, 7.0), nn.Threshold(1.0, 7.0)),
        (rnn.ReLU(inplace=True), nn.ReLU(inplace=True)),
    ],
    ids=repr,
)
@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int32, torch.int64])
def test_integers_are_taken_where_torch_takes_them(ours, theirs, dtype):
    x = torch.arange(-9, 10).to(dtype)
    assert ours(x.clone()).dtype == dtype
    assert torch.equal(ours(x.clone()), theirs(x.clone()))


@EACH
@pytest.mark.parametrize(
    "dtype", [torch.complex64, torch.bool, torch.float8_e4m3fn, torch.float8_e5m2]
)
def test_what_the_function_is_not_defined_on_is_refused_by_name(case, dtype):
    with pytest.raises(DtypeError, match=str(dtype).removeprefix("torch.")):
        module_of(case)(torch.zeros(3).to(dtype))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (rnn.Sigmoid(), nn.Sigmoid()),
        (rnn.Tanh(), nn.Tanh()),
        (rnn.Softsign(), nn.Softsign()),
        (rnn.Tanhshrink(), nn.Tanhshrink()),
        (rnn.Arctan(), torch.atan),
    ],
    ids=lambda v: type(v).__name__,
)
@pytest.mark.parametrize("dtype", [torch.int8, torch.int32, torch.int64, torch.uint8])
def test_integers_are_promoted_where_torch_promotes_them(ours, theirs, dtype):
    x = torch.arange(-3, 4).to(dtype) if dtype.is_signed else torch.arange(7).to(dtype)
    torch.testing.assert_close(ours(x), theirs(x))
    assert ours(x).dtype == theirs(x).dtype == torch.float32


def test_promoted_integers_are_not_written_in_place():
    with pytest.raises(DtypeError, match="leave out inplace"):
        rnn.Tanh(inplace=True)(torch.arange(3))


@by_case([case for case in CASES if getattr(case.activation, "integers", "refused") == "refused"])
def test_integers_are_refused_elsewhere(case):
    with pytest.raises(DtypeError, match="int64"):
        module_of(case)(torch.zeros(2, 12, dtype=torch.int64))


@EACH
def test_nan_comes_out_of_every_lane_as_value_and_gradient(case):
    module, x = module_of(case).eval(), torch.linspace(-3, 3, NAN_LANES)
    for lane in range(NAN_LANES):
        poisoned = x.clone()
        poisoned[lane] = math.nan
        for tensor in graded(module, poisoned):
            assert torch.isnan(tensor).nonzero().tolist() == [[lane]]


@EACH
def test_infinities_give_the_declared_limits(case):
    value, gradient = graded(module_of(case).eval(), torch.tensor([-math.inf, math.inf]))
    assert torch.equal(value, torch.tensor(case.activation.limits))
    assert torch.equal(gradient, torch.tensor(case.activation.derivative_limits))


def test_relu_treats_negative_zero_as_torch_does():
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        x = torch.tensor([-0.0, 0.0, -1.0], dtype=dtype)
        assert torch.equal(rnn.ReLU()(x).signbit(), torch.relu(x).signbit())


def test_softmax_without_an_axis_says_what_to_do():
    with pytest.raises(ShapeError, match="dim=-1"):
        rnn.Softmax()(torch.zeros(2, 3))


@pytest.mark.parametrize(
    ("module", "shape", "text"),
    [
        (rnn.Softmax(dim=2), (2, 3), "axis 2 does not exist"),
        (rnn.GLU(), (2, 3), "length 3 is odd"),
        (rnn.GLU(dim=1), (4,), "axis 1 does not exist"),
        (rnn.GLU(), (), "axis -1 does not exist"),
        (rnn.Maxout(3, dim=1), (2, 4), "no multiple of 3"),
    ],
    ids=repr,
)
def test_an_axis_that_does_not_fit_is_refused(module, shape, text):
    with pytest.raises(ShapeError, match=text):
        module(torch.zeros(shape))


@pytest.mark.parametrize("name", ["Softmax", "LogSoftmax", "Softmin", "GLU"])
@pytest.mark.parametrize("dim", [0, 1, -1, -2])
def test_functions_along_an_axis_are_torchs_on_every_axis(name, dim):
    x = torch.randn(4, 6, 2)
    ours, theirs = getattr(rnn, name)(dim=dim), getattr(nn, name)(dim=dim)
    torch.testing.assert_close(ours(x), theirs(x))


def test_a_gate_can_be_given_as_a_second_tensor():
    value, gate = torch.randn(2, 3), torch.randn(2, 3)
    packed = rnn.SwiGLU()(torch.cat([value, gate], dim=-1))
    assert torch.equal(rnn.SwiGLU()(value, gate), packed)
    torch.testing.assert_close(packed, value * nn.functional.silu(gate))


def test_maxout_takes_the_largest_of_neighbours():
    x = torch.tensor([[1.0, 3.0, -2.0, -5.0]])
    assert rnn.Maxout()(x).tolist() == [[3.0, -2.0]]
    assert rnn.Maxout(4)(x).tolist() == [[3.0]]
