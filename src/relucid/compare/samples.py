"""The samples of an experiment: a part to train on, a part kept apart, and an order a seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree

from relucid.probes.batches import Batch, read_batches, samples_in

HELD_OUT = 0.2
"""Part of the samples that is kept apart."""
MEMORY = 2**30
"""Bytes of data that are held, at most: an experiment reads them again and again."""
SINGLE = 64
"""Samples of a training step where the data come as one batch."""
SMALLEST = 50
"""Samples below which nothing is compared: fewer than 10 would be held out."""
_FEW = 8


@dataclass(frozen=True)
class Samples:
    """The data of an experiment, the same for all its runs.

    ``batch`` is the number of samples in a training step, or 0 where the given batches cannot be
    mixed (their shapes differ) and are used as they are.
    """

    training: tuple[Batch, ...]
    held_out: tuple[Batch, ...]
    batch: int
    training_size: int
    held_out_size: int
    left_out: bool
    """Whether there were more data than fit in memory."""

    def in_order(self, seed: int) -> Iterator[Batch]:
        """Yield batches for ever, mixed anew in each epoch, always the same for one seed."""
        generator = torch.Generator().manual_seed(seed)
        while True:
            yield from self._epoch(generator)

    def example(self) -> Batch:
        """Return a few samples, to see what a model does with them."""
        if not self.batch:
            return self.training[0]
        return _chosen(self.training[0], torch.arange(min(self.training_size, _FEW)))

    def _epoch(self, generator: torch.Generator) -> Iterator[Batch]:
        count = self.training_size if self.batch else len(self.training)
        order = torch.randperm(count, generator=generator)
        if not self.batch:
            yield from (self.training[int(i)] for i in order)
            return
        # An incomplete batch would have another noise than the others, and may be one sample,
        # which batch normalisation refuses.
        whole = max(count // self.batch, 1)
        for chosen in order[: whole * self.batch].split(self.batch):
            yield _chosen(self.training[0], chosen)


def split(data: Any, batches: int | None = None) -> Samples:
    """Read data, at most so many batches, and keep a random fifth of the samples apart.

    Where all batches have samples of one shape, single samples are drawn; else whole batches.
    """
    given, left_out = _read(data, batches)
    joined = _joined(given)
    generator = torch.Generator().manual_seed(0)
    if joined is None:
        order = [given[int(i)] for i in torch.randperm(len(given), generator=generator)]
        apart = math.ceil(HELD_OUT * len(order)) if len(order) > 1 else 0
        held_out, training = tuple(order[:apart]), tuple(order[apart:])
        sizes = sum(map(samples_in, training)), sum(map(samples_in, held_out))
        return Samples(training, held_out, 0, *sizes, left_out)
    count = samples_in(joined)
    shuffled = torch.randperm(count, generator=generator)
    apart = math.ceil(HELD_OUT * count)
    batch = max(map(samples_in, given)) if len(given) > 1 else SINGLE
    parts = shuffled[:apart].split(max(batch, 256))
    return Samples(
        training=(_chosen(joined, shuffled[apart:]),),
        held_out=tuple(_chosen(joined, part) for part in parts),
        batch=min(batch, count - apart),
        training_size=count - apart,
        held_out_size=apart,
        left_out=left_out,
    )


def _read(data: Any, batches: int | None) -> tuple[list[Batch], bool]:
    given: list[Batch] = []
    room = MEMORY
    for index, batch in enumerate(read_batches(data)):
        if index == batches:
            break
        room -= sum(x.nbytes for x in batch.tensors())
        if room < 0 and given:
            return given, True
        given.append(batch)
    return given, False


def _chosen(batch: Batch, indices: Tensor) -> Batch:
    """Return a batch of some samples; what is no tensor with one row a sample stays."""
    size = samples_in(batch)
    return _mapped(batch, lambda x: x[indices.to(x.device)] if _has_rows(x, size) else x)


def _has_rows(value: Any, size: int) -> bool:
    return isinstance(value, Tensor) and value.ndim > 0 and value.shape[0] == size


def _mapped(batch: Batch, change: Callable[[Any], Any]) -> Batch:
    args, kwargs, target = (_pytree.tree_map(change, part) for part in (batch.args, *_plain(batch)))
    return replace(batch, args=args, kwargs=kwargs, target=target)


def _plain(batch: Batch) -> tuple[dict[str, Any], Any]:
    """Arguments and target as plain dictionaries where they are mappings of another kind."""
    kwargs = dict(batch.kwargs)
    return kwargs, kwargs if batch.target is batch.kwargs else batch.target


def _joined(given: Sequence[Batch]) -> Batch | None:
    """Return all samples as one batch, or None where the batches do not fit together."""
    parts = [_pytree.tree_flatten((b.args, *_plain(b))) for b in given]
    if len({str(form) for _, form in parts}) != 1:
        return None
    sizes = [samples_in(batch) for batch in given]
    leaves = [_together(same, sizes) for same in zip(*(leaves for leaves, _ in parts), strict=True)]
    if any(leaf is _APART for leaf in leaves):
        return None
    args, kwargs, target = _pytree.tree_unflatten(leaves, parts[0][1])
    return Batch(args, kwargs, target)


_APART = object()


def _together(values: Sequence[Any], sizes: Sequence[int]) -> Any:
    """Join the rows of tensors; of anything else, the one value that all batches share."""
    if all(_has_rows(value, size) for value, size in zip(values, sizes, strict=True)):
        alike = len({(x.shape[1:], x.dtype, x.device) for x in values}) == 1
        return torch.cat([x.detach() for x in values]) if alike else _APART
    first = values[0]
    if any(isinstance(value, Tensor) for value in values):
        return first if len(values) == 1 else _APART
    return first if all(type(v) is type(first) and v == first for v in values) else _APART
