"""What ``relucid watch`` watches: a training of the user's own, or one that relucid runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from typing import TYPE_CHECKING, Any

from relucid.errors import DataError, LossError, SubjectError

if TYPE_CHECKING:
    from torch import nn

    from relucid.cli.subject import Subject
    from relucid.probes.batches import Batch

Tell = Callable[[str], None]
DIGITS_STEPS = 600
SHAPE = "(model, train), where train() trains it, or (model, data, loss, optimizer)"


@dataclass(frozen=True)
class Training:
    """A model and what trains it; ``run`` tells how far it is, where it knows."""

    title: str
    model: nn.Module
    run: Callable[[Tell], None]
    story: str = ""


def training_of(subject: Subject, epochs: int | None, steps: int | None) -> Training:
    """Return the training that a subject names. Raises SubjectError where it names none."""
    if callable(subject.data) and not hasattr(subject.data, "__iter__"):
        if epochs is not None or steps is not None:
            raise SubjectError(
                f"{subject.name} returned a function that trains, which --epochs and --steps "
                "cannot tell when to end; leave them out, or return (model, data, loss, optimizer)"
            )
        return Training(subject.name, subject.model, lambda tell: subject.data())
    if subject.loss is None:
        raise SubjectError(
            f"there is nothing to train with in what {subject.name} returned; return {SHAPE}"
        )
    optimizer, story = _optimizer(subject)

    def run(tell: Tell) -> None:
        _fit(subject, optimizer, epochs, steps, tell)

    return Training(subject.name, subject.model, run, story)


def digits_training(steps: int | None) -> Training:
    """Return the training of the demonstration network at too high a learning rate."""
    import torch

    from relucid.cli.subject import Subject
    from relucid.demo import SICK, load_digits
    from relucid.demo.network import BATCH, MOMENTUM, build

    digits, model = load_digits(), build()
    images, labels = (x.split(BATCH) for x in (digits.train_images, digits.train_labels))
    optimizer = torch.optim.SGD(model.parameters(), lr=SICK.learning_rate, momentum=MOMENTUM)
    data = list(zip(images, labels, strict=True))
    subject = Subject("digits", model, data, torch.nn.functional.cross_entropy, optimizer)
    training = training_of(subject, None, steps or DIGITS_STEPS)
    return Training(SICK.title, model, training.run, SICK.story)


def _optimizer(subject: Subject) -> tuple[Any, str]:
    """Return the subject's optimizer, else Adam's, and what to say of it."""
    import torch

    parameters = [p for p in subject.model.parameters() if p.requires_grad]
    if hasattr(subject.optimizer, "param_groups"):
        return subject.optimizer, ""
    if subject.optimizer is not None:
        return subject.optimizer(parameters), ""
    story = f"Trained by Adam at learning rate 0.001, since {subject.name} gives no optimizer."
    return torch.optim.Adam(parameters, lr=1e-3), story


def _fit(
    subject: Subject, optimizer: Any, epochs: int | None, steps: int | None, tell: Tell
) -> None:
    """Train: once over the data, or ``epochs`` times, or until there were ``steps``."""
    from relucid.probes.observe import checked_loss
    from relucid.probes.refusals import Refusal

    subject.model.train()
    for index, batch in enumerate(islice(_batches(subject.data, epochs, steps), steps)):
        with Refusal(subject.model, batch, index):
            output = batch.call(subject.model)
        loss = checked_loss(subject.loss, output, batch.target, index)
        if not loss.requires_grad:
            raise LossError(
                f"the loss of {subject.name} depends on no parameter that can be trained; check "
                "requires_grad, and look for torch.no_grad in the model"
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        of = "" if steps is None else f" of {steps:,}"
        tell(f"step {index + 1:,}{of}, loss {float(loss.detach()):.3g}")


def _batches(data: Any, epochs: int | None, steps: int | None) -> Iterator[Batch]:
    from relucid.probes.batches import check_not_empty, read_batches

    rounds = range(epochs) if epochs is not None else (range(1) if steps is None else count())
    for number in rounds:
        index = -1
        for index, batch in enumerate(read_batches(data)):
            check_not_empty(batch, index)
            yield batch
        if index < 0:
            again = "are used up after one pass; pass a DataLoader" if number else "hold no batch"
            raise DataError(f"the data {again}, or anything that can be iterated over again")
