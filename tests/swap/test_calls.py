"""Calls in a forward go to new modules, and everything that worked before still does."""

from __future__ import annotations

import copy
import importlib
import io
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import relucid
from relucid.errors import ModelError
from relucid.probes import observe
from relucid.swap.rewrite import _subclass
from support.watching import process_state, seed, state
from support.written import (
    Base,
    Branching,
    Checkpointed,
    ChosenLeNet,
    ChosenLooped,
    Decorated,
    Derived,
    Functional,
    Iterating,
    Kept,
    LeNet,
    Looped,
    Odd,
    Registered,
    Registry,
    closed_over,
)


def _images() -> Tensor:
    return torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(2))


def _lenet() -> LeNet:
    seed()
    return LeNet()


def _truth(model: nn.Module) -> nn.Module:
    truth = ChosenLeNet(F.silu)
    truth.load_state_dict(model.state_dict())
    return truth


def test_a_functional_network_equals_the_one_written_with_silu() -> None:
    model = _lenet()
    keys = list(model.state_dict())
    swapped = relucid.swap(model, "relu", to=nn.SiLU, example=_images())
    assert [(c.path, c.kind) for c in swapped.changed] == [
        ("relu", "call"),
        ("relu#2", "call"),
        ("relu#3", "call"),
        ("relu#4", "call"),
        ("relu#5", "call"),
    ]
    assert not swapped.refused and list(model.state_dict()) == keys
    truth = _truth(model)
    for one in (model, truth):
        one(_images()).square().sum().backward()
    assert torch.equal(model(_images()), truth(_images()))
    for mine, its in zip(model.parameters(), truth.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, its.grad)
    assert type(model).__name__ == "LeNet" and isinstance(model, LeNet)
    assert swapped.changed[3].note.endswith("no longer in place")


def test_each_expression_has_a_module_of_its_own_that_is_seen_as_one() -> None:
    model = _lenet()
    swapped = relucid.swap(model, "relu", to="prelu", example=_images())
    names = ["prelu", "prelu_2", "prelu_3", "prelu_4", "prelu_5"]
    assert [n for n, _ in model.named_parameters() if "prelu" in n] == [
        f"{n}.weight" for n in names
    ]
    assert [c.note.partition("now ")[2].partition(";")[0] for c in swapped.changed] == names
    assert "written.py:3" in swapped.changed[0].note
    sites = [record.site for record in observe(model, _images()).sites]
    assert {(site.name, site.activation) for site in sites} == {(n, "prelu") for n in names}
    again = relucid.swap(model, "prelu", to="relu")
    assert [c.kind for c in again.changed] == ["module"] * 5


def test_undo_puts_the_class_back() -> None:
    model = _lenet().train()
    expected, before, process = model.eval()(_images()), None, process_state()
    model.train()
    before = state(model)
    with relucid.swap(model, "relu", to="silu", example=_images()):
        assert type(model) is not LeNet
    assert type(model) is LeNet and state(model) == before and process_state() == process
    assert torch.equal(model.eval()(_images()), expected)


def test_other_instances_of_the_class_are_left_alone() -> None:
    pair = nn.Sequential(Base(), Base())
    x = torch.randn(4, 6)
    other = copy.deepcopy(pair[0])
    relucid.swap(pair, "relu", to=nn.SiLU, at="1", example=x)
    assert torch.equal(pair[0](x), F.relu(pair[0].layer(x))) and type(pair[0]) is Base
    assert torch.equal(pair[1](x), F.silu(pair[1].layer(x)))
    assert torch.equal(other(x), pair[0](x))


def test_one_expression_in_a_loop_is_one_site() -> None:
    seed()
    model = Looped()
    x = torch.randn(4, 6)
    swapped = relucid.swap(model, "relu", to=nn.SiLU, example=x)
    assert len(swapped.changed) == 3 and not swapped.refused
    assert "one for its 3 calls in a pass" in swapped.changed[0].note
    truth = ChosenLooped()
    truth.load_state_dict(model.state_dict())
    assert torch.equal(model(x), truth(x))


def test_checkpointed_parts_run_again_with_the_new_function() -> None:
    """A mode around forward would not be there in the backward pass, and give wrong gradients."""
    seed()
    model, x = Checkpointed(), torch.randn(5, 6)
    relucid.swap(model, "relu", to=nn.SiLU, example=x)
    model(x).square().sum().backward()
    found = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    model.second(F.silu(model.first(x))).square().sum().backward()
    for mine, parameter in zip(found, model.parameters(), strict=True):
        torch.testing.assert_close(mine, parameter.grad, rtol=0, atol=0)


def test_copies_and_pickles_are_swapped_too() -> None:
    model = _lenet()
    relucid.swap(model, "relu", to="prelu", example=_images())
    expected = model(_images())
    stored = io.BytesIO()
    torch.save(model, stored)
    stored.seek(0)
    for twin in (copy.deepcopy(model), torch.load(stored, weights_only=False)):
        assert torch.equal(twin(_images()), expected) and isinstance(twin, LeNet)
        with torch.no_grad():
            twin.prelu.weight.fill_(0.9)
        assert not torch.equal(twin(_images()), expected)
        assert torch.equal(model(_images()), expected)
    fresh = _lenet()
    relucid.swap(fresh, "relu", to="prelu", example=_images())
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh(_images()), expected)


def test_a_swap_of_a_swapped_class_pickles() -> None:
    class_of = type(_lenet())
    model = _lenet()
    first = relucid.swap(model, "relu", to=nn.SiLU, at=["relu", "relu#2"], example=_images())
    second = relucid.swap(model, "relu", to=nn.Mish, example=_images())
    assert (len(first.changed), len(second.changed)) == (2, 3)
    expected = model(_images())
    stored = io.BytesIO()
    torch.save(model, stored)
    stored.seek(0)
    assert torch.equal(torch.load(stored, weights_only=False)(_images()), expected)
    second.undo()
    first.undo()
    assert type(model) is class_of


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")  # TorchScript itself
@pytest.mark.parametrize("how", ["script", "trace", "compile", "export"])
def test_compilers_see_the_new_function(how: str) -> None:
    model = _lenet().eval()
    relucid.swap(model, "relu", to=nn.SiLU, example=_images())
    expected = _truth(model).eval()(_images())
    torch.testing.assert_close(_compiled(how, model)(_images()), expected)


def _compiled(how: str, model: nn.Module) -> Any:
    if how == "script":
        return torch.jit.script(model)
    if how == "trace":
        return torch.jit.trace(model, _images())
    if how == "export":
        return torch.export.export(model, (_images(),)).module()
    return torch.compile(model, backend="aot_eager", fullgraph=True)


def test_replicas_use_their_own_parameters() -> None:
    model = _lenet()
    relucid.swap(model, "relu", to="prelu", example=_images())
    replica = model._replicate_for_data_parallel()
    replica._modules = dict(model._modules, prelu=nn.PReLU(init=0.9))
    assert not torch.equal(replica(_images()), model(_images()))


@pytest.fixture
def one_process(tmp_path: Path) -> Iterator[None]:
    store = f"file://{tmp_path / 'store'}"
    torch.distributed.init_process_group("gloo", init_method=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("one_process")
def test_ddp_trains_the_new_parameters_and_refuses_them_afterwards() -> None:
    model = _lenet()
    relucid.swap(model, "relu", to=nn.PReLU, example=_images())
    wrapped = nn.parallel.DistributedDataParallel(model)
    wrapped(_images()).square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    late = relucid.swap(wrapped, "prelu", to="relu")
    assert len(late.refused) == 5 and "swap before wrapping" in late.refused[0].why
    plain = nn.parallel.DistributedDataParallel(_lenet())
    swapped = relucid.swap(plain, "relu", to=nn.SiLU, example=_images())
    assert len(swapped.changed) == 5
    assert torch.equal(plain(_images()), _truth(plain.module)(_images()))


def test_tracebacks_show_the_code_that_runs() -> None:
    model = _lenet()
    relucid.swap(model, "relu", to="silu", example=_images())
    with pytest.raises(RuntimeError) as failed:
        model(torch.randn(2, 3, 8, 8))
    shown = [str(entry.statement) for entry in failed.traceback]
    assert any("self.silu(self.conv1(x))" in line for line in shown)


def test_what_cannot_be_routed_is_refused_by_name_and_reason() -> None:
    model, x = Odd(), torch.randn(50, 6)
    swapped = relucid.swap(model, "relu", to="silu", example=x)
    assert not swapped.changed and type(model) is Odd
    whys = [refused.why for refused in swapped.refused]
    for part in (
        "in helper, which is no method of Odd",
        "called as 'act', which is chosen at run time",
        "called as 'self.chosen[0]'",
        "clamp may be meant as a bound",
        "in Odd.wrapped, which is no method of Odd",
        "unpacked",
    ):
        assert sum(part in why for why in whys) == 1, part
    assert len(whys) == 6 and all("written.py:" in why for why in whys)


def test_a_call_inside_decorators_is_swapped_inside_copies_of_them() -> None:
    model, other, x = Decorated(), Decorated(), torch.randn(9, 6)
    other.load_state_dict(model.state_dict())
    with relucid.swap(model, "relu", to=nn.SiLU, example=x) as swapped:
        assert not swapped.refused
        assert torch.equal(model(x), F.silu(model.layer(x)).tanh() + 1.0 + 1.0)
        assert torch.equal(copy.deepcopy(model)(x), model(x))
        assert torch.equal(other(x), F.relu(model.layer(x)).tanh() + 1.0 + 1.0)
    assert torch.equal(model(x), other(x))


def test_a_branch_that_the_example_does_not_reach_is_listed() -> None:
    swapped = relucid.swap(Branching(), "relu", to="silu", example=torch.randn(9, 6))
    assert len(swapped.changed) == 1
    (refused,) = swapped.refused
    assert refused.path.startswith("relu (written.py:") and "does not reach it" in refused.why


def test_a_call_that_is_made_past_the_class_is_taken_back_and_refused() -> None:
    model, x = Kept(), torch.randn(9, 6)
    before = state(model)
    swapped = relucid.swap(model, "relu", to="silu", example=x)
    assert not swapped.changed and "something holds the method" in swapped.refused[0].why
    assert state(model) == before and type(model) is Kept


def test_a_function_of_the_scope_around_the_class_is_found() -> None:
    model, x = closed_over(F.relu)(), torch.randn(9, 6)
    relucid.swap(model, "relu", to=nn.SiLU, example=x)
    assert torch.equal(model(x), F.silu(model.layer(x)) + 1)
    with pytest.raises(ModelError, match="no relu"):
        relucid.swap(closed_over(torch.sigmoid)(), "relu", to="silu", example=x)


def test_a_pickle_whose_source_is_gone_says_so(tmp_path: Path) -> None:
    file = tmp_path / "vanishing_net.py"
    file.write_text(
        "import torch\n"
        "class Net(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        return torch.relu(x)\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        model = importlib.import_module("vanishing_net").Net()
        relucid.swap(model, "relu", to="silu", example=torch.randn(4))
        stored = pickle.dumps(model)
        file.write_text("")
        _subclass.cache_clear()  # as in another process
        with pytest.raises(ModelError, match="Load its state_dict"):
            pickle.loads(stored)
    finally:
        sys.path.remove(str(tmp_path))
        del sys.modules["vanishing_net"]


def test_a_class_that_notices_its_subclasses_does_not_notice() -> None:
    model, x = Registered(), torch.randn(9, 6)
    known = list(Registry.known)
    relucid.swap(model, "relu", to=nn.SiLU, example=x)
    assert torch.equal(model(x), F.silu(model.layer(x))) and Registry.known == known
    assert torch.equal(copy.deepcopy(model)(x), model(x))


def test_calls_through_super_and_in_containers_are_refused() -> None:
    x = torch.randn(20, 6)
    swapped = relucid.swap(Derived(), "relu", to="silu", example=x)
    assert len(swapped.changed) == 1
    assert "Base.forward is called through super()" in swapped.refused[0].why
    layers = Iterating(nn.Linear(6, 6), nn.Linear(6, 6))
    assert "one of its layers" in relucid.swap(layers, "relu", to="silu", example=x).refused[0].why


def test_source_that_is_not_what_runs_is_refused(tmp_path: Path) -> None:
    text = (
        "import torch\n"
        "class Net(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        return torch.relu(x)\n"
    )
    file = tmp_path / "net.py"
    file.write_text(text)
    namespace: dict[str, Any] = {"__name__": "net"}
    exec(compile(text, str(file), "exec"), namespace)
    model = namespace["Net"]()
    with relucid.swap(model, "relu", to="silu", example=torch.randn(4)) as swapped:
        assert swapped.changed
    file.write_text(text.replace("torch.relu(x)", "torch.relu(x) + 1"))
    assert (
        "is not what runs" in relucid.swap(model, to="silu", example=torch.randn(4)).refused[0].why
    )
    file.unlink()
    assert "not at hand" in relucid.swap(model, to="silu", example=torch.randn(4)).refused[0].why


def test_a_function_held_in_a_list_is_told() -> None:
    class Listed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act = nn.ReLU()
            self.all = [self.act]

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.all[0](x)
            return y

    swapped = relucid.swap(Listed(), "relu", to="silu", example=torch.randn(9))
    assert [c.path for c in swapped.changed] == ["act"]
    assert "self.all[0]" in swapped.refused[0].why


def test_without_an_example_it_says_that_calls_were_not_sought() -> None:
    model = nn.Sequential(nn.ReLU(), Base())
    swapped = relucid.swap(model, "relu", to="silu")
    assert not swapped.calls_sought and "not looked for" in str(swapped)
    with pytest.raises(ModelError, match="pass example="):
        relucid.swap(Base(), "relu", to="silu")


def test_an_activation_that_the_call_does_not_fit_changes_nothing() -> None:
    class Sloped(Functional):
        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.act(self.first(x), 0.3)
            return y

    model = Sloped(F.leaky_relu)
    with pytest.raises(ModelError, match="fails on the example; nothing was changed"):
        relucid.swap(model, "leaky_relu", to="silu", example=torch.randn(2, 6))
    assert model.act is F.leaky_relu and "act" not in model._modules
