"""What the stacked engine does in one call for all models: it is what each does alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import relucid
from relucid.compare.engines import sequential, stacked
from relucid.compare.engines.chain import chain
from relucid.compare.engines.losses import Judge, Quality
from relucid.compare.engines.masks import Masks
from relucid.compare.experiment import Choice, Experiment, Job
from relucid.compare.measure import judged
from relucid.compare.subject import Subject
from relucid.errors import LossError, StoreError
from relucid.records.comparison import Point
from support.networks import LOSS, digits

MODELS = 3
IMAGES, LABELS = (torch.cat(parts) for parts in zip(*digits(80), strict=True))


def _hooked(layer: nn.Module) -> nn.Module:
    layer.register_forward_hook(lambda module, args, output: output.tanh())
    return layer


def _turned(layer: nn.Module) -> nn.Module:
    """A layer of PyTorch's that does something else."""
    vars(layer)["forward"] = lambda x: nn.Linear.forward(layer, x.flip(-1))  # type: ignore[arg-type]  # it is a Linear
    return layer


LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(6, 3), (5, 6)),
    "linear on sequences": (lambda: nn.Linear(6, 3, bias=False), (5, 2, 6)),
    "conv1d": (lambda: nn.Conv1d(2, 3, 3, padding=1, stride=2), (5, 2, 7)),
    "conv2d": (lambda: nn.Conv2d(4, 6, (3, 1), groups=2, bias=False), (5, 4, 7, 6)),
    "conv2d around": (lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), (5, 2, 7, 6)),
    "conv3d": (lambda: nn.Conv3d(2, 3, 2, dilation=2), (2, 2, 4, 5, 3)),
    "flatten": (nn.Flatten, (5, 2, 3)),
    "flatten some": (lambda: nn.Flatten(0, -2), (5, 2, 3)),
    "max pool": (lambda: nn.MaxPool2d(2), (5, 2, 6, 6)),
    "mean pool": (lambda: nn.AvgPool1d(2), (5, 2, 6)),
    "layer norm": (lambda: nn.LayerNorm(6), (5, 6)),
    "a hook": (lambda: _hooked(nn.Linear(6, 3)), (5, 6)),
    "another forward": (lambda: _turned(nn.Linear(6, 3)), (5, 6)),
    "nested": (lambda: nn.Sequential(nn.Sequential(nn.Linear(6, 4), nn.Tanh())), (5, 6)),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layers_do_what_they_do_alone(name: str) -> None:
    build, shape = LAYERS[name]
    models = [nn.Sequential(build()) for _ in range(MODELS)]
    stacked_values = {
        path: torch.stack([dict(m.named_parameters())[path].detach() for m in models])
        for path, _ in models[0].named_parameters()
    }
    for value in stacked_values.values():
        value.requires_grad_()
    xs = torch.randn(MODELS, *shape, requires_grad=True)
    steps = chain(models[0], stacked_values, Masks(range(MODELS)))
    assert steps is not None
    found = xs
    for step in steps:
        found = step(found)
    alone = torch.stack([model(x) for model, x in zip(models, xs, strict=True)])
    torch.testing.assert_close(found, alone)
    weights = torch.randn_like(alone)
    (by_input,) = torch.autograd.grad((alone * weights).sum(), xs, retain_graph=True)
    (found * weights).sum().backward()
    torch.testing.assert_close(xs.grad, by_input)
    (alone * weights).sum().backward()
    for path, value in stacked_values.items():
        own = torch.stack([dict(m.named_parameters())[path].grad for m in models])  # type: ignore[misc]  # they have one
        torch.testing.assert_close(value.grad, own)


def test_other_models_have_no_chain() -> None:
    class Own(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + x

    assert chain(Own(nn.Linear(3, 3)), {}, Masks([])) is None
    assert chain(nn.Linear(3, 3), {}, Masks([])) is None
    assert chain(_hooked(nn.Sequential()), {}, Masks([])) is None


LOSSES: dict[str, Any] = {
    "plain": functional.cross_entropy,
    "smooth": partial(functional.cross_entropy, label_smoothing=0.2, ignore_index=1),
    "module": nn.CrossEntropyLoss(ignore_index=2, label_smoothing=0.1),
    "sum": nn.CrossEntropyLoss(reduction="sum"),
    "weighted": nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0, 4.0])),
    "own": lambda output, target: functional.cross_entropy(output, target).square(),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("shape", [(), (7,), (3, 2)], ids=str)
def test_losses_and_accuracies_are_those_of_each(name: str, shape: tuple[int, ...]) -> None:
    outputs = torch.randn(MODELS, 6, 4, *shape, requires_grad=True)
    targets = torch.randint(4, (MODELS, 6, *shape))
    judge = Judge(LOSSES[name], 0)
    alone = torch.stack([judge(*pair) for pair in zip(outputs, targets, strict=True)])
    found = judge.of_all(outputs, targets)
    torch.testing.assert_close(found, alone)
    by_alone, by_found = (torch.autograd.grad(x.sum(), outputs)[0] for x in (alone, found))
    torch.testing.assert_close(by_found, by_alone)
    subject = Subject("", nn.Identity, (), LOSSES[name], None, "accuracy")
    each = [judged(subject, *pair, 0) for pair in zip(outputs, targets, strict=True)]
    both = Quality(subject, 0).of_all(outputs, targets)
    torch.testing.assert_close(both, torch.stack(each), rtol=1e-5, atol=1e-6)  # sums of float32


def test_a_loss_that_fails_is_told_as_such() -> None:
    with pytest.raises(LossError, match="batch 7"):
        Judge(functional.cross_entropy, 7).of_all(torch.zeros(2, 3, 4), torch.full((2, 3), 9))


def _mlp(activation: Callable[[], nn.Module]) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), activation(), nn.Linear(8, 10))


def _experiment(build: Callable[..., nn.Module]) -> Experiment:
    subject = Subject("digits", build, (IMAGES, LABELS), LOSS, None, "accuracy")
    choices = tuple(Choice(name, relucid.get(name)) for name in ("relu", "prelu"))
    return Experiment(subject, choices, "relu", None, (3, 8), 4)


class _Dropping(nn.Module):
    """Drops in a forward of its own."""

    def __init__(self, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.first = nn.Linear(64, 16)
        self.scores = nn.Linear(16, 10)
        self.activation = activation()

    def forward(self, x: Tensor) -> Tensor:
        x = functional.dropout(self.activation(self.first(x.flatten(1))), 0.3, self.training)
        found: Tensor = self.scores(x)
        return found


def _with_dropout(activation: Callable[[], nn.Module]) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), activation(), nn.Dropout2d(0.2), nn.Flatten(), nn.Linear(144, 10),
        nn.Dropout(0.1),
    )  # fmt: skip


@pytest.mark.parametrize("build", [_Dropping, _with_dropout])
def test_dropout_drops_what_it_drops_alone(build: Any) -> None:
    """Also where the first run of a seed is given up."""

    def report(job: Job, point: Point) -> bool:
        return job == Job("relu", 3) and point.step == 2

    experiment = _experiment(build)
    curves = [
        {(r.candidate, r.seed): [p.loss for p in r.curve] for r in engine.run(
            experiment, experiment.jobs(), report=report
        )}
        for engine in (sequential, stacked)
    ]  # fmt: skip
    assert len(curves[0]["relu", 3]) == 3
    assert curves[1].keys() == curves[0].keys()
    for job, losses in curves[0].items():
        assert curves[1][job] == pytest.approx(losses, rel=1e-5)


@pytest.mark.parametrize("engine", [sequential, stacked])
def test_an_error_of_what_is_told_the_points_passes(engine: Any) -> None:
    """It says nothing about the candidate."""

    def report(job: Job, point: Point) -> bool:
        raise StoreError("the disk is full")

    experiment = _experiment(_mlp)
    with pytest.raises(StoreError, match="the disk is full"):
        list(engine.run(experiment, experiment.jobs(), report=report))
