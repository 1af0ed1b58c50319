"""Loss and accuracy on data, and further training of what was pruned."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any, Literal

import torch
from torch import Tensor, nn

from relucid.errors import DataError, ParameterError
from relucid.probes.batches import Batch, ordinary, read_batches
from relucid.probes.refusals import FailingLoss
from relucid.probes.undisturbed import undisturbed
from relucid.records.receipt import Quality
from relucid.report.progress import TellStage

Loss = Callable[[Any, Any], Any]
LEARNING_RATE = 1e-4
"""Of Adam, in further training: small, since most of the model is as it was."""


def check_tuning(loss: Loss | None, tune: int, data: Any) -> None:
    """Raise :class:`~relucid.errors.ParameterError` where further training lacks something."""
    if isinstance(tune, bool) or not isinstance(tune, int) or tune < 0:
        raise ParameterError(f"tune={tune!r} is no number of steps: give 0 or more")
    if tune and (loss is None or data is None):
        raise ParameterError("tune= trains the smaller model: pass data= and loss=, too")


def measure(model: nn.Module, data: Any, loss: Loss | None) -> dict[str, tuple[float, int]]:
    """Return loss and accuracy by name, each with its number of samples, as far as they exist."""
    totals: dict[str, list[float]] = {"loss": [0.0, 0], "accuracy": [0.0, 0]}
    with undisturbed(model, evaluate=True), torch.no_grad():
        for index, batch in enumerate(read_batches(data)):
            output = batch.mapped(lambda x: ordinary(x).clone()).call(model)
            count = max((len(x) for x in batch.tensors() if x.ndim), default=1)
            for name, value, samples in _of_batch(output, batch, loss, count, index):
                totals[name][0] += value * samples
                totals[name][1] += samples
    return {name: (total / n, int(n)) for name, (total, n) in totals.items() if n}


def _of_batch(
    output: Any, batch: Batch, loss: Loss | None, count: int, index: int
) -> Iterator[tuple[str, float, int]]:
    if loss is not None:
        with FailingLoss(output, batch.target, index):
            yield "loss", float(loss(output, batch.target)), count
    target = batch.target
    classes = isinstance(output, Tensor) and output.ndim == 2 and output.shape[1] > 1
    named = isinstance(target, Tensor) and target.ndim == 1 and not target.is_floating_point()
    if classes and named and len(target) == len(output):
        right = (output.argmax(1) == target).double().mean()
        yield "accuracy", float(right), len(target)


def qualities(
    before: nn.Module, after: nn.Module, data: Any, loss: Loss | None, tune: int, tell: TellStage
) -> tuple[Quality, ...]:
    """Measure both models on data; train the second one for some steps, and measure it again."""
    first, second = measure(before, data, loss), measure(after, data, loss)
    third = dict[str, tuple[float, int]]()
    if tune and loss is not None:
        _train(after, data, loss, tune, partial(tell, "Training further"))
        third = measure(after, data, loss)
    metrics: tuple[Literal["loss", "accuracy"], ...] = ("loss", "accuracy")
    return tuple(
        Quality(name, first[name][1], first[name][0], second[name][0],
                third[name][0] if name in third else None, tune)
        for name in metrics
        if name in first and name in second
    )  # fmt: skip


def _train(
    model: nn.Module, data: Any, loss: Loss, steps: int, reached: Callable[[int, int], object]
) -> None:
    """Train in place, in training mode, going through the data again and again."""
    flags = [(module, module.training) for module in model.modules()]
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], LEARNING_RATE)
    model.train()
    try:
        for step, batch in enumerate(islice(_endless(data), steps)):
            optimizer.zero_grad()
            loss(batch.call(model), batch.target).backward()
            optimizer.step()
            reached(step + 1, steps)
    finally:
        optimizer.zero_grad()
        for module, training in flags:
            module.training = training


def _endless(data: Any) -> Iterator[Batch]:
    while True:
        batches = 0
        for batch in read_batches(data):
            batches += 1
            yield batch
        if not batches:
            raise DataError("the data hold no batch; pass a list or a DataLoader")
