"""What a stack of models has to show before it is trained: that it does what each does alone."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from relucid.compare.engines.losses import Judge
from relucid.compare.engines.refusal import refused
from relucid.compare.engines.stack import Stack
from relucid.compare.learner import Learner, Loss
from relucid.errors import EngineError
from relucid.probes.batches import Batch, ordinary
from relucid.probes.observe import checked_loss
from relucid.probes.refusals import Refusal
from relucid.probes.undisturbed import undisturbed


@dataclass(frozen=True)
class Alone:
    """What one model does with a batch by itself."""

    losses: Tensor
    """In training mode, in evaluation mode."""
    gradients: dict[str, Tensor]
    buffers: dict[str, Tensor]
    """After the pass in training mode."""
    random: Tensor
    """State of the random numbers after that."""


def alone(learner: Learner, batch: Batch, loss: Loss) -> Alone:
    """Run a batch through one model, which stays as it is."""
    model, batch = learner.model, batch.mapped(ordinary)

    def value() -> Tensor:
        with Refusal(model, batch, 0):
            output = batch.call(model)
        return checked_loss(loss, output, batch.target, 0)

    with undisturbed(model, evaluate=False):
        trained = value()
        gradients = _gradients(trained, dict(model.named_parameters()))
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        drawn = torch.get_rng_state()
    with undisturbed(model, evaluate=True), torch.no_grad():
        evaluated = value()
    return Alone(torch.stack([trained.detach(), evaluated]), gradients, buffers, drawn)


def rehearse(
    stack: Stack,
    learners: Sequence[Learner],
    names: Sequence[str],
    expected: Sequence[Alone],
    batch: Batch,
    loss: Loss,
) -> None:
    """Compare a stack, at the initial weights, with what its models do alone.

    ``batch`` holds the batch of each model, (models, ...). The stack stays as it is.

    Raises :class:`~relucid.errors.EngineError` for a difference above rounding, and for what
    cannot be batched.
    """
    try:
        with warnings.catch_warnings():
            # Without a rule of its own an operation is run model by model, and slower so.
            warnings.filterwarnings("error", message=".*batching rule")
            seen = _together(stack, learners, batch, loss)
    except EngineError:
        raise
    except Exception as error:  # whatever user's code does with batched tensors
        raise refused(_reason(error)) from error
    for name, one, other in zip(names, expected, seen, strict=True):
        what = _difference(one, other)
        if what:
            raise refused(f"the {what} of {name} would not be those of a run by itself")


def _together(
    stack: Stack, learners: Sequence[Learner], batch: Batch, loss: Loss
) -> Iterator[Alone]:
    """Run the batches through the stack, and return what each model did."""
    judge = Judge(loss, 0)
    own = [
        {name: p for name, p in learner.model.named_parameters() if name not in stack.stacked}
        for learner in learners
    ]
    learned = {(i, name): p for i, mine in enumerate(own) for name, p in mine.items()}
    with undisturbed(stack, evaluate=False), _spare_buffers(stack), stack.masks.undisturbed():
        trained = stack(judge, batch)
        gradients = _gradients(trained.sum(), {**stack.stacked, **learned})
        buffers = {n: b for n, b in stack.stacked.items() if not b.requires_grad}
        drawn = stack.masks.after()
    with undisturbed(stack, evaluate=True), torch.no_grad():
        evaluated = stack(judge, batch)
    losses = torch.stack([trained.detach(), evaluated], 1)
    return (
        Alone(
            losses[i],
            {n: g[i] for n, g in gradients.items() if n in stack.stacked}
            | {n: gradients[i, n] for n in mine if (i, n) in gradients},
            {n: b[i] for n, b in buffers.items()},
            drawn[i],
        )
        for i, mine in enumerate(own)
    )


def _gradients(value: Tensor, parameters: Mapping[Any, Tensor]) -> dict[Any, Tensor]:
    """Return the gradients by those parameters that the value depends on."""
    wanted = {key: p for key, p in parameters.items() if p.requires_grad}
    found = torch.autograd.grad(value, list(wanted.values()), allow_unused=True)
    return {key: g for key, g in zip(wanted, found, strict=True) if g is not None}


@contextmanager
def _spare_buffers(stack: Stack) -> Iterator[None]:
    real = dict(stack.stacked)
    stack.stacked.update({n: b.clone() for n, b in real.items() if not b.requires_grad})
    try:
        yield
    finally:
        stack.stacked.update(real)


def _reason(error: Exception) -> str:
    if "randomness" in str(error):
        return "the random numbers would not be those of a run by itself"
    line = str(error).strip().partition("\n")[0]
    return f"the model or its loss cannot be batched ({type(error).__name__}: {line})"


def _difference(alone: Alone, together: Alone) -> str:
    """Name what differs by more than rounding; empty where nothing does."""
    part = torch.finfo(alone.losses.dtype).eps ** 0.5  # half of the digits
    if not bool(alone.losses.isfinite().all()):
        return "" if not bool(together.losses.isfinite().all()) else "loss"
    room = part * alone.losses.abs().clamp(min=1.0)
    if not bool(((alone.losses - together.losses).abs() <= room).all()):
        return "loss"
    pairs = {"gradients": (alone.gradients, together.gradients)}
    pairs["buffers"] = alone.buffers, {n: together.buffers[n] for n in alone.buffers}
    if not torch.equal(alone.random, together.random):
        return "random numbers"
    return next((name for name, (a, b) in pairs.items() if not _alike(a, b, part)), "")


def _alike(first: dict[str, Tensor], second: dict[str, Tensor], part: float) -> bool:
    """Whether all tensors together differ by no more than this part of their length."""
    apart, size = 0.0, 0.0
    for name in first.keys() | second.keys():
        a, b = (_wide(given.get(name)) for given in (first, second))
        apart += float((a - b).square().sum())
        size += float(a.square().sum())
    return apart <= part**2 * size


def _wide(value: Tensor | None) -> Tensor:
    return torch.zeros(()) if value is None else value.double()
