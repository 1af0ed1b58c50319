"""What relucid.pack computes anew in backward: bits, errors and memory are plain autograd's."""

import gc
from contextlib import nullcontext
from functools import partial

import pytest
import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import relucid
from relucid.sparse.packed import forms, packing
from support.packed import Saves, bits

aten = torch.ops.aten
SPECIAL = torch.tensor([0.0, -0.0, torch.nan, torch.inf, -torch.inf, 1e-45, 1e-30, 88.0, -3.0])
FUNCTIONS = {
    "square": torch.square,
    "cube": partial(torch.pow, exponent=3),
    "root": partial(torch.pow, exponent=0.7),
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "silu": F.silu,
    "softplus": partial(F.softplus, beta=2.0, threshold=5.0),
    "mish": F.mish,
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "relu6": F.relu6,
    "leaky_relu": partial(F.leaky_relu, negative_slope=0.3),
    "elu": partial(F.elu, alpha=0.7),
    "selu": F.selu,
    "celu": partial(F.celu, alpha=1.3),
    "logsigmoid": F.logsigmoid,
    "layer_norm": partial(F.layer_norm, normalized_shape=(50,)),
    "layer_norm of BERT": partial(F.layer_norm, normalized_shape=(50,), eps=1e-12),
    "relucid.nn.GELU": relucid.nn.GELU(),
    "relucid.nn.Mish": relucid.nn.Mish(),
}


@pytest.fixture(autouse=True)
def pack_small_ones(monkeypatch):
    monkeypatch.setattr(packing, "LEAST", 512)


def again(record):
    """How many memories were recomputed."""
    return sum(kept.memories for kept in record.packed if kept.how == "recomputed")


def saved_outputs(x, function, around):
    """What a consumer of an output is given in backward, when nothing else holds the output."""
    out = []
    with around:
        y = function(x.clone().requires_grad_() * 1)
        last = Saves.apply(y, (y,), out)
        del y
    yield last
    last.sum().backward()
    yield out[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_function_gives_its_bits_again(name, dtype):
    torch.manual_seed(0)
    x = torch.randn(120, 50)
    x[-1, -len(SPECIAL) :] = SPECIAL
    packed = relucid.pack()
    _, found = saved_outputs(x.to(dtype), FUNCTIONS[name], packed)
    _, expected = saved_outputs(x.to(dtype), FUNCTIONS[name], nullcontext())
    assert found.dtype is expected.dtype and found.stride() == expected.stride()
    assert torch.equal(bits(found), bits(expected))
    assert again(packed.record()) == 1
    assert packed.record().now_after == 0


def settings(threads, one_dnn, flush):
    torch.set_num_threads(threads)
    torch._C._set_mkldnn_enabled(one_dnn)
    torch.set_flush_denormal(flush)


@pytest.mark.parametrize("name", ["square", "gelu", "gelu_tanh", "mish", "layer_norm"])
def test_settings_that_differ_in_backward_do_not_change_the_bits(name):
    """A thread's share ends with numbers that are not computed in vectors, to other last bits."""
    torch.manual_seed(0)
    x = (
        torch.randn(997, 350)[:, :331].contiguous()
        if name != "layer_norm"
        else torch.randn(997, 50)
    )
    x[0] *= 1e-20
    before = torch.get_num_threads()
    try:
        found = []
        for packed in (relucid.pack(), nullcontext()):
            settings(3, False, False)
            backward = saved_outputs(x, FUNCTIONS[name], packed)
            next(backward)
            settings(1, True, True)
            found.append(next(backward))
            assert torch.get_num_threads() == 1 and torch._C._get_mkldnn_enabled()
        assert torch.equal(*map(bits, found))
    finally:
        settings(before, True, False)


class Feed(nn.Module):
    """One linear layer, a function of its result, and another linear layer."""

    def __init__(self, between):
        super().__init__()
        torch.manual_seed(0)
        self.up, self.norm, self.down = nn.Linear(50, 50), nn.LayerNorm(50), nn.Linear(50, 50)
        self.between = between

    def forward(self, x):
        return self.down(self.between(self, self.up(x)))


def whole(model, loss):
    loss.backward()


def twice(model, loss):
    loss.backward(retain_graph=True)
    loss.backward()


def of_consumer(model, loss):
    """Only what needs the output: its producer's node is never asked."""
    weights = [model.down.weight, model.down.bias]
    for parameter, grad in zip(weights, torch.autograd.grad(loss, weights), strict=True):
        parameter.grad = grad


def recomputed(between, backward=whole):
    """How many memories were, after it was made sure that gradients are the plain ones."""
    packed, sides = relucid.pack(), []
    for around in (packed, nullcontext()):
        model = Feed(between)
        with around:
            loss = model(torch.linspace(-3, 3, 6000).view(120, 50)).sum()
        backward(model, loss)
        sides.append([p.grad for p in model.parameters() if p.grad is not None])
    assert len(sides[0]) >= 2
    assert all(torch.equal(a, b) for a, b in zip(*sides, strict=True))
    del loss
    assert packed.record().now_before == 0
    return again(packed.record())


def doubled(x):
    x.data.mul_(2)  # of which autograd does not learn
    return x


def doubled_after_it_was_saved(model, u):
    y = F.gelu(u)
    product = y * model.up.bias
    doubled(y)
    return product


def doubled_source(model, u):
    y = F.gelu(u)
    doubled(u)
    return y


BETWEEN = {
    "gelu": (1, lambda model, u: F.gelu(u)),
    "a view": (1, lambda model, u: F.gelu(u.t()).t()),
    "in place": (1, lambda model, u: F.silu(u, inplace=True)),
    "two of one source": (2, lambda model, u: F.gelu(u) * F.silu(u)),
    "no chain": (1, lambda model, u: F.gelu(F.gelu(u))),
    "layer norm": (1, lambda model, u: model.norm(u)),
    "layer norm, unusual epsilon": (0, lambda model, u: F.layer_norm(u, (50,), eps=3e-3)),
    "changed in place": (0, lambda model, u: F.gelu(u).mul_(2)),
    "changed by its data": (0, lambda model, u: doubled(F.gelu(u))),
    "changed after it was saved": (0, doubled_after_it_was_saved),
    "source changed": (0, doubled_source),
    "source is larger": (0, lambda model, u: F.gelu(torch.cat((u, u), 1)[:, :50])),
    "source is a parameter": (0, lambda model, u: u @ F.gelu(model.up.weight)),
}


@pytest.mark.parametrize("backward", [whole, twice, of_consumer])
@pytest.mark.parametrize("name", BETWEEN)
def test_gradients_are_bit_equal_and_it_is_recomputed_where_it_can_be(name, backward):
    count, between = BETWEEN[name]
    assert recomputed(between, backward) == count


def test_a_step_of_the_optimizer_may_come_before_the_consumer_asks():
    def backward(model, loss):
        with torch.no_grad():
            model.norm.weight.mul_(2)
        of_consumer(model, loss)

    assert recomputed(lambda model, u: model.norm(u), backward) == 1


def test_a_source_that_is_held_may_change_in_place_before_the_consumer_asks():
    held = []

    def backward(model, loss):
        with torch.no_grad():
            held.pop().mul_(2)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            torch.autograd.grad(loss, model.up.weight, retain_graph=True)
        of_consumer(model, loss)

    assert recomputed(lambda model, u: held.append(u) or F.gelu(u), backward) == 0


def test_what_waits_for_a_held_source_is_packed_by_its_zeros_at_the_end_of_the_block():
    held, packed = [], relucid.pack()
    with packed:
        y = Feed(lambda model, u: held.append(u.relu()) or held[-1].square())(torch.randn(120, 50))
        assert not packed.record().packed
    assert [kept.how for kept in packed.record().packed] == ["bit mask and values"]
    y.sum().backward()


def test_an_output_outlives_the_node_of_its_producer():
    def of_both(around):
        model = Feed(None)
        with around:
            y = F.gelu(model.up(torch.linspace(-3, 3, 6000).view(120, 50)))
            side, loss = y.sum(), model.down(y).sum()
            del y
        side.backward()
        return torch.autograd.grad(loss, model.down.weight)[0]

    packed = relucid.pack()
    assert torch.equal(of_both(packed), of_both(nullcontext()))
    assert again(packed.record()) == 1 and packed.record().now_before == 0


@pytest.mark.parametrize("activation", [F.gelu, relucid.nn.GELU()])
def test_an_output_may_be_saved_again_after_its_producer_was_freed(activation):
    packed, model = relucid.pack(), Feed(None)
    with packed:
        y = activation(model.up(torch.randn(120, 50)))
        y.sum().backward()
        y = model.down(y)
        (found,) = torch.autograd.grad(y.sum(), model.down.weight)
    assert found.shape == (50, 50) and again(packed.record()) == 0


def test_memory_falls_and_nothing_waits_for_the_garbage_collector():
    packed, model, gone = relucid.pack(), Feed(None), []
    gc.collect()
    gc.disable()
    try:
        with packed:
            u = model.up(torch.randn(120, 50))
            y = F.gelu(u)
            gone = [StorageWeakRef(tensor.untyped_storage()) for tensor in (u, y)]
            z = model.down(y)
            del u, y
            z = z.exp()
        assert [ref.expired() for ref in gone] == [False, True]
        assert packed.record().now_before - packed.record().now_after == 24000
        del z
        assert gone[0].expired() and packed.record().now_before == 0
    finally:
        gc.enable()


def test_what_was_unpacked_to_try_it_is_not_kept(monkeypatch):
    gone, unpack = [], forms.MaskAndValues.unpack

    def watched(form):
        numbers = unpack(form)
        gone.append(StorageWeakRef(numbers.untyped_storage()))
        return numbers

    monkeypatch.setattr(forms.MaskAndValues, "unpack", watched)
    packed = relucid.pack()
    with packed:
        y = Feed(lambda model, u: u.relu().square())(torch.randn(120, 50))
    assert again(packed.record()) == 1
    assert len(gone) == 1 and gone[0].expired()
    y.sum().backward()


def test_what_others_saved_is_not_asked_for():
    runs = []

    def part(x):
        runs.append(x)
        return F.gelu(x)

    assert recomputed(lambda model, u: checkpoint(part, u, use_reentrant=False)) == 0
    assert len(runs) == 4  # forward and backward of each side

    inner = relucid.pack()

    def between(model, u):
        y = F.gelu(u)
        del u
        y.exp()  # saves something, at which the source is found to be let go
        with inner:
            product = y * model.up.bias
            del y
        return product

    assert recomputed(between) == again(inner.record()) == 0
