"""The stacked engine: each of its runs is what it is by itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import relucid
from relucid.compare.engines import sequential, stacked
from relucid.compare.experiment import Choice, Experiment, Job
from relucid.compare.subject import Subject
from relucid.errors import EngineError, ModelError
from relucid.records.comparison import Ending, Point, Trained
from support.networks import LOSS, Transformer, cnn, digits

Runs = dict[Job, Trained]

IMAGES, LABELS = (torch.cat(parts) for parts in zip(*digits(400), strict=True))
"""320 to train on: five batches of 64 are an epoch."""
EPOCH = 5
NAMES = ("relu", "elu", "prelu")


def _mlp(activation: Callable[[], nn.Module]) -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 16), activation(), nn.Linear(16, 12), activation(),
        nn.Linear(12, 10),
    )  # fmt: skip


def _sgd(parameters: Iterator[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-3)


def _experiment(
    build: Callable[..., nn.Module] = _mlp,
    *,
    names: tuple[str, ...] = NAMES,
    seeds: int = 2,
    steps: int = 2 * EPOCH,
    loss: Any = LOSS,
    optimizer: Any = _sgd,
    data: Any = (IMAGES, LABELS),
) -> Experiment:
    subject = Subject("digits", build, data, loss, optimizer, "accuracy")
    choices = tuple(Choice(name, relucid.get(name)) for name in names)
    return Experiment(subject, choices, names[0], None, tuple(range(seeds)), steps, points=4)


def _runs(engine: Any, experiment: Experiment, **options: Any) -> Runs:
    found = list(engine.run(experiment, experiment.jobs(), **options))
    runs = {Job(run.candidate, run.seed): run for run in found}
    assert len(runs) == len(found) == len(experiment.jobs())
    return runs


def _check_alike(some: Runs, others: Runs, rounding: float = 1e-4) -> None:
    """Curves, and what is measured at the end, are the same but for rounding."""
    assert some.keys() == others.keys()
    for job, one in some.items():
        other = others[job]
        assert (one.ending, one.why) == (other.ending, other.why), job
        assert [p.step for p in one.curve] == [p.step for p in other.curve]
        for a, b in zip(one.curve, other.curve, strict=True):
            assert a.loss == pytest.approx(b.loss, rel=rounding, nan_ok=True), (job, a.step)
            assert a.training == pytest.approx(b.training, rel=rounding, nan_ok=True)
            assert a.quality == pytest.approx(b.quality, abs=0.02)  # one sample of 80
        if one.ending is Ending.COMPLETE:
            assert one.dead == pytest.approx(other.dead, abs=0.04)  # one unit of 28
            assert one.sparsity == pytest.approx(other.sparsity, abs=0.01)
            assert one.gradient == pytest.approx(other.gradient, rel=0.01)


def _check(experiment: Experiment, **options: Any) -> Runs:
    found = _runs(stacked, experiment, **options)
    _check_alike(found, _runs(sequential, experiment))
    return found


def test_each_run_is_what_it_is_by_itself() -> None:
    found = _check(_experiment(steps=4 * EPOCH))
    for run in found.values():
        assert run.ending is Ending.COMPLETE
        assert run.curve[-1].loss < 0.9 * run.curve[0].loss  # it did learn


def test_fused_kernels_run() -> None:
    experiment = _experiment(names=("relu", "gelu", "mish"))
    with relucid.route("llvm"):  # refuses anything else
        assert len(_runs(stacked, experiment)) == 6


@pytest.mark.parametrize(
    "make",
    [
        partial(torch.optim.SGD, lr=0.1, momentum=0.9, nesterov=True),
        partial(torch.optim.Adam, lr=0.01, amsgrad=True),
        partial(torch.optim.Adam, lr=0.01, fused=True),
        partial(torch.optim.Adam, lr=0.01, foreach=True, maximize=False),
        partial(torch.optim.AdamW, lr=0.01, weight_decay=0.1),
        partial(torch.optim.NAdam, lr=0.01),
        partial(torch.optim.RAdam, lr=0.01),
        partial(torch.optim.Adamax, lr=0.01),
        partial(torch.optim.Adadelta, lr=1.0),
        partial(torch.optim.Adagrad, lr=0.01, initial_accumulator_value=0.5),
        partial(torch.optim.RMSprop, lr=0.003, momentum=0.9, centered=True),
        partial(torch.optim.Rprop, lr=0.001),
        partial(torch.optim.ASGD, lr=0.1),
    ],
    ids=lambda make: "-".join((make.func.__name__, *make.keywords)),
)
def test_optimizers_do_to_each_model_what_its_own_would(make: Any) -> None:
    """Also after some of the models are gone."""
    experiment = _experiment(names=("tanh", "prelu"), optimizer=make, steps=8)

    def report(job: Job, point: Point) -> bool:
        return job == Job("tanh", 0) and point.step >= 4

    found = _runs(stacked, experiment, report=report)
    # Rprop takes signs of differences of gradients, which rounding may turn
    _check_alike(found, _runs(sequential, experiment, report=report), rounding=1e-3)


def test_groups_of_parameters_keep_their_settings() -> None:
    def groups(parameters: Iterator[nn.Parameter]) -> torch.optim.Optimizer:
        split: dict[bool, list[nn.Parameter]] = {True: [], False: []}
        for parameter in parameters:
            split[parameter.ndim > 1].append(parameter)
        decayed = {"params": split[True], "weight_decay": 0.3, "lr": 0.05}
        return torch.optim.SGD([decayed, {"params": split[False]}], lr=0.1)

    _check(_experiment(optimizer=groups))


def test_convolutions_and_batch_normalisation() -> None:
    def build(activation: Callable[[], nn.Module]) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), activation(),
            nn.Conv2d(4, 6, 3, padding="same", bias=False), activation(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(54, 10),
        )  # fmt: skip

    _check(_experiment(build, names=("relu", "elu")))


def test_deeper_networks() -> None:
    _check(_experiment(lambda activation: cnn(activation=activation), names=("relu", "silu")))


def test_attention() -> None:
    def build(activation: Callable[[], nn.Module]) -> nn.Module:
        return Transformer(activation())

    _check(_experiment(build, names=("relu", "gelu"), optimizer=None))


def test_frozen_and_tied_weights() -> None:
    class Tied(nn.Module):
        def __init__(self, activation: Callable[[], nn.Module]) -> None:
            super().__init__()
            self.first = nn.Linear(64, 64)
            self.second = nn.Linear(64, 64)
            self.second.weight = self.first.weight
            self.scores = nn.Linear(64, 10)
            self.scores.bias.requires_grad_(False)
            self.activation = activation()  # at two sites

        def forward(self, x: Tensor) -> Tensor:
            x = self.activation(self.first(x.flatten(1)))
            found: Tensor = self.scores(self.activation(self.second(x)))
            return found

    _check(_experiment(Tied))


def test_activations_that_write_in_place() -> None:
    def build(activation: Callable[[], nn.Module]) -> nn.Module:
        model = _mlp(activation)
        for module in model.modules():
            if hasattr(module, "inplace"):
                module.inplace = True
        return model

    _check(_experiment(build, names=("relu", "elu")))


def test_swapped_activations_beside_the_model_s_own() -> None:
    def build() -> nn.Module:
        return _mlp(partial(nn.ReLU, inplace=True))

    subject = Subject("digits", build, (IMAGES, LABELS), LOSS, _sgd, "accuracy")
    choices = Choice("relu", None), Choice("silu", relucid.get("silu"))
    _check(Experiment(subject, choices, "relu", "relu", (0, 1), EPOCH))


def test_a_dictionary_is_a_batch_too() -> None:
    class Named(nn.Module):
        def __init__(self, activation: Callable[[], nn.Module]) -> None:
            super().__init__()
            self.inner = _mlp(activation)

        def forward(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
            scores = self.inner(images)
            return {"scores": scores, "loss": LOSS(scores, labels)}

    data = {"images": IMAGES, "labels": LABELS}
    experiment = _experiment(Named, data=data, loss=lambda output, _: output["loss"])
    subject = experiment.subject
    # There is no accuracy of a dictionary
    plain = Subject(subject.name, subject.build, data, subject.loss, _sgd, "loss")
    _check(Experiment(plain, experiment.choices, "relu", None, (0, 1), EPOCH))


class _Louder(nn.Module):
    """Multiplies by a number that grows a hundredfold in each training step."""

    volume: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("volume", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.volume *= 100.0
        return x * self.volume


def test_a_run_that_diverges_does_not_disturb_the_others() -> None:
    """Squared twice, 1e10 overflows in float32, after the fifth step."""
    experiment = _experiment(
        lambda activation: nn.Sequential(_Louder(), _mlp(activation)),
        names=("relu", "squared_relu", "tanh"),
        optimizer=partial(torch.optim.SGD, lr=1e-30),
    )
    for job, run in _check(experiment).items():
        diverges = job.candidate == "squared_relu"
        assert run.ending is (Ending.DIVERGED if diverges else Ending.COMPLETE)
        assert run.curve[-1].step == (5 if diverges else 10)
        assert math.isfinite(run.curve[-1].loss) is not diverges


def test_a_hopeless_run_is_given_up() -> None:
    told: list[tuple[Job, int]] = []

    def report(job: Job, point: Point) -> bool:
        told.append((job, point.step))
        return job == Job("elu", 1) and point.step >= 5

    experiment = _experiment()
    found = _runs(stacked, experiment, report=report)
    given_up = found[Job("elu", 1)]
    assert (given_up.ending, given_up.why) == (Ending.PRUNED, "given up after 5 steps")
    assert [step for job, step in told if job == Job("elu", 1)] == [0, 2, 5]
    assert [step for job, step in told if job == Job("elu", 0)] == [0, 2, 5, 8, 10]
    _check_alike(found, _runs(sequential, experiment, report=report))


def test_a_candidate_that_cannot_be_built_fails_alone() -> None:
    def build(activation: Callable[[], nn.Module]) -> nn.Module:
        if "ELU" in type(activation()).__name__.removeprefix("R").removeprefix("PR"):
            raise ModelError("no ELU here")
        return _mlp(activation)

    found = _check(_experiment(build))
    assert found[Job("elu", 0)].ending is Ending.FAILED
    assert found[Job("elu", 0)].why == "no ELU here"
    assert found[Job("prelu", 0)].ending is Ending.COMPLETE


def test_an_error_in_the_middle_keeps_what_was_measured() -> None:
    steps: list[int] = []

    def report(job: Job, point: Point) -> bool:
        steps.append(point.step)
        return False

    def loss(output: Tensor, target: Tensor) -> Tensor:
        if 5 in steps:
            raise ValueError("it is Friday")
        found: Tensor = LOSS(output, target)
        return found

    runs = _runs(stacked, _experiment(loss=loss), report=report)
    for run in runs.values():
        assert run.ending is Ending.FAILED
        assert "it is Friday" in run.why
        assert [point.step for point in run.curve] == [0, 2, 5]


def test_runs_that_do_not_fit_into_memory_take_turns() -> None:
    experiment = _experiment()
    first = next(stacked.run(experiment, experiment.jobs(), memory=1))
    assert first.candidate == "relu"
    _check(experiment, memory=1)


def test_time_is_shared_out() -> None:
    runs = _runs(stacked, _experiment())
    seconds = {run.seconds for run in runs.values()}
    assert len(seconds) == 1
    assert seconds.pop() > 0.0


def test_it_can_be_closed_early() -> None:
    experiment = _experiment()
    runs = stacked.run(experiment, experiment.jobs())
    next(runs)
    runs.close()
    assert list(runs) == []


class _Counted(nn.Linear):
    """Does another thing at each call, of whichever model."""

    calls = 0

    def forward(self, input: Tensor) -> Tensor:
        type(self).calls += 1
        return super().forward(input) * self.calls


def _with(layer: Callable[[], nn.Module]) -> Callable[..., nn.Module]:
    return lambda activation: nn.Sequential(_mlp(activation), activation(), layer())


def _wider_for_elu(activation: Callable[[], nn.Module]) -> nn.Module:
    width = 12 if type(activation()).__name__ == "ELU" else 16
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), activation(), nn.Linear(width, 10))


def _deeper_for_elu(activation: Callable[[], nn.Module]) -> nn.Module:
    more = [activation()] if type(activation()).__name__ == "ELU" else []
    return nn.Sequential(_mlp(activation), *more)


def _read(output: Tensor, target: Tensor) -> Tensor:
    loss: Tensor = LOSS(output, target)
    return loss if loss.item() > 0.0 else 2.0 * loss


class _Clipped(torch.optim.SGD):
    """Looks at all parameters together."""


def _hooked(parameters: Iterator[nn.Parameter]) -> torch.optim.Optimizer:
    made = torch.optim.SGD(parameters, lr=0.1)
    made.register_step_pre_hook(lambda *_: None)
    return made


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"build": _with(lambda: nn.AlphaDropout(0.5))}, "random numbers"),
        ({"build": _with(lambda: _Counted(10, 10))}, "the loss of relu"),
        ({"build": _wider_for_elu}, "has not the same shape"),
        ({"build": _deeper_for_elu}, "the models differ as a whole"),
        ({"build": _with(nn.Sequential)}, None),
        ({"loss": _read}, "cannot be batched"),
        ({"optimizer": torch.optim.LBFGS}, "LBFGS may not treat each number by itself"),
        ({"optimizer": partial(_Clipped, lr=0.1)}, "_Clipped may not treat"),
        ({"optimizer": _hooked}, "before or after each step of SGD"),
        ({"data": [(IMAGES[:9], LABELS[:9]), (IMAGES[:9, :, :4], LABELS[:9])] * 9}, "shapes"),
    ],
)
def test_what_would_not_be_the_same_is_refused(changes: dict[str, Any], reason: str | None) -> None:
    experiment = _experiment(**changes)
    if reason is None:
        stacked.check(experiment, experiment.jobs())
        return
    with pytest.raises(EngineError, match=reason):
        stacked.check(experiment, experiment.jobs())
    with pytest.raises(EngineError, match="engine='sequential'"):
        next(stacked.run(experiment, experiment.jobs()))
