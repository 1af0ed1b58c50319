"""relucid.pack: gradients are plain autograd's to the last bit, and memory is what it says."""

import copy
import gc
import pickle
import re
import threading
import warnings
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import relucid
from relucid.errors import ModelError, RelucidError
from relucid.sparse.packed import forms, packing, plain
from support.packed import NETWORKS, Saves, bits, built, dense, equal, gradients, round_trip


@pytest.fixture(autouse=True)
def pack_small_ones(monkeypatch):
    """Small networks test the same, in less time."""
    monkeypatch.setattr(packing, "LEAST", 512)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_are_bit_equal(name, dtype):
    model, x = built(name, dtype)
    packed = relucid.pack()
    for _ in range(2):
        assert equal(gradients(model, x, packed), gradients(model, x, nullcontext()))
    record = packed.record()
    assert sum(kept.memories for kept in record.packed) >= (2 if name == "own modules" else 3)
    assert record.now_before == record.now_after == 0  # nothing is left behind
    assert record.peak_after < record.peak_before


def test_the_plain_route_gives_the_same(monkeypatch):
    monkeypatch.setattr(forms, "native", plain)
    for name in NETWORKS:
        model, x = built(name)
        packed = relucid.pack()
        assert equal(gradients(model, x, packed), gradients(model, x, nullcontext()))
        assert packed.record().packed


SPECIAL = torch.tensor([0.0, -0.0, torch.nan, torch.inf, -torch.inf, 1e-45, 1.0, 0.0, 0.0, 0.0])
KINDS = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64,
         torch.complex128, torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32,
         torch.int64, torch.float8_e4m3fn]  # fmt: skip


@pytest.mark.parametrize("dtype", KINDS, ids=str)
def test_every_dtype_comes_back_bit_for_bit(dtype):
    def make():
        torch.manual_seed(0)
        special = SPECIAL if dtype.is_floating_point or dtype.is_complex else torch.arange(10) % 3
        numbers = special.nan_to_num(3.0) if not dtype.is_floating_point else special
        mixed = numbers[torch.randint(10, (3000,))] * (torch.rand(3000) < 0.4)
        return (torch.where(mixed.isnan(), 0.0, mixed).to(dtype)
                if dtype is torch.float8_e4m3fn else mixed.to(dtype),)  # fmt: skip

    (back,), record = round_trip(make)
    (expected,) = make()
    assert back.dtype is dtype
    assert torch.equal(bits(back), bits(expected))
    assert record.packed


def sparse_base(shape):
    torch.manual_seed(1)
    return torch.randn(shape).relu_() * (torch.rand(shape) < 0.5)


VIEWS = {
    "contiguous": lambda x: x,
    "transposed": lambda x: x.transpose(0, 2),
    "strided": lambda x: x[::2, 1:, ::3],
    "offset": lambda x: x[3:],
    "expanded": lambda x: x[:, :1].expand(-1, 50, -1),
    "flat": lambda x: x.reshape(-1),
    "0-d": lambda x: x[1, 2, 3],
    "empty": lambda x: x[:0],
    "channels last": lambda x: x.view(4, 5, 8, 24).contiguous(memory_format=torch.channels_last),
    "conjugate": lambda x: torch.complex(x, x).conj(),
    "negative": lambda x: torch.complex(x, x).conj().imag,
}


@pytest.mark.parametrize("view", VIEWS)
def test_views_come_back_with_their_strides(view):
    def make():
        return (VIEWS[view](sparse_base((20, 8, 24))),)

    (back,), record = round_trip(make)
    (expected,) = make()
    assert (back.shape, back.stride(), back.storage_offset()) == (
        expected.shape, expected.stride(), expected.storage_offset(),
    )  # fmt: skip
    assert back.is_conj() == expected.is_conj() and back.is_neg() == expected.is_neg()
    assert torch.equal(back, expected)
    assert record.packed


def test_what_shares_memory_is_packed_once_and_unpacked_once(monkeypatch):
    unpacked = []
    plain_unpack = forms.MaskAndValues.unpack
    monkeypatch.setattr(
        forms.MaskAndValues, "unpack", lambda self: unpacked.append(self) or plain_unpack(self)
    )
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Flatten(), nn.Linear(64, 64), nn.ReLU(),
                          nn.Linear(64, 1), nn.Tanh())  # fmt: skip
    packed = relucid.pack()
    gradients(model, torch.randn(50, 64), packed)
    (kept,) = packed.record().packed
    assert kept.memories == 2 == len(unpacked)
    assert kept.before == 2 * 50 * 64 * 4


def test_parameters_small_held_and_dense_tensors_are_left_and_the_reasons_said():
    model, x = built("dense")
    x.requires_grad_()
    held = []
    model[1].register_forward_hook(lambda module, args, out: held.append(out))
    packed = relucid.pack()
    with packed:
        loss = model(x).square().sum()
        reasons = {kept.how for kept in packed.record().left}
    loss.backward()
    assert {"parameter", "few zeros"} <= reasons
    left = {kept.how: kept for kept in packed.record().left}
    assert left["held elsewhere"].before >= held[0].nbytes
    assert all(kept.before == kept.after for kept in left.values())
    assert "it is: held elsewhere" in str(packed)
    with relucid.pack() as packed:
        nn.Linear(3, 3)(torch.ones(1, 3)).relu().sum().backward()
    assert "small" in {kept.how for kept in packed.record().left}


def test_other_layouts_subclasses_and_devices_are_left_as_they_are():
    class Mine(torch.Tensor):
        pass

    def make():
        zeros = torch.zeros(1000)
        return zeros.as_subclass(Mine), torch.eye(200).to_sparse(), torch.zeros(999, device="meta")

    back, record = round_trip(make)
    assert type(back[0]) is Mine and back[1].is_sparse and back[2].is_meta
    assert {kept.how for kept in record.left} == {"tensor subclass", "not strided", "other device"}


def change(model, around, how):
    x = torch.randn(40, 24)
    with around:
        hidden = model[0](x).relu()
        out = model[3](hidden)
        how(hidden, model)
        del hidden
        out = out.tanh().exp()  # gives time to pack
    out.sum().backward()


def of_weight(hidden, model):
    with torch.no_grad():
        model[3].weight.mul_(2)


@pytest.mark.parametrize(
    "how", [lambda h, m: h.add_(1), lambda h, m: h.detach()[0].zero_(), of_weight]
)
def test_changes_in_place_raise_as_without_packing(how):
    def message(around):
        torch.manual_seed(0)
        with pytest.raises(RuntimeError, match="modified by an inplace operation") as raised:
            change(dense(), around, how)
        # Who made the tensor last is not what is told after a change by autograd itself.
        return re.sub(r"which is output 0 of \w+,", "", str(raised.value).partition(" instead")[0])

    assert message(relucid.pack()) == message(nullcontext())


def test_a_graph_can_be_kept_and_gone_through_again():
    def twice(loss):
        loss.backward(retain_graph=True)
        loss.backward()

    model, x = built("convolutional")
    expected = gradients(model, x, nullcontext(), twice)
    packed = relucid.pack()
    assert equal(gradients(model, x, packed, twice), expected)
    assert packed.record().now_after == 0


@pytest.mark.parametrize("name", ["dense", "smooth"])
@pytest.mark.parametrize("inside", [True, False])
def test_second_derivatives(name, inside):
    def penalty(around):
        model, x = built(name)
        model.eval()
        x.requires_grad_()
        with around:
            (first,) = torch.autograd.grad(model(x).square().sum(), x, create_graph=True)
            loss = first.square().sum()
            if inside:
                loss.backward()
        if not inside:
            loss.backward()
        return [p.grad for p in model.parameters() if p.grad is not None]

    packed = relucid.pack()
    assert equal(penalty(packed), penalty(nullcontext()))
    assert packed.record().packed


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing(reentrant):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = dense()[:4], dense()[3:]

        def forward(self, x):
            return checkpoint(self.second, self.first(x).relu(), use_reentrant=reentrant)

    torch.manual_seed(0)
    model, x = Net(), torch.randn(32, 24)
    packed = relucid.pack()
    assert equal(gradients(model, x, packed), gradients(model, x, nullcontext()))
    assert packed.record().packed


@pytest.mark.parametrize("name", ["convolutional", "smooth"])
def test_autocast(name):
    model, x = built(name)

    def under(around):
        with torch.autocast("cpu", torch.bfloat16):
            return gradients(model, x, around)

    packed = relucid.pack()
    assert equal(under(packed), under(nullcontext()))
    assert packed.record().packed


def test_distributed_data_parallel(tmp_path):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1
    )
    try:
        model, x = built("dense")
        parallel = nn.parallel.DistributedDataParallel(copy.deepcopy(model))
        packed = relucid.pack(parallel)
        found = gradients(parallel, x, nullcontext())
        assert equal(found, gradients(model, x, nullcontext()))
        assert packed.record().packed
    finally:
        torch.distributed.destroy_process_group()


def test_threads_pack_and_unpack_for_each_other():
    model, x = built("dense")
    model.eval()
    expected = gradients(model, x, nullcontext())
    packed, found, errors = relucid.pack(), [], []

    def work():
        try:
            mine = copy.deepcopy(model)
            for _ in range(10):
                found.append(gradients(mine, x, packed))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert all(equal(each, expected) for each in found) and len(found) == 30

    def elsewhere(loss):
        thread = threading.Thread(target=loss.backward)
        thread.start()
        thread.join()

    assert equal(gradients(model, x, packed, elsewhere), expected)


def test_nested_blocks_and_hooks_of_others():
    model, x = built("dense")
    outer, inner = relucid.pack(), relucid.pack()
    with outer:
        found = gradients(model, x, inner)
    assert equal(found, gradients(model, x, nullcontext()))
    assert inner.record().packed and not outer.record().packed
    with torch.autograd.graph.save_on_cpu(), outer, outer:
        found = gradients(model, x, nullcontext())
    assert equal(found, gradients(model, x, nullcontext()))
    assert outer.record().packed


def test_a_model_is_packed_until_it_is_undone():
    model, x = built("convolutional")
    before = dict(model.__dict__)
    expected = gradients(model, x, nullcontext())
    packed = relucid.pack(model)
    assert equal(gradients(model, x, nullcontext()), expected)
    count = packed.record().saved
    assert count
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert equal(gradients(twin, x, nullcontext())[1:2], expected[1:2])
    with pytest.raises(RuntimeError):  # leaves the block all the same
        model(torch.ones(1))
    model[0](x).relu().sum().backward()
    assert packed.record().saved == count
    packed.undo()
    gradients(model, x, nullcontext())
    assert packed.record().saved == count
    assert not model._forward_hooks and not model._forward_pre_hooks and model.__dict__ == before
    with relucid.pack(model) as packed:
        gradients(model, x, nullcontext())
    assert packed.record().packed and not model._forward_hooks


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_what_is_no_model_is_refused():
    with pytest.raises(ModelError, match="instance, not the class"):
        relucid.pack(nn.Linear)
    with pytest.raises(RelucidError, match=r"with relucid\.pack"):
        relucid.pack(torch.jit.script(nn.ReLU()))


def test_no_memory_stays_behind_and_none_is_added():
    model = nn.Sequential(*(nn.Sequential(nn.Linear(64, 64), nn.Tanh()) for _ in range(4)))
    packed = relucid.pack()
    with packed:
        out = model(torch.randn(100, 64))
    record = packed.record()
    assert not record.packed
    assert record.now_after == record.now_before  # nothing has zeros: nothing is added
    del out
    gc.collect()
    assert packed.record().now_before == 0


def test_packing_frees_the_memory():
    packed = relucid.pack()
    with packed:
        x = torch.randn(100, 100, requires_grad=True)
        y = x.relu()
        gone = torch.multiprocessing.reductions.StorageWeakRef(y.untyped_storage())
        z = y.exp() * 2
        assert not gone.expired()
        del y
    assert gone.expired()
    z.sum().backward()
    assert torch.equal(x.grad != 0, x > 0)


# Dynamo itself looks at .grad of tensors inside a model whose graph was broken before.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # which Dynamo looks at
def test_compiled_models_are_packed_from_outside_and_blocks_inside_break_the_graph():
    torch._dynamo.reset()
    model, x = built("dense")
    model.eval()
    compiled, packed = torch.compile(model, backend="aot_eager"), relucid.pack()
    assert equal(gradients(compiled, x, packed), gradients(compiled, x, nullcontext()))
    assert packed.record().packed
    inside = relucid.pack()

    @torch.compile(backend="aot_eager")
    def forward(x):
        with inside:
            return model(x)

    found = gradients(model, x, nullcontext())
    model.zero_grad()
    x.requires_grad_()
    y = forward(x)
    (y * torch.linspace(-1, 1, y.numel()).view(y.shape)).sum().backward()
    assert equal([p.grad for p in model.parameters()], found[2:])
    assert inside.record().packed


def test_memory_among_much_that_is_held_is_found_when_it_is_released():
    out, packed = [], relucid.pack()
    with packed:
        held = [torch.zeros(1000) for _ in range(5 * packing.PATIENCE)]
        graphs = [Saves.apply(torch.ones(1, requires_grad=True), (x,), out) for x in held]
        assert not packed.record().packed
        del held[3 * packing.PATIENCE]
        for _ in range(6):
            graphs.append(Saves.apply(torch.ones(1, requires_grad=True), (held[0],), out))
        (kept,) = packed.record().packed
        assert kept.memories == 1
