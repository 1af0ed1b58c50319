"""One x, one answer: the bits of a result depend on x alone.

Not on the tensor's length, the place in it, alignment, layout, neighbours, threads, nor on
whether the result is fresh, written to ``out``, or written in place.
"""

import pytest
import torch

import relucid
from relucid.kernels.contract import ROW
from relucid.kernels.llvm import run
from support.cases import ELEMENTWISE
from support.kernels import DTYPES, numbers, same_bits, threads
from support.modules import by_case, module_of

EACH = by_case(ELEMENTWISE)
TYPES = pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
# Other parameters make no other loads and stores: in float32 they are enough.
FAMILIES = pytest.mark.parametrize(
    ("case", "dtype"),
    [
        pytest.param(case, dtype, id=f"{case.id}-{name}")
        for case in ELEMENTWISE
        for name, dtype in DTYPES.items()
        if name == "float32" or not case.parameters
    ],
)
SIZE = ROW + 81
LENGTHS = (*range(201), ROW - 1, ROW, ROW + 1)
OFFSETS = (*range(1, 17), 31, 33)
# Made once, since each instance traces its formula anew.
MODULES = {case.id: module_of(case).eval() for case in ELEMENTWISE}
FUNCTIONS = {case.id: case.activation for case in ELEMENTWISE}


@pytest.fixture(autouse=True)
def kernels():
    """A call that no kernel serves is an error here."""
    with relucid.route("llvm"), threads(1):
        yield


@pytest.fixture
def whole(case, dtype):
    """A function's x, g, value and gradient on one long tensor."""
    x, g = numbers(case, dtype, SIZE), weights(SIZE, dtype)
    return x, g, *both(MODULES[case.id], x, g)


def weights(size, dtype):
    """Gradients from above."""
    return torch.linspace(-2.0, 3.0, size, dtype=torch.float64).to(dtype)


def both(function, x, g):
    """Value and gradient, where x and g lie as they do."""
    leaf = x.detach().requires_grad_()
    y = function(leaf)
    return y.detach(), torch.autograd.grad(y, leaf, g)[0]


def placed(x, offset):
    """A copy of x that begins ``offset`` elements into its memory."""
    room = torch.empty(offset + x.numel(), dtype=x.dtype)
    return room[offset:].copy_(x)


@EACH
@TYPES
def test_at_every_length(case, dtype, whole):
    x, g, value, gradient = whole
    module = MODULES[case.id]
    for length in LENGTHS:
        y, dx = both(module, x[:length].clone(), g[:length].clone())
        assert same_bits(y, value[:length]), length
        assert same_bits(dx, gradient[:length]), length


@FAMILIES
def test_at_every_offset_and_alignment(case, dtype, whole):
    x, g, value, gradient = whole
    module = MODULES[case.id]
    for offset in OFFSETS:
        assert same_bits(module(x[offset:]), value[offset:]), offset
        y, dx = both(module, placed(x[:321], offset), placed(g[:321], 17 - offset % 17))
        assert same_bits(y, value[:321]), offset
        assert same_bits(dx, gradient[:321]), offset


def layouts(x):
    """Views of one stretch of numbers that lie differently in memory."""
    cube = x[:3360].reshape(4, 7, 8, 15)
    return {
        "strided": x[::3],
        "transposed": cube.transpose(1, 3),
        "columns": x[:4092].reshape(62, 66).t(),
        "permuted": cube.permute(2, 0, 3, 1),
        "channels_last": cube.to(memory_format=torch.channels_last),
        "sliced": cube[:, 1:6, ::2, 3:],
        "expanded": cube[:1, :, :1].expand(4, 7, 8, 15),
        "flipped": x.flip(0),
        "0-d": x[5],
        "of one": x[7:8].reshape(1, 1, 1),
    }


@FAMILIES
def test_in_every_layout(case, dtype, whole):
    x, g, value, gradient = whole
    module = MODULES[case.id]
    places = layouts(torch.arange(SIZE))
    for name, view in layouts(x).items():
        at = places[name]
        y, dx = both(module, view, g[at])
        assert same_bits(y, value[at]), name
        assert same_bits(dx, gradient[at]), name
        # The gradient may lie otherwise than x.
        mirrored = g[at].movedim(0, -1).contiguous().movedim(-1, 0) if view.ndim > 1 else g[at]
        assert same_bits(both(module, view, mirrored)[1], gradient[at]), name


@EACH
@pytest.mark.parametrize("dtype", [torch.float32])
def test_with_any_number_of_threads(case, dtype, whole, monkeypatch):
    x, g, value, gradient = (tensor.repeat(4) for tensor in whole)
    module = MODULES[case.id]
    monkeypatch.setattr(run, "GRAIN", ROW)
    for length, count in ((2 * ROW - 1, 2), (2 * ROW, 2), (3 * ROW + 5, 2), (4 * SIZE, 3)):
        with threads(count):
            y, dx = both(module, x[:length], g[:length])
        assert same_bits(y, value[:length]), (length, count)
        assert same_bits(dx, gradient[:length]), (length, count)


@TYPES
@pytest.mark.parametrize("name", ["relu", "gelu", "identity"])
def test_around_the_length_from_which_threads_share(name, dtype):
    function = relucid.get(name)
    x = torch.randn(3 * run.GRAIN + 7).to(dtype)
    with threads(1):
        value, gradient = both(function, x, x)
    for length in (2 * run.GRAIN - 1, 2 * run.GRAIN, 2 * run.GRAIN + 1, 3 * run.GRAIN + 7):
        for count in (2, 3):
            with threads(count):
                y, dx = both(function, x[:length], x[:length])
            assert same_bits(y, value[:length])
            assert same_bits(dx, gradient[:length])


@FAMILIES
def test_beside_nan(case, dtype, whole):
    x, g, value, gradient = whole
    module = MODULES[case.id]
    for first in (0, 1):
        poisoned, lifted = x.clone(), g.clone()
        poisoned[first::2] = torch.nan
        lifted[first::2] = torch.nan
        y, dx = both(module, poisoned, lifted)
        assert same_bits(y[1 - first :: 2], value[1 - first :: 2])
        assert same_bits(dx[1 - first :: 2], gradient[1 - first :: 2])
        assert y[first::2].isnan().all()
        assert dx[first::2].isnan().all()


@FAMILIES
def test_fresh_in_place_in_out_and_as_a_function(case, dtype, whole, monkeypatch):
    x, g, value, gradient = whole
    function, module = FUNCTIONS[case.id], MODULES[case.id]
    assert same_bits(function(x), value)
    for target in (torch.full_like(x, 7.0), x.clone(), placed(x, 3)):
        source = x if target[0] == 7.0 else target
        assert function(source, out=target) is target
        assert same_bits(target, value)
    monkeypatch.setattr(module, "inplace", True)
    target = x.clone()
    assert module(target) is target
    assert same_bits(target, value)
    y, dx = both(lambda leaf: module(leaf.clone()), x, g)
    assert same_bits(y, value)
    assert same_bits(dx, gradient)


@FAMILIES
def test_a_product_with_the_derivative_is_what_backward_passes_on(case, dtype, whole):
    x, g, _, gradient = whole
    function = FUNCTIONS[case.id]
    for given in (function.vjp(x, g), function.vjp(x, g, out=torch.empty_like(x))):
        assert same_bits(given, gradient)
    over = g.clone()
    assert function.vjp(x, over, out=over) is over
    assert same_bits(over, gradient)
    assert same_bits(function.vjp(x, torch.ones_like(x)), function.derivative(x))


@FAMILIES
def test_stored_past_the_caches(case, dtype, whole, monkeypatch):
    x, g, value, gradient = whole
    monkeypatch.setattr(run, "STREAM", 1)
    for length in (1, 65, ROW, SIZE):
        y, dx = both(MODULES[case.id], x[:length], g[:length])
        assert same_bits(y, value[:length])
        assert same_bits(dx, gradient[:length])
    out = torch.empty(SIZE + 1, dtype=dtype)[1:]  # cannot be stored past the caches
    assert same_bits(FUNCTIONS[case.id](x, out=out), value)
