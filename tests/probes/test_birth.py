"""Where NaN and infinity are born: planted, and found again."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from relucid.probes import find_birth, observe
from relucid.records import Birth


class Planted(nn.Module):
    """A network with one bad operation in ``bad``."""

    class Bad(nn.Module):
        def __init__(self, operation):
            super().__init__()
            self.operation = operation

        def forward(self, x):
            return self.operation(x)

    def __init__(self, operation):
        super().__init__()
        self.first, self.bad, self.last = nn.Linear(4, 4), self.Bad(operation), nn.Linear(4, 4)

    def forward(self, x):
        return F.relu(self.last(self.bad(self.first(x))))


ZERO = torch.zeros(4)
BIRTHS = [
    (lambda x: torch.log(x * 0), "log", "inf"),
    (lambda x: torch.log(-x.abs()), "log", "nan"),
    (lambda x: x / (x * 0).sum(), "div", "inf"),
    (lambda x: ZERO / (x * 0), "div", "nan"),
    (lambda x: torch.exp(x.abs() * 1e4), "exp", "inf"),
    (lambda x: torch.sqrt(-x.abs() - 1), "sqrt", "nan"),
    (lambda x: (x.abs() + 1).mul_(3e38).mul_(10), "mul", "inf"),
    (lambda x: (x * 1e6).half().float(), "_to_copy", "inf"),
    (lambda x: torch.softmax(x.masked_fill(x == x, float("-inf")), -1), "softmax", "nan"),
]


@pytest.mark.parametrize(("operation", "name", "value"), BIRTHS)
def test_the_first_bad_operation_is_named(operation, name, value):
    model, x = Planted(operation), torch.randn(3, 4)
    birth = find_birth(model, lambda: model(x), batch=5)
    assert (birth.module, birth.operation, birth.value) == ("bad", name.strip("_"), value)
    assert birth.source.startswith("tests/probes/test_birth.py:")
    assert (birth.batch, birth.phase) == (5, "forward")


DELIBERATE = [
    lambda x: torch.softmax(x.masked_fill(x > 0.5, float("-inf")), -1),
    lambda x: x + torch.softmax(torch.where(x > 1, torch.full((), float("-inf")), x), -1),
    lambda x: torch.softmax(x + torch.full((4, 4), -torch.inf).triu(1)[: len(x)], -1),
    lambda x: torch.full_like(x, torch.inf).minimum(x),
    lambda x: torch.empty(4).fill_(-torch.inf).maximum(x),
    lambda x: x,
]


@pytest.mark.parametrize("operation", DELIBERATE)
def test_infinities_written_on_purpose_are_no_births(operation):
    model, x = Planted(operation), torch.randn(3, 4)
    assert find_birth(model, lambda: model(x), lambda out: out.sum()) is None


def test_births_in_the_backward_pass():
    """sqrt has an infinite slope at zero; the value is fine."""
    model, x = Planted(lambda x: torch.sqrt(x * 0)), torch.randn(3, 4)
    assert find_birth(model, lambda: model(x)) is None
    birth = find_birth(model, lambda: model(x), lambda out: (out + 1).log().sum())
    assert (birth.module, birth.operation) == ("bad", "SqrtBackward0")
    assert birth.phase == "backward" and birth.source.startswith("tests/probes/test_birth.py:")


def test_births_in_the_loss():
    model, x = Planted(lambda x: x), torch.randn(3, 4)
    birth = find_birth(model, lambda: model(x), lambda out: (out * 0).log().sum())
    assert (birth.module, birth.operation) == ("(loss)", "log")


def test_parameters_and_buffers_that_are_already_bad():
    model, x = Planted(lambda x: x), torch.randn(3, 4)
    with torch.no_grad():
        model.last.bias[2] = torch.nan
    birth = find_birth(model, lambda: model(x))
    assert (birth.module, birth.operation, birth.value) == ("last", "parameter bias", "nan")
    model = Planted(lambda x: x)
    model.register_buffer("mask", torch.full((2,), -torch.inf))
    assert find_birth(model, lambda: model(x)) is None


def test_nothing_is_left_behind():
    model, x = Planted(lambda x: torch.sqrt(x * 0)), torch.randn(3, 4)
    model.drop, model.norm = nn.Dropout(), nn.BatchNorm1d(4)
    model.first.weight.grad = held = torch.ones(4, 4)
    state, mean = torch.get_rng_state(), model.norm.running_mean.clone()
    find_birth(model, lambda: model.drop(model.norm(model(x))), lambda out: out.sum())
    assert model.first.weight.grad is held and torch.equal(held, torch.ones(4, 4))
    assert model.last.weight.grad is None and model.training
    assert torch.equal(model.norm.running_mean, mean)
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_observe_looks_for_the_birth_in_the_batch_that_has_it():
    model = Planted(lambda x: torch.log(x.abs() - 1e-3 * (x.abs() > 50)))
    batches = [torch.randn(3, 4), torch.randn(3, 4), torch.zeros(3, 4)]
    with torch.no_grad():
        model.first.bias.zero_()
    record = observe(model, batches)
    (birth,) = record.births
    assert (birth.module, birth.operation, birth.value, birth.batch) == ("bad", "log", "inf", 2)
    assert record.sites[0].samples == 9, "the search itself is not counted"
    assert record.sites[0].nonfinite_in > 0


def test_observe_names_the_data_if_they_are_bad():
    x = torch.randn(3, 4)
    x[1, 2] = torch.nan
    record = observe(Planted(lambda x: x), x)
    assert record.births == (Birth("", "input data", "nan", None, 0),)


def test_observe_finds_births_in_loss_and_backward():
    model, x = Planted(lambda x: torch.sqrt(x * 0) + x), torch.randn(3, 4)
    (birth,) = observe(model, x, lambda out, _: (out * 0).log().sum()).births
    assert (birth.module, birth.phase) == ("(loss)", "forward")
    (birth,) = observe(model, x, lambda out, _: out.sum()).births
    assert (birth.module, birth.phase) == ("bad", "backward")


def test_a_healthy_model_has_no_births():
    assert observe(Planted(lambda x: x), torch.randn(3, 4), lambda out, _: out.sum()).births == ()
