"""Learned parameters in kernels: shared and one a channel, in any layout, summed in one order."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import relucid
from relucid import nn as rnn
from relucid.kernels.contract import BLOCK, ROW
from relucid.kernels.llvm import run
from support import fresh
from support.kernels import DTYPES, same_bits, threads

# Fewer channels than a register holds numbers, as many, and more; and none divides ROW evenly.
CHANNELS = (1, 3, 16, 37)
LAYOUTS = {
    "(N, C)": lambda c: torch.randn(35, c),
    "(N, C) by columns": lambda c: torch.randn(c, 35).t(),
    "(N, C, L)": lambda c: torch.randn(5, c, 19),
    "(N, C, L) by places": lambda c: torch.randn(5, 19, c).transpose(1, 2),
    "(N, C, H, W)": lambda c: torch.randn(3, c, 5, 7),
    "channels_last": lambda c: torch.randn(3, c, 5, 7).to(memory_format=torch.channels_last),
    "batch inside": lambda c: torch.randn(c, 4, 9).transpose(0, 1),
    "sliced": lambda c: torch.randn(6, 2 * c, 9)[::2, 1::2, :-2],
    "expanded": lambda c: torch.randn(1, c, 1).expand(4, c, 6),
    "(N, C, 1)": lambda c: torch.randn(9, c, 1),
    "(1, C, L)": lambda c: torch.randn(1, c, 300),
}
ALONE = [relucid.get("elu", alpha=alpha) for alpha in (0.5, 0.75, 1.0)]
EACH = pytest.mark.parametrize("layout", LAYOUTS)
COUNTS = pytest.mark.parametrize("channels", CHANNELS)


@pytest.fixture(autouse=True)
def kernels():
    """A call that no kernel serves is an error here."""
    torch.manual_seed(3)
    with relucid.route("llvm"), threads(1):
        yield


def elu(parameters, dtype=torch.float32):
    """ELU with a learned alpha for each channel, or one for all."""
    module = rnn.make("elu", learn="alpha", num_parameters=parameters, dtype=dtype)
    with torch.no_grad():
        module.alpha.uniform_(0.5, 2.0)
    return module


def graded(module, x, g):
    """Value, gradient by x, and gradients by parameters."""
    leaf = x.detach().requires_grad_()
    y = module(leaf)
    return y.detach(), *torch.autograd.grad(y, [leaf, *module.parameters()], g)


def exact(module, x, g):
    """The same by plain operations in float64."""
    wide = rnn.make("elu", learn="alpha", num_parameters=module.num_parameters)
    wide.load_state_dict(module.state_dict())
    with relucid.route("plain"):
        return graded(wide.double(), x.double(), g.double())


@EACH
@COUNTS
@pytest.mark.parametrize("shared", [True, False])
def test_values_and_gradients_agree_with_plain_float64(layout, channels, shared):
    x = LAYOUTS[layout](channels)
    g, module = torch.randn_like(x), elu(1 if shared else channels)
    value, by_x, by_alpha = graded(module, x, g)
    assert module.route == "llvm"
    expected = exact(module, x, g)
    for ours, theirs in zip((value, by_x), expected, strict=False):
        torch.testing.assert_close(ours.double(), theirs, rtol=5e-7, atol=1e-37)
    # Summed in float64 and rounded once; each term has the error of its expm1.
    terms = (g.double() * torch.expm1(x.double().clamp(max=0.0))).abs()
    scale = terms.sum() if shared else terms.sum(dim=[d for d in range(x.ndim) if d != 1])
    assert ((by_alpha.double() - expected[2]).abs() <= 3e-7 * scale).all()


@EACH
@COUNTS
def test_an_element_has_the_bits_that_its_parameter_alone_gives_it(layout, channels):
    x, module = LAYOUTS[layout](channels), elu(channels)
    with torch.no_grad():
        module.alpha.copy_(torch.arange(channels) % len(ALONE) / 4 + 0.5)
    y = module(x)
    for channel in range(channels):
        assert same_bits(y[:, channel], ALONE[channel % len(ALONE)](x[:, channel]))


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
@pytest.mark.parametrize("parameters", [1, 5])
@pytest.mark.parametrize("last", [False, True])
def test_threads_and_repeats_change_no_bit(dtype, parameters, last, monkeypatch):
    monkeypatch.setattr(run, "GRAIN", ROW // 4)
    x = torch.randn(23, 5, 20, 11).to(dtype)
    x = x.to(memory_format=torch.channels_last) if last else x
    g, module = torch.randn(x.shape).to(dtype), elu(parameters)
    first = graded(module, x, g)
    for count in (1, 2, 3, 2):
        with threads(count):
            again = graded(module, x, g)
        assert all(map(same_bits, again, first))


def test_sums_are_float64_before_they_are_rounded():
    # Added one by one in float32, 2**24 ones and more ones stay 2**24.
    x = torch.full((1 << 21, 9), -1.0)
    module = rnn.PReLU(9)
    _, _, by_weight = graded(module, x, torch.full_like(x, 9.0 + 2.0**-20))
    assert by_weight.tolist() == [-(9.0 + 2.0**-20) * (1 << 21)] * 9


@pytest.mark.parametrize("rows", [1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 3])
def test_blocks_of_rows_that_are_not_full(rows):
    x = -torch.arange(1.0, rows * 3 + 1).reshape(rows, 3)
    _, _, by_weight = graded(rnn.PReLU(3), x, torch.ones_like(x))
    assert by_weight.tolist() == x.sum(0).tolist()


def test_several_parameters_each_get_their_gradient():
    module = rnn.make("rrelu", learn=("lower", "upper"), num_parameters=3).eval()
    x = torch.tensor([[-2.0, -3.0, 4.0], [-1.0, 5.0, -6.0]])
    module(x).sum().backward()
    assert module.lower.grad.tolist() == module.upper.grad.tolist() == [-1.5, -1.5, -3.0]


@pytest.mark.parametrize("shape", [(0, 3), (2, 3, 0), (0, 3, 4, 5), (2, 3, 0, 5)])
@pytest.mark.parametrize("parameters", [1, 3])
def test_nothing_gives_zero_gradients(shape, parameters):
    value, by_x, by_alpha = graded(elu(parameters), torch.ones(shape), torch.ones(shape))
    assert value.shape == by_x.shape == shape
    assert by_alpha.tolist() == [0.0] * parameters


def test_no_channels_at_all_do_not_end_the_process():
    program = (
        "import torch, relucid; x = torch.ones(2, 0, requires_grad=True);"
        "y = relucid.get('elu', alpha=torch.ones(0, requires_grad=True))(x); y.sum().backward();"
        "print(tuple(y.shape), tuple(x.grad.shape))"
    )
    ended = fresh.run(program)
    assert (ended.returncode, ended.stdout) == (0, "(2, 0) (2, 0)\n")


@pytest.mark.parametrize("by_x", [False, True])
@pytest.mark.parametrize("by_parameter", [False, True])
def test_gradients_go_where_they_are_asked_for(by_x, by_parameter):
    module, x = elu(3), torch.randn(4, 3, requires_grad=by_x)
    module.alpha.requires_grad_(by_parameter)
    y = module(x)
    assert y.requires_grad == (by_x or by_parameter)
    if y.requires_grad:
        y.sum().backward()
    assert (x.grad is not None) == by_x
    assert (module.alpha.grad is not None) == by_parameter


@pytest.mark.parametrize("parameters", [1, 4])
@pytest.mark.parametrize("shape", [(3, 4), (2, 4, 3)])
def test_kernels_pass_finite_differences_of_both_orders(parameters, shape):
    x = torch.linspace(-2.1, 1.9, 24, dtype=torch.float64)[: 3 * 4 if len(shape) == 2 else 24]
    x, module = x.reshape(shape).requires_grad_(), elu(parameters, torch.float64)

    def function(x, alpha):
        return torch.func.functional_call(module, {"alpha": alpha}, (x,))

    alpha = module.alpha.detach().clone().requires_grad_()
    assert gradcheck(function, (x, alpha))
    assert gradgradcheck(function, (x, alpha))


def test_a_nan_spoils_the_sum_of_its_channel_only():
    x = torch.randn(40, 3, 50)
    x[7, 1, 9] = torch.nan
    _, by_x, by_alpha = graded(elu(3), x, torch.ones_like(x))
    assert by_alpha.isnan().tolist() == [False, True, False]
    assert by_x.isnan().nonzero().tolist() == [[7, 1, 9]]


def test_parameters_of_another_dtype_are_used_with_all_their_digits_and_keep_it():
    x = torch.full((1000,), -1.0)
    for dtype in DTYPES.values():
        module = elu(1, dtype)
        value, _, by_alpha = graded(module, x, torch.ones_like(x))
        assert by_alpha.dtype == dtype
        expected = module.alpha.double() * torch.expm1(torch.tensor(-1.0, dtype=torch.float64))
        torch.testing.assert_close(value[:1].double(), expected, rtol=3e-7, atol=0.0)
