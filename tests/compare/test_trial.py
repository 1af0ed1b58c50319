"""Trials on the user's side: what ranks first, what is left alone, and what ends early."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import relucid
from relucid.compare import try_prescriptions
from relucid.errors import LossError, ModelError, ParameterError
from relucid.probes import observe
from relucid.records import Finding, Outcome, Prescription, Severity, Trials
from support.networks import LOSS, digits, mlp, train

SGD = torch.optim.SGD
DATA = digits(800)


def _dead_layer() -> tuple[nn.Module, torch.optim.Optimizer]:
    model = mlp(depth=4)
    nn.init.constant_(model[3].bias, -1e3)
    return model, SGD(model.parameters(), lr=0.05, momentum=0.9)


def _trials(model: nn.Module, **settings: Any) -> Trials:
    plan = relucid.Trial(**{"steps": 100, "seeds": 3, **settings})
    found = relucid.checkup(model, DATA, LOSS, trial=plan).checkups[0].trials
    assert found is not None
    return found


def _asked(model: nn.Module, *names: str, data: Any = DATA, **settings: Any) -> Trials:
    """Try prescriptions that no rule gave."""
    asked = tuple(
        Prescription("", None, name, ("relu", "gelu") if name == "swap_activation" else ())
        for name in names
    )
    return try_prescriptions(
        model,
        data,
        LOSS,
        observation=observe(model, data, LOSS),
        findings=[Finding("", Severity.ILL, "", "", prescriptions=asked)],
        plan=relucid.Trial(**{"steps": 20, "seeds": 2, **settings}),
    )


def test_a_dead_layer_is_cured_by_a_new_start_for_it() -> None:
    model, optimizer = _dead_layer()
    found = _trials(model, optimizer=optimizer)
    first = found.tried[0]
    assert (first.name, first.outcome) == ("reinitialise_dead", Outcome.HELPS)
    assert first.difference is not None
    assert first.difference.high < 0.5
    assert found.recommended[0] is first
    assert first.runs[0].dead is not None
    assert found.untouched[0].dead is not None
    assert first.runs[0].dead < 0.1 < found.untouched[0].dead
    assert found.at_start is not None
    assert found.at_start.loss == found.before
    assert found.at_start.dead is not None
    assert found.at_start.dead >= 0.25  # one of four layers
    assert (found.training, found.held_out, found.batch) == (640, 160, 100)


def test_a_rate_that_kills_units_is_lowered() -> None:
    model = mlp()
    optimizer = SGD(model.parameters(), lr=2.0)
    train(model, digits(), 2.0, 3)
    found = _trials(model, optimizer=optimizer, steps=200)
    assert found.tried[0].name == "lower_learning_rate"
    assert found.tried[0].outcome is Outcome.HELPS


def test_a_healthy_network_is_given_no_advice() -> None:
    """Its tips are not tried, and what nobody asked for is not said to help."""
    model = train(mlp(), digits(), 0.05, 6, momentum=0.9)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    health = relucid.checkup(model, DATA, LOSS, trial=relucid.Trial(optimizer=optimizer))
    assert health.worst is Severity.TIP
    assert health.checkups[0].trials is not None
    assert health.checkups[0].trials.tried == ()
    names = ("right_gain", "clip_gradients", "reinitialise_dead")
    unasked = _asked(model, *names, optimizer=optimizer, steps=100, seeds=4)
    assert [tried.outcome for tried in unasked.tried if tried.difference is None] == []
    assert unasked.recommended == ()


def test_the_model_its_optimizer_and_random_states_are_left_alone() -> None:
    model = nn.Sequential(
        *(nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout()),
        nn.Linear(16, 10),
    )
    model[2].eval()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    LOSS(model(DATA[0][0]), DATA[0][1]).backward()
    optimizer.step()
    weights, state = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    modes, numbers = [m.training for m in model.modules()], torch.get_rng_state()
    found = _asked(model, "right_gain", "swap_activation", "add_normalisation", optimizer=optimizer)
    assert {tried.outcome for tried in found.tried} != {Outcome.NOT_TRIED}
    assert torch.equal(numbers, torch.get_rng_state())
    assert modes == [m.training for m in model.modules()]
    assert all(torch.equal(weights[n], v) for n, v in model.state_dict().items())
    assert all(
        torch.equal(a, p.grad) for a, p in zip(gradients, model.parameters(), strict=True)
        if p.grad is not None
    )  # fmt: skip
    after = optimizer.state_dict()
    assert state["param_groups"] == after["param_groups"]
    for number, held in state["state"].items():
        assert all(torch.equal(v, after["state"][number][k]) for k, v in held.items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_copies_differ_in_nothing_but_the_change() -> None:
    """A change that changes nothing gives the untouched copies' losses to the last bit."""
    model = mlp()
    model.insert(3, nn.Dropout(0.5))
    found = _asked(model, "clip_gradients", optimizer=lambda parameters: SGD(parameters, lr=1e-3))
    assert [run.loss for run in found.tried[0].runs] == [run.loss for run in found.untouched]
    assert len({run.loss for run in found.untouched}) == 2
    assert found.tried[0].outcome is Outcome.NO_DIFFERENCE


def test_the_optimizers_state_goes_with_it() -> None:
    """A copy trained on equals the model trained on, on the same batches."""
    from relucid.compare.learner import copied
    from relucid.compare.samples import split

    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for images, labels in DATA[:3]:
        optimizer.zero_grad()
        LOSS(model(images), labels).backward()
        optimizer.step()
    samples, learner = split(DATA), copied(model, optimizer)
    assert list(learner.train(samples.in_order(0), 5, LOSS)) == [1, 2, 3, 4, 5]
    # Over the second half the learning rate falls to zero.
    for rate, batch in zip((1e-2, 1e-2, 1e-2, 8e-3, 4e-3), samples.in_order(0), strict=False):
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        LOSS(batch.call(model), batch.target).backward()
        optimizer.step()
    for one, other in zip(model.parameters(), learner.model.parameters(), strict=True):
        assert torch.equal(one, other)
        assert one is not other


def test_the_time_is_kept_and_what_is_complete_is_reported() -> None:
    model, optimizer = _dead_layer()
    begun = time.monotonic()
    found = _asked(
        model, "right_gain", "clip_gradients", optimizer=optimizer, steps=10**6, seconds=0.5
    )
    assert time.monotonic() - begun < 120  # and not the hours that so many steps take
    assert "0.5 seconds" in found.stopped
    assert {tried.outcome for tried in found.tried} == {Outcome.NO_EVIDENCE}
    assert found.recommended == ()


def test_an_interrupt_keeps_what_is_complete() -> None:
    """Ctrl-C in the second seed: the first is reported, and shows nothing by itself."""
    model, optimizer = _dead_layer()

    def interrupt(done: int, total: int) -> None:
        assert total == 2 * 2 * 20
        if done == 50:
            raise KeyboardInterrupt

    found = _asked(model, "reinitialise_dead", optimizer=optimizer, progress=interrupt)
    assert found.stopped == "it was interrupted"
    assert len(found.untouched) == 1
    assert found.tried[0].difference is not None
    assert found.tried[0].difference.pairs == 1
    assert found.tried[0].outcome is Outcome.NO_EVIDENCE


def test_without_an_optimizer_its_steps_are_not_judged() -> None:
    found = _asked(mlp(), "lower_learning_rate", "clip_gradients", "right_gain")
    outcomes = {tried.name: tried for tried in found.tried}
    assert outcomes["lower_learning_rate"].outcome is Outcome.NOT_TRIED
    assert outcomes["clip_gradients"].outcome is Outcome.NOT_TRIED
    assert outcomes["right_gain"].outcome is not Outcome.NOT_TRIED
    assert "Adam" in found.optimizer
    assert "none was given" in found.optimizer


def test_a_change_under_which_the_model_cannot_run_ends_alone() -> None:
    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(64, 32), nn.Linear(32, 10)

        def forward(self, x: Tensor) -> Tensor:
            inputs = self.first.weight.shape[1]  # not to be had once the layer is wrapped
            out: Tensor = self.last(torch.relu(self.first(x.reshape(-1, inputs))))
            return out

    found = _asked(Reads(), "add_normalisation", "right_gain")
    changed = {tried.name: tried for tried in found.tried}
    assert changed["add_normalisation"].outcome is Outcome.NOT_TRIED
    assert "'weight'" in changed["add_normalisation"].change
    assert found.untouched


def test_too_few_samples_and_nothing_to_train() -> None:
    few = _asked(mlp(), "right_gain", data=digits(60, 20))
    assert (few.tried, few.stopped) == (
        (),
        "60 samples are too few for a trial: give at least 100",
    )
    frozen = mlp().requires_grad_(False)
    assert "requires a gradient" in _asked(frozen, "right_gain").stopped


def test_an_iterator_serves_both() -> None:
    def once() -> Iterator[Any]:
        yield from DATA

    health = relucid.checkup(mlp(), once(), LOSS, trial=relucid.Trial(steps=1, seeds=1))
    assert health.observation.samples == 800
    assert health.checkups[0].trials is not None
    assert health.checkups[0].trials.training == 640


class _Held(nn.Module):
    """Keeps a tensor with a history, which Python cannot copy."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.relu = nn.Linear(64, 10), nn.ReLU()
        self.kept = self.layer.weight * 2.0

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.relu(self.layer(x.flatten(1)))
        return out


def test_errors_name_the_cure() -> None:
    with pytest.raises(LossError, match="loss="):
        relucid.checkup(mlp(), DATA, trial=True)
    with pytest.raises(ModelError, match="cannot be copied"):
        _asked(_Held(), "right_gain")
    with pytest.raises(ModelError, match="not this model's"):
        _asked(mlp(), "right_gain", optimizer=SGD(mlp().parameters(), lr=0.1))
    with pytest.raises(ModelError, match="returned a int"):
        _asked(mlp(), "right_gain", optimizer=lambda parameters: 3)


@pytest.mark.parametrize(
    "settings", [{"steps": 0}, {"seeds": 1.5}, {"seconds": -1.0}, {"optimizer": 3}]
)
def test_settings_that_make_no_sense(settings: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=next(iter(settings))):
        relucid.Trial(**settings)


def test_records_are_read_back() -> None:
    model, optimizer = _dead_layer()
    health = relucid.checkup(model, DATA, LOSS)
    trials = _asked(model, "right_gain", "swap_activation", optimizer=optimizer)
    health = relucid.Health((replace(health.checkups[0], trials=trials),))
    again = relucid.Health.from_json(health.to_json())
    assert again.checkups[0].trials == trials
