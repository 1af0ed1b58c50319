"""Bounds over a domain: which units are proved dead or always on, and what stops a proof."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import relucid
import relucid.nn
from relucid.errors import DomainError
from relucid.probes import observe
from relucid.records import Bounds, Checkup, from_json, to_json


def planted():
    model = nn.Sequential(
        nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 2)
    )
    with torch.no_grad():
        model[0].bias[3:6] = -50.0
        model[0].bias[10] = 50.0
        model[2].weight[:, 10] = 0.0
        model[2].bias[7] = -400.0
    return model


def bounds_of(model, data, domain, site=0):
    return observe(model, data, domain=domain).sites[site].bounds


def test_planted_units_are_found_and_others_are_not():
    record = observe(planted(), torch.rand(50, 20), domain=(0.0, 1.0))
    first, second = (site.bounds for site in record.sites)
    assert np.flatnonzero(first.dead).tolist() == [3, 4, 5]
    assert np.flatnonzero(first.on).tolist() == [10]
    assert np.flatnonzero(second.dead).tolist() == [7]
    assert record.domain.inputs == {"input": "float32 (20,) in 0 to 1"}
    assert record.domain.gaps == ()


def test_dead_on_the_data_is_told_apart_from_dead_for_every_input():
    model = planted()
    with torch.no_grad():
        model[0].weight[8], model[0].bias[8] = 1.0, -15.0  # fires near (1, ..., 1) only
    health = relucid.checkup(model, torch.rand(200, 20), domain=(0.0, 1.0))
    (finding,) = [f for f in health.findings if f.rule == "dead_units" and f.site == "1"]
    assert set(finding.units) >= {3, 4, 5, 8}
    assert "3 of them provably, for every input of the domain; " in finding.meaning
    (always,) = [f for f in health.findings if f.rule == "always_on" and f.site == "1"]
    assert "provably" in always.meaning
    without = relucid.checkup(model, torch.rand(200, 20))
    assert not any("provably" in f.meaning for f in without.findings)


def test_the_exact_interval_of_a_linear_layer():
    layer = nn.Linear(3, 2)
    with torch.no_grad():
        layer.weight[:] = torch.tensor([[1.0, -2.0, 0.5], [0.0, 0.0, 0.0]])
        layer.bias[:] = torch.tensor([0.25, 0.0])
    low, high = torch.tensor([0.0, -1.0, 2.0]), np.array([1.0, 1.0, 4.0])
    found = bounds_of(nn.Sequential(layer, nn.ReLU()), torch.tensor([[0.5, 0.0, 3.0]]), (low, high))
    np.testing.assert_allclose(found.lower, [0.25 - 2.0 + 1.0, 0.0], rtol=1e-5)
    np.testing.assert_allclose(found.upper, [0.25 + 1.0 + 2.0 + 2.0, 0.0], rtol=1e-5)
    assert found.dead.tolist() == [False, True]  # weights of zero: exactly 0, whatever the input
    assert found.lower[0] < -0.75 and found.upper[0] > 5.25  # rounding is allowed for


def test_convolutions_pools_and_a_domain_for_each_channel():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, groups=8), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(8, 4), nn.ReLU(),
    ).eval()  # fmt: skip
    model[1].running_mean.normal_()
    model[1].running_var.uniform_(0.5, 2.0)
    low, high = torch.tensor([0.0, -1.0, 0.2]), torch.tensor([1.0, 1.0, 0.3])
    box = low.reshape(3, 1, 1), high.reshape(3, 1, 1)
    x = box[0] + (box[1] - box[0]) * torch.rand(400, 3, 8, 8)
    record = observe(model, x, domain=box)
    assert record.domain.gaps == () and len(record.sites) == 3
    seen, values = [], x
    for module in model:
        if isinstance(module, nn.ReLU | nn.ReLU6):
            seen.append(values.detach().transpose(0, 1).flatten(1).double().numpy())
        values = module(values.clone())
    for site, z in zip(record.sites, seen, strict=True):
        assert (z.min(1) >= site.bounds.lower).all() and (z.max(1) <= site.bounds.upper).all()
        assert np.isfinite(site.bounds.lower).all()


class Branching(nn.Module):
    """Takes one of two ways, by its input."""

    def __init__(self):
        super().__init__()
        self.small, self.large = nn.Linear(4, 3), nn.Linear(4, 3)
        with torch.no_grad():
            self.small.bias.fill_(-50.0)
            self.large.bias.fill_(50.0)

    def forward(self, x):
        layer = self.large if x.sum() > 2.0 * len(x) else self.small
        return torch.relu(layer(x))


def test_every_way_of_a_model_that_branches_is_followed():
    found = bounds_of(Branching(), torch.zeros(2, 4), (0.0, 1.0))
    assert not found.dead.any() and not found.on.any()
    assert (found.lower < -40).all() and (found.upper > 40).all()


def test_progress_tells_the_sites_of_every_way():
    """It starts at 0, never falls, and ends when all sites of all ways that were found are done."""
    told: list[tuple[int, int]] = []
    deep = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3), nn.Tanh())
    for model, ways in ((deep, 1), (Branching(), 2)):
        told.clear()
        sites = observe(
            model, torch.zeros(2, 4), domain=(0.0, 1.0), bounding=lambda *of: told.append(of)
        ).sites
        done = [one for one, _ in told]
        assert done == sorted(done) and done[0] == 0
        assert set(range(1, len(sites) + 1)) <= set(done)
        assert told[-1] == (ways * len(sites),) * 2


def test_a_way_that_no_input_takes_stays_out():
    found = bounds_of(Branching(), torch.zeros(2, 4), (0.0, 0.25))
    assert found.dead.all()


class Looking(nn.Module):
    def __init__(self, look):
        super().__init__()
        self.first, self.second, self.look = nn.Linear(4, 3), nn.Linear(3, 3), look

    def forward(self, x):
        h = torch.relu(self.first(x))
        return torch.relu(self.second(h * self.look(h)))


@pytest.mark.parametrize(
    ("look", "cause"),
    [
        (lambda h: h.max().item(), "_local_scalar_dense"),
        (lambda h: float(h.detach().numpy().max()), "numpy"),
        (lambda h: len(h[h > 0.1]), "index"),
        (lambda h: torch.linalg.det(h[:2, :2] + 3 * torch.eye(2)), "_linalg_det"),
        (lambda h: torch.empty_like(h), "outside PyTorch"),
        (lambda h: torch.rand(2, 3), "random numbers, of rand"),
        (lambda h: F.dropout(torch.ones(2, 3)), "random numbers"),
    ],
)
def test_what_stops_a_proof_is_named_with_its_cost(look, cause):
    record = observe(Looking(look), torch.rand(2, 4), domain=(0.0, 1.0))
    first, second = (site.bounds for site in record.sites)
    assert np.isfinite(first.upper).all()
    assert np.isinf(second.upper).all() and not second.dead.any()
    assert any(cause in gap.cause for gap in record.domain.gaps)
    assert all((gap.sites, gap.units) == (1, 3) for gap in record.domain.gaps)


def test_bounds_that_grow_beyond_the_dtype_are_named():
    layers = [part for _ in range(6) for part in (nn.Linear(4, 4), nn.ReLU())]
    model = nn.Sequential(*layers)
    with torch.no_grad():
        for layer in layers[::2]:
            layer.weight.copy_(torch.eye(4) * 1e8)
    record = observe(model, torch.full((2, 4), 1e-9), domain=(0.0, 1.0))
    assert np.isinf(record.sites[-1].bounds.upper).all()
    (gap,) = record.domain.gaps
    assert "widen with depth" in gap.cause and gap.units == 8


@pytest.mark.parametrize(("epsilon", "bounded"), [(1e-6, True), (-1e-6, False)])
def test_a_norm_written_out_has_a_fixed_length_only_if_it_has(epsilon, bounded):
    class Written(nn.Module):
        def forward(self, x):
            x = 1.0 / x  # of any size
            return torch.relu(x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon))

    record = observe(Written(), torch.rand(2, 9), domain=(-1.0, 1.0))
    upper = record.sites[0].bounds.upper
    assert np.allclose(upper, 3.0, rtol=1e-4) if bounded else np.isinf(upper).all()


def test_memory_that_is_written_through_a_view_is_not_believed():
    class Aliased(nn.Module):
        def forward(self, x):
            z = x + 0.0
            view = z[:, :2]
            view.mul_(-100.0)  # z changes, too
            constant = torch.zeros(2, 4)
            constant[:, 1] = x[:, 1]
            return torch.relu(z), torch.relu(constant), torch.relu(view)

    sites = observe(Aliased(), 1.0 + torch.rand(2, 4), domain=(1.0, 2.0)).sites
    x = torch.full((2, 4), 2.0)
    assert (sites[0].bounds.lower <= -200.0).all() or np.isinf(sites[0].bounds.lower).any()
    assert sites[1].bounds.upper[1] >= float(x[0, 1])
    assert (sites[2].bounds.lower <= -200.0).all() and sites[2].bounds.dead.all()


class Call(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return torch.relu(self.function(x))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    "function",
    [
        lambda x: x - 0.1,
        lambda x: 0.1 + x,
        lambda x: 0.1 - x * 1.1,
        lambda x: x * 0.3,
        lambda x: x / 0.3,
        lambda x: torch.add(x, x, alpha=-0.7),
        lambda x: torch.addcmul(x, x, x, value=-0.7),
        lambda x: x.clamp(min=0.1),
        lambda x: torch.full_like(x, 0.1) - x,
        lambda x: x.masked_fill(x > 0.1, 0.1),
        lambda x: x**1.7,
    ],
)
def test_a_number_in_a_formula_is_what_the_dtype_makes_of_it(function, dtype):
    near = torch.tensor(0.1, dtype=dtype) * (1 + torch.arange(-3, 4) * torch.finfo(dtype).eps)
    points = near.to(dtype)[:, None]
    model = Call(function)
    found = bounds_of(model, points, (float(points.min()), float(points.max())))
    values = function(points).double().numpy()
    assert (found.lower <= values.min()).all()
    assert (values.max() <= found.upper).all()


def test_rounding_keeps_a_unit_at_the_border_from_being_proved():
    """In real numbers z <= 0 everywhere; in float32 the sum comes out above 0 for some order."""
    layer = nn.Linear(3, 1)
    with torch.no_grad():
        layer.weight[:] = torch.tensor([[0.1, 0.2, 0.3]])
        layer.bias[:] = -torch.tensor(0.1).double().add(0.2).add(0.3).float()
    found = bounds_of(nn.Sequential(layer, nn.ReLU()), torch.zeros(2, 3), (0.0, 1.0))
    assert found.upper[0] > 0 and not found.dead[0]


def test_integers_may_be_any_id():
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.layer = nn.Embedding(30, 4), nn.Linear(5, 3)

        def forward(self, ids, extra):
            return torch.relu(self.layer(torch.cat([self.table(ids), extra], dim=-1)))

    model = Tagger()
    ids, extra = torch.tensor([[1, 2]]), torch.rand(1, 2, 1)
    for domain in ({"extra": (0.0, 1.0)}, (None, (0.0, 1.0)), (0.0, 1.0)):
        found = bounds_of(model, ((ids, extra), None), domain)
        with torch.no_grad():
            every = torch.arange(30).reshape(1, 30)
            for value in (0.0, 1.0):
                given = torch.full((1, 30, 1), value)
                z = model.layer(torch.cat([model.table(every), given], dim=-1))[0].double().numpy()
                assert (z >= found.lower).all() and (z <= found.upper).all()
        assert np.isfinite(found.upper).all()


def test_declared_modules_with_learned_slopes():
    model = nn.Sequential(nn.Linear(4, 6), relucid.nn.PReLU(6), nn.Linear(6, 5), relucid.nn.ReLU())
    with torch.no_grad():
        next(model[1].parameters()).copy_(torch.linspace(-1, 1, 6))
    found = bounds_of(model, torch.rand(3, 4), (-1.0, 1.0), site=1)
    x = torch.rand(20_000, 4) * 2 - 1
    with torch.no_grad():
        z = model[:3](x).double().numpy()
    assert (z >= found.lower).all() and (z <= found.upper).all()
    assert np.isfinite(found.upper).all()


def test_attention_of_torch_and_a_gated_pair():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.up, self.down = nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(12, 8)
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x):
            y = self.norm(x)
            x = x + self.attention(y, y, y, need_weights=False)[0]
            return torch.relu(self.down(F.glu(self.up(self.norm(x)))))

    model = Block().eval()
    record = observe(model, torch.rand(3, 5, 8), domain=(-1.0, 1.0))
    found = record.sites[-1].bounds
    assert record.domain.gaps == () and np.isfinite(found.upper).all()


def test_nothing_is_left_behind():
    model = planted().train()
    before = {n: p.clone() for n, p in model.named_parameters()}
    observe(model, torch.rand(5, 20), domain=(0.0, 1.0))
    assert model.training and not any(m._forward_hooks for m in model.modules())
    assert all(torch.equal(before[n], p) for n, p in model.named_parameters())
    assert not torch.overrides._get_current_function_mode_stack()


def test_the_observation_is_the_same_with_and_without_a_domain():
    model, data = planted(), torch.rand(50, 20)
    plain, bounded = observe(model, data), observe(model, data, domain=(0.0, 1.0))
    for a, b in zip(plain.sites, bounded.sites, strict=True):
        assert a.site == b.site and np.array_equal(a.fired, b.fired) and a.samples == b.samples


def test_bounds_survive_the_json_form():
    record = observe(planted(), torch.rand(5, 20), domain=(0.0, 1.0))
    (back,) = from_json(to_json([Checkup("title", "data", record, ())]))
    for a, b in zip(record.sites, back.observation.sites, strict=True):
        assert isinstance(b.bounds, Bounds) and b.bounds.dead.dtype == np.bool_
        assert np.array_equal(a.bounds.lower, b.bounds.lower)
        assert np.array_equal(a.bounds.dead, b.bounds.dead) and a.bounds.exact == b.bounds.exact
    assert back.observation.domain == record.domain


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        ((1.0, 0.0), "swap the two"),
        ((float("nan"), 1.0), "NaN or infinite"),
        ((0.0, float("inf")), "NaN or infinite"),
        ((torch.zeros(7), 1.0), "broadcast to one sample"),
        ((torch.zeros(3), torch.ones(4)), "the shape of one sample"),
        ("0..1", "give domain=(low, high)"),
        (0.5, "give domain=(low, high)"),
        ((True, False), "give domain=(low, high)"),
        ({"picture": (0.0, 1.0)}, "the model is called with"),
        ({}, "no range for the input 'input'"),
        ((0.0, 0.5), "outside the domain"),
    ],
)
def test_a_wrong_domain_is_refused_with_its_cure(domain, message):
    with pytest.raises(DomainError) as error:
        observe(planted(), torch.rand(50, 20), domain=domain)
    assert message in str(error.value)
