"""What goes, what stays and why, on networks whose units were made constant or straight by hand."""

import copy
import warnings
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import relucid
from relucid.errors import (
    DataError,
    DomainError,
    LossError,
    ModelError,
    ParameterError,
    ShrinkError,
)
from relucid.records.receipt import Guarantee, Kind

BOX = (0.0, 1.0)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def dead(layer, *units, at=-1e3):
    """Move units' biases so far that nothing in the domain brings them back."""
    with torch.no_grad():
        layer.bias[list(units)] = at


def never(layer):
    """Return the units that no input from 0 to 1 makes fire: at the best corner they do not."""
    with torch.no_grad():
        most = layer.bias + layer.weight.clamp(min=0.0).sum(1)
    return tuple((most <= 0).nonzero().flatten().tolist())


def gone(shrunk, path, kind=Kind.CONSTANT):
    """Return the units of a layer that went, by guarantee."""
    (layer,) = (one for one in shrunk.receipt.layers if one.path == path)
    return {r.guarantee: r.units for r in layer.removed if r.kind is kind}


def why(shrunk, path):
    return [r.why for r in shrunk.receipt.refused if r.path == path]


def same(model, shrunk, draw, tolerance=1e-12):
    """Compare on fresh inputs, in another batch size than the example's."""
    model, small = copy.deepcopy(model).eval(), copy.deepcopy(shrunk.model).eval()
    with torch.no_grad():
        for _ in range(3):
            x = draw(7)
            before, after = model(x), small(x)
            assert (before - after).abs().max() <= tolerance * before.abs().max()


def mlp(*widths, activation=nn.ReLU):
    layers = []
    for first, second in pairwise(widths):
        layers += [nn.Linear(first, second), activation()]
    return nn.Sequential(*layers[:-1]).double()


def rows(size):
    return lambda n: torch.rand(n, size, dtype=torch.float64)


def images(*shape):
    return lambda n: torch.rand(n, *shape, dtype=torch.float64)


def test_units_that_never_fire_go_and_outputs_and_gradients_stay():
    model = mlp(4, 8, 8, 3)
    dead(model[0], 1, 6)
    dead(model[2], 0)
    shrunk = relucid.shrink(model, rows(4)(2), BOX)
    assert {1, 6} < set(never(model[0]))
    assert gone(shrunk, "0") == {Guarantee.DOMAIN: never(model[0])}
    assert 0 in gone(shrunk, "2")[Guarantee.DOMAIN]
    stays = [unit for unit in range(8) if unit not in never(model[0])]
    assert shrunk.model[0].out_features == shrunk.model[2].in_features == len(stays)
    same(model, shrunk, rows(4))
    x = rows(4)(5)
    for net in (model, shrunk.model):
        net(x).square().sum().backward()
    assert torch.allclose(model[0].weight.grad[stays], shrunk.model[0].weight.grad, rtol=1e-12)


def test_a_constant_that_is_not_0_goes_into_the_next_bias():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3, bias=False)).double()
    with torch.no_grad():
        model[0].weight[2] = 0.0
        model[0].bias[2] = 0.7
    shrunk = relucid.shrink(model, rows(4)(2))
    assert gone(shrunk, "0") == {Guarantee.EVERY: (2,)}
    expected = model[2].weight[:, 2] * 0.7
    assert torch.allclose(shrunk.model[2].bias, expected, rtol=1e-12)
    same(model, shrunk, rows(4))


def test_where_zeros_are_padded_one_constant_stands_for_all():
    model = nn.Sequential(
        nn.Conv2d(2, 6, 1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 3, 3, padding=1)
    ).double()
    with torch.no_grad():
        model[0].weight[[1, 3, 4]] = 0.0
        model[1].bias[[1, 3, 4]] = torch.tensor([0.5, 2.0, 1.0], dtype=torch.float64)
        model[0].bias[[1, 3, 4]] = 0.0
    shrunk = relucid.shrink(model, images(2, 5, 5)(2))
    assert gone(shrunk, "0") == {Guarantee.EVERY: (1, 4)}
    assert any("pads with zeros" in reason for reason in why(shrunk, "0"))
    assert shrunk.model[1].num_features == 4
    same(model, shrunk, images(2, 5, 5))


class Residual(nn.Module):
    """Both summands, and the shortcut, are made of the channels of ``first``."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 6, 3), nn.Conv2d(6, 6, 3, padding=1)
        self.head = nn.Linear(6, 2)

    def forward(self, x):
        x = F.relu(self.first(x))
        x = F.relu(x + F.relu(self.second(x)))
        return self.head(x.mean((2, 3)))


def test_a_channel_of_a_sum_goes_only_where_all_summands_are_constant():
    model = Residual().double()
    dead(model.first, 0, 2)
    dead(model.second, 2, 3)
    shrunk = relucid.shrink(model, images(2, 6, 6)(2), BOX)
    assert gone(shrunk, "first") == gone(shrunk, "second") == {Guarantee.DOMAIN: (2,)}
    same(model, shrunk, images(2, 6, 6))


def test_depthwise_channels_and_whole_groups_go():
    model = nn.Sequential(
        nn.Conv2d(2, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU(),
        nn.Conv2d(8, 8, 1, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(128, 3),
    ).double()  # fmt: skip
    dead(model[4], 4, 5, 6, 7)
    dead(model[2], 4, 5, 6, 7)
    shrunk = relucid.shrink(model, images(2, 4, 4)(2), BOX)
    assert gone(shrunk, "2") == gone(shrunk, "4") == {Guarantee.DOMAIN: (4, 5, 6, 7)}
    assert (shrunk.model[2].groups, shrunk.model[4].groups) == (4, 1)
    assert shrunk.model[7].in_features == 64
    same(model, shrunk, images(2, 4, 4))


@pytest.mark.parametrize("observed", [False, True])
def test_dead_channels_of_a_group_that_partly_lives_are_told(observed):
    """Before the convolution in groups and behind it, by layer; of a group that goes, nothing."""
    model = nn.Sequential(
        nn.Conv2d(2, 9, 1), nn.ReLU(), nn.Conv2d(9, 9, 3, padding=1, groups=3), nn.ReLU(),
        nn.Conv2d(9, 2, 1), nn.Flatten(),
    ).double()  # fmt: skip
    with torch.no_grad():
        model[0].bias.fill_(9.0)
        model[2].bias.fill_(9.0)  # so that no other is dead
    dead(model[0], 1)
    dead(model[2], 1, 2, 6, 7, 8)
    x = images(2, 4, 4)(2)
    shrunk = relucid.shrink(model, x, None if observed else BOX, x if observed else None)
    assert [(r.path, r.units) for r in shrunk.receipt.refused] == [("0", 1), ("2", 2)]
    for refusal in shrunk.receipt.refused:
        assert "whole or not at all, and not all of them is constant, conv2d in '2'" in refusal.why
    by = Guarantee.OBSERVED if observed else Guarantee.DOMAIN
    assert gone(shrunk, "0") == gone(shrunk, "2") == {by: (6, 7, 8)}


class Joined(nn.Module):
    """Two branches put side by side, half of one of which gates the other half."""

    def __init__(self):
        super().__init__()
        self.left, self.both = nn.Linear(4, 6), nn.Linear(4, 8)
        self.slope, self.out = nn.PReLU(10), nn.Linear(10, 2)

    def forward(self, x):
        value, gate = self.both(x).chunk(2, -1)
        joined = torch.cat([self.left(x).relu(), value * gate.relu()], -1)
        return self.out(self.slope(joined))


def test_halves_of_a_gate_go_together_and_joined_parts_apart():
    model = Joined().double()
    dead(model.left, 5)
    dead(model.both, 6)  # the gate of value 2
    shrunk = relucid.shrink(model, rows(4)(2), BOX)
    values = sorted({unit % 4 for unit in never(model.both) if unit >= 4})
    assert 2 in values
    assert gone(shrunk, "left") == {Guarantee.DOMAIN: never(model.left)}
    assert gone(shrunk, "both") == {Guarantee.DOMAIN: (*values, *(unit + 4 for unit in values))}
    assert shrunk.model.slope.num_parameters == 10 - len(never(model.left)) - len(values)
    same(model, shrunk, rows(4))


class Block(nn.Module):
    """A transformer's second half: what follows the norm is bounded whatever comes in."""

    def __init__(self):
        super().__init__()
        self.embedding, self.norm = nn.Embedding(9, 6), nn.LayerNorm(6)
        self.up, self.down = nn.Linear(6, 12), nn.Linear(12, 6)

    def forward(self, ids):
        x = self.embedding(ids)
        return x + self.down(F.relu(self.up(self.norm(x))))


def test_without_a_domain_a_norm_is_enough():
    model = Block()
    dead(model.up, 3, 4, at=-50.0)
    shrunk = relucid.shrink(model, torch.randint(9, (2, 5)))
    assert gone(shrunk, "up") == {Guarantee.EVERY: (3, 4)}
    ids = torch.randint(9, (3, 8))
    assert torch.allclose(model(ids), shrunk.model(ids), rtol=1e-6)


def test_without_domain_and_norm_it_says_what_was_only_observed():
    model = mlp(4, 8, 3)
    dead(model[0], 2)
    data = [rows(4)(3), rows(4)(5)]
    nothing = relucid.shrink(model, data[0])
    assert not nothing.receipt.removed
    assert any("Without a domain" in note for note in nothing.receipt.notes)
    seen = relucid.shrink(model, data[0], data=iter(data))
    assert 2 in gone(seen, "0")[Guarantee.OBSERVED]
    assert seen.receipt.weakest is Guarantee.OBSERVED
    assert seen.receipt.data == "8 samples"
    same(model, seen, lambda n: data[0])


def test_units_that_are_always_on_go_where_others_span_them():
    model = mlp(3, 8, 6, 2)
    dead(model[0], *range(7), at=10.0)  # seven planes over three dimensions
    dead(model[0], 7, at=0.0)
    shrunk = relucid.shrink(model, rows(3)(2), BOX)
    assert len(gone(shrunk, "0", Kind.ALWAYS_ON)[Guarantee.DOMAIN]) == 4
    same(model, shrunk, rows(3), 1e-11)


def test_a_layer_that_is_always_on_becomes_one_with_the_next():
    model = nn.Sequential(nn.Linear(4, 4), nn.LeakyReLU(0.1), nn.Linear(4, 2)).double()
    dead(model[0], 0, 1, at=50.0)
    dead(model[0], 2, 3, at=-50.0)  # on the other straight piece
    shrunk = relucid.shrink(model, rows(4)(2), BOX)
    assert isinstance(shrunk.model[1], nn.Identity)
    assert isinstance(shrunk.model[2], nn.Identity)
    (first, _) = shrunk.receipt.layers
    assert (first.after, first.note) == (0, "merged with 2")
    same(model, shrunk, rows(4))


def test_convolutions_share_always_on_channels_out_through_a_batch_norm():
    model = nn.Sequential(
        nn.Conv2d(1, 6, 1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 2, 3, padding=1)
    ).double()
    with torch.no_grad():
        model[1].running_mean.uniform_()
        model[1].bias += 20.0
    shrunk = relucid.shrink(model, images(1, 4, 4)(2), BOX)
    # One input and, since zeros are padded to what is read, the constant: two dimensions.
    assert shrunk.model[0].out_channels == 2
    same(model, shrunk, images(1, 4, 4), 1e-11)


def test_declared_activations_count_as_what_they_are():
    model = nn.Sequential(
        nn.Linear(3, 8), relucid.nn.ReLU(), nn.Linear(8, 8), relucid.nn.Softplus(), nn.Linear(8, 2)
    ).double()
    dead(model[0], 1)
    dead(model[0], 0, 2, 3, 4, 5, 6, 7, at=10.0)
    shrunk = relucid.shrink(model, rows(3)(2), BOX)
    assert gone(shrunk, "0") == {Guarantee.DOMAIN: (1,)}
    assert len(gone(shrunk, "0", Kind.ALWAYS_ON)[Guarantee.DOMAIN]) == 4
    same(model, shrunk, rows(3), 1e-11)


class Written(nn.Module):
    """Has the size of its features written into ``forward``."""

    def __init__(self):
        super().__init__()
        self.features, self.hidden, self.out = nn.Conv2d(1, 4, 3), nn.Linear(16, 8), nn.Linear(8, 2)

    def forward(self, x):
        x = self.features(x).relu()
        x = x.view(-1, 16)
        return self.out(self.hidden(x).relu())


def test_a_written_size_is_named_with_line_and_cure_and_the_rest_goes():
    model = Written().double()
    dead(model.features, 1)
    dead(model.hidden, 5)
    shrunk = relucid.shrink(model, images(1, 4, 4)(2), BOX)
    assert gone(shrunk, "features") == {}
    assert gone(shrunk, "hidden") == {Guarantee.DOMAIN: (5,)}
    (reason,) = why(shrunk, "features")
    assert "test_shrink.py:" in reason
    assert "x.flatten(1)" in reason
    same(model, shrunk, images(1, 4, 4))


def test_a_layer_that_is_used_twice_is_cut_only_where_both_uses_allow():
    layer = nn.Linear(6, 6)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), layer, nn.ReLU(), layer).double()
    dead(layer, 2)
    shrunk = relucid.shrink(model, rows(4)(2), BOX)
    assert shrunk.model[2] is shrunk.model[4]
    assert gone(shrunk, "2") == {}
    same(model, shrunk, rows(4))


def test_a_whole_layer_of_dead_units_keeps_one():
    model = mlp(4, 5, 3)
    dead(model[0], *range(5))
    shrunk = relucid.shrink(model, rows(4)(2), BOX)
    assert shrunk.model[0].out_features == 1
    assert any("a layer of none" in reason for reason in why(shrunk, "0"))
    same(model, shrunk, rows(4))


def test_the_model_keeps_its_modes_hooks_statistics_and_random_numbers():
    model = nn.Sequential(
        nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(), nn.Linear(6, 2)
    )
    model[3].eval()
    dead(model[1], 3)
    calls = []
    handle = model[4].register_forward_hook(lambda *_: calls.append(1))
    example = torch.rand(2, 4)
    before, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    shrunk = relucid.shrink(model, example, BOX)
    assert gone(shrunk, "0") == {Guarantee.DOMAIN: (3,)}
    for net in (model, shrunk.model):
        assert [m.training for m in net] == [True, True, True, False, True]
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(now, before[n]) for n, now in model.state_dict().items())
    assert list(model[4]._forward_hooks) == [handle.id]
    assert not any(p.grad is not None for p in model.parameters())
    ours = {p.data_ptr() for p in shrunk.model.parameters()}
    assert not ours & {p.data_ptr() for p in model.parameters()}
    shrunk.model(torch.rand(3, 4)).sum().backward()  # it trains on


def test_keep_and_rarely_prune_and_tell_what_it_costs():
    model = mlp(4, 10, 3)
    with torch.no_grad():
        model[0].weight[3] = torch.tensor([5.0, 0.0, 0.0, 0.0])
        model[0].bias[3] = -4.9  # fires for 2% of the inputs
        model[0].bias[[0, 1, 2, 4, 5, 6, 7, 8, 9]] = 0.5
    generator = torch.Generator().manual_seed(3)
    x = torch.rand(400, 4, dtype=torch.float64, generator=generator)
    data = [(x, model(x).argmax(1))]
    rare = relucid.shrink(model, x, data=data, rarely=0.1, loss=F.cross_entropy)
    assert 3 in gone(rare, "0")[Guarantee.PRUNED]
    kept = relucid.shrink(model, x, data=data, keep=0.5)
    assert kept.model[0].out_features == 5
    loss, accuracy = rare.receipt.quality
    assert (loss.metric, accuracy.metric, accuracy.before) == ("loss", "accuracy", 1.0)
    assert loss.after != loss.before
    tuned = relucid.shrink(model, x, data=data, keep=0.5, loss=F.cross_entropy, tune=3)
    first = tuned.receipt.quality[0]
    assert first.tuned is not None
    assert first.tuned < first.after


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"keep": 1.5, "data": 1}, "keep=1.5"),
        ({"keep": 0.9}, "pass data="),
        ({"rarely": "often", "data": 1}, "rarely='often'"),
        ({"tune": 3}, "loss="),
        ({"tune": -1}, "tune=-1"),
    ],
)
def test_shares_and_steps_are_checked_first(more, named):
    with pytest.raises(ParameterError, match=named):
        relucid.shrink(mlp(2, 3, 1), rows(2)(2), **more)


class Branching(nn.Module):
    """Takes another way for other values."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        return self.layer(x) if x.sum() > 0 else x


def lost():
    model = mlp(3, 4, 2)
    with torch.no_grad():
        model[0].weight[1, 1] = torch.nan
    return model


def normed():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = nn.Sequential(torch.nn.utils.weight_norm(nn.Linear(3, 4)), nn.Linear(4, 2))
    model(torch.rand(2, 3))
    return model.double()


def quantised():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(3, 2)), {nn.Linear})


@pytest.mark.parametrize(
    ("make", "example", "domain", "error", "named"),
    [
        (lost, 3, None, ShrinkError, "0.weight holds 1 number"),
        (lambda: Branching().double(), 3, None, ShrinkError, "torch.where"),
        (normed, 3, None, ShrinkError, "parametrizations.weight_norm"),
        (lambda: nn.Linear, 3, None, ModelError, "instance"),
        (lambda: nn.DataParallel(nn.Linear(3, 2)), 3, None, ModelError, "model.module"),
        (lambda: nn.LazyLinear(2), 3, None, ModelError, "no shape yet"),
        (quantised, 3, None, ModelError, "quantise what comes out"),
        (lambda: mlp(3, 2), 4, None, DataError, "refuses"),
        (lambda: mlp(3, 2), 3, (torch.zeros(5), torch.ones(5)), DomainError, "shape"),
        (lambda: mlp(3, 2), 3, (2.0, 3.0), DomainError, "outside the domain"),
    ],
)
def test_what_cannot_be_shrunk_is_refused_with_the_cure(make, example, domain, error, named):
    with pytest.raises(error, match=named):
        relucid.shrink(make(), rows(example)(2), domain)


def test_data_and_loss_that_fail_are_told():
    model = mlp(3, 4, 2)
    with pytest.raises(DataError, match="no batch"):
        relucid.shrink(model, rows(3)(2), data=[])
    with pytest.raises(DataError, match="no batch"):
        relucid.shrink(model, [])
    with pytest.raises(LossError):
        relucid.shrink(model, rows(3)(2), data=rows(3)(2), loss=lambda output, target: 1 / 0)


def test_weights_that_are_computed_from_others_are_cut_at_their_origin():
    norm = torch.nn.utils.parametrizations.weight_norm
    model = nn.Sequential(norm(nn.Linear(4, 8)), nn.ReLU(), nn.Linear(8, 2)).double()
    dead(model[0], 1, 2)
    shrunk = relucid.shrink(model, rows(4)(2), BOX)
    assert {1, 2} <= set(never(model[0]))
    assert gone(shrunk, "0") == {Guarantee.DOMAIN: never(model[0])}
    assert shrunk.model[0].weight.shape == (8 - len(never(model[0])), 4)
    same(model, shrunk, rows(4))


def test_it_is_told_how_far_each_stage_is():
    """In the order of the work, forward only, and to the end of what has one."""
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    dead(model[0], 1)
    pairs = [(torch.rand(10, 4), torch.randint(3, (10,))) for _ in range(3)]
    told = {}
    relucid.shrink(
        model, torch.rand(5, 4), BOX, pairs, loss=F.cross_entropy, tune=2,
        progress=lambda stage, done, of: told.setdefault(stage, []).append((done, of)),
    )  # fmt: skip
    first, *between, last = told
    assert first == "Capturing the graph" and last == "Measuring"
    assert told["Running the data"][-1] == (3, 3) and told["Training further"][-1] == (2, 2)
    for stage in [first, *between]:
        done = [one for one, _ in told[stage]]
        assert done == sorted(done) and told[stage][-1] == (done[-1],) * 2
