"""What an activation leaves as it is, whose output it gets, and what it learns."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import relucid
from relucid.functions import Elementwise, catalogue
from relucid.probes import observe
from relucid.probes.counters.unchanged import identity_region

WITH_REGION = {"identity", "relu", "leaky_relu", "prelu", "rrelu", "hardtanh", "relu6", "threshold",
               "elu", "celu", "hardswish"}  # fmt: skip


class _One(nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.act = relucid.nn.make(name)

    def forward(self, z: Tensor) -> Tensor:
        return self.act(z)


def test_which_functions_have_an_identity_region() -> None:
    """By their definitions; softsign, SELU and hard shrink have none between two joints."""
    functions = [relucid.get(name) for name in catalogue()]
    found = {f.name for f in functions if isinstance(f, Elementwise) and identity_region(f)}
    assert found == WITH_REGION
    assert identity_region(relucid.get("relu6")) == (0.0, 6.0)
    assert identity_region(relucid.get("hardtanh", min_val=-3.0, max_val=2.0)) == (-3.0, 2.0)


@pytest.mark.parametrize("name", sorted(WITH_REGION - {"identity"}))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_unchanged_counts_what_comes_out_as_it_went_in(name: str, dtype: torch.dtype) -> None:
    """Beside a comparison of h with z, at joints and at infinity too; NaN is left out."""
    torch.manual_seed(0)
    function = relucid.get(name)
    low, high = identity_region(function) or (0.0, 0.0)
    z = (4 * torch.randn(300, 5)).to(dtype)
    z[0], z[1], z[2], z[3] = low, min(high, 50.0), torch.inf, torch.nan
    (record,) = observe(_One(name), z).sites
    same = (function(z.double()) == z.double()).sum(0)
    assert record.more["unchanged"].tolist() == same.tolist()


class _Chain(nn.Module):
    """Activations behind each other, with operations between them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.norm, self.act = nn.Linear(8, 8), nn.LayerNorm(8), nn.PReLU()
        self.own = relucid.nn.make("prelu")

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.layer(x))
        x = torch.tanh(functional.dropout(x).flatten(1)[:, :8])
        x = torch.sigmoid(self.norm(x))
        x = self.act(x - 0.5)
        x = functional.prelu(self.layer(x), self.act.weight)
        return self.own(functional.max_pool1d(x[:, None], 2))


def test_what_a_site_follows_and_learns() -> None:
    """Pooling and dropout keep values; a normalisation, a number or a layer makes new ones."""
    sites = {r.site.name: r for r in observe(_Chain(), torch.randn(50, 8)).sites}
    assert {name: record.follows for name, record in sites.items()} == {
        "relu": None, "tanh": "relu", "sigmoid": None, "act": None, "prelu": None, "own": "prelu",
    }  # fmt: skip
    assert {name: record.site.learned for name, record in sites.items()} == {
        "relu": (), "tanh": (), "sigmoid": (), "act": ("act.weight",), "prelu": ("act.weight",),
        "own": ("own.weight",),
    }  # fmt: skip


def test_torchs_prelu_is_the_declared_one_with_its_slope() -> None:
    """The slope that PyTorch calls weight is the declaration's negative_slope."""
    model = nn.Sequential(nn.Linear(4, 8), nn.PReLU(init=0.125))
    (record,) = observe(model, torch.randn(50, 4)).sites
    assert record.site.activation == "prelu"
    assert record.site.parameters == {"negative_slope": 0.125}
    assert record.histogram is not None
    assert record.histogram.curve[0] == pytest.approx(0.125 * record.histogram.edges[0])
