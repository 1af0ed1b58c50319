"""relucid.sparse.MLP computes its formula, trains, loads and says what it needs."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import relucid
from relucid.errors import ParameterError
from relucid.sparse import MLP, CertifiedLinear
from support.sparse_models import outputs

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("activation", ["relu", "squared_relu", "thresholded_relu", "hardshrink"])
def test_mlp_computes_its_formula(activation: str, gated: bool) -> None:
    block, x = MLP(16, 64, activation, gated=gated).eval(), torch.randn(2, 3, 16)
    act = relucid.get(activation)
    first = block.gate if gated else block.up
    z = F.linear(x, first.weight, first.bias)
    h = act(z) * F.linear(x, block.up.weight, block.up.bias) if gated else act(z)
    expected = F.linear(h, block.down.weight, block.down.bias)
    torch.testing.assert_close(outputs(block, x), expected.detach())
    assert block.down.seen.sparse == 1
    assert isinstance(first, CertifiedLinear) == (activation != "hardshrink")


def test_mlp_trains_loads_and_changes_its_dtype() -> None:
    block, x = MLP(16, 64, bias=False, gated=True), torch.randn(2, 16)
    optimizer = torch.optim.SGD(block.parameters(), lr=0.1)
    for _ in range(2):
        block(x).square().sum().backward()
        optimizer.step()
    trained = outputs(block, x)
    block.eval()
    torch.testing.assert_close(outputs(block, x), trained)
    assert block.gate.seen.sparse == block.up.seen.sparse == 1
    other = MLP(16, 64, bias=False, gated=True).eval()
    other.load_state_dict(block.state_dict())
    torch.testing.assert_close(outputs(copy.deepcopy(other), x), trained)
    assert other.to(torch.bfloat16)(x.bfloat16()).dtype is torch.bfloat16
    assert "width=16" in repr(block)


def test_mlp_needs_zeros() -> None:
    with pytest.raises(ParameterError, match=r"gelu gives no exact zeros.*squared_relu"):
        MLP(8, 16, "gelu")
    assert type(MLP(8, 16, certify=False).up) is nn.Linear
