"""The forms in which data may come: one batch or many, tensors, pairs or dictionaries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from operator import length_hint
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, IterableDataset

from relucid.errors import DataError

FEW = 2
"""Samples of :func:`few`: one could look unbatched."""


@dataclass(frozen=True)
class Batch:
    """How the model is called with one batch, and what the loss is given beside the output."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    target: Any

    def call(self, model: nn.Module) -> Any:
        """Run the model."""
        return model(*self.args, **self.kwargs)

    def tensors(self) -> list[Tensor]:
        """Return the tensors among the inputs."""
        return list(tensors_in((self.args, self.kwargs)))

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """Return a copy with every input tensor changed."""
        args, kwargs = _mapped(self.args, change), _mapped(dict(self.kwargs), change)
        return replace(self, args=args, kwargs=kwargs)

    def __str__(self) -> str:
        """Shapes, dtypes and devices of the inputs."""
        parts = [described(x) for x in self.args]
        return ", ".join(parts + [f"{n}={described(x)}" for n, x in self.kwargs.items()])


def read_batches(data: Any) -> Iterator[Batch]:
    """Yield the batches of ``data``.

    One batch is a tensor; a pair ``(inputs, target)``, in which the inputs may be a tuple of
    arguments or a dictionary of keyword arguments; or a dictionary of keyword arguments. A tuple
    of more than two is the arguments and, last, the target; a tuple of one has no target. Data
    is one batch or any iterable of batches, a ``DataLoader`` for example. A list or tuple that
    holds a tensor is one batch, unless it is a list of other than two, all tensors.
    """
    if _is_one_batch(data):
        yield _batch(data)
    elif isinstance(data, Dataset) and not isinstance(data, IterableDataset):
        raise DataError(
            "a Dataset gives single samples, and the model takes batches; pass "
            "torch.utils.data.DataLoader(dataset, batch_size=...)"
        )
    elif isinstance(data, Iterable) and not isinstance(data, str | bytes):
        for item in data:
            yield _batch(item)
    else:
        raise DataError(
            f"data of type {type(data).__name__} cannot be read; pass a tensor, (inputs, target), "
            "a dictionary of keyword arguments, or an iterable of these such as a DataLoader"
        )


def count_batches(data: Any) -> int | None:
    """Return how many batches ``data`` says it holds; None where it cannot tell."""
    return 1 if _is_one_batch(data) else length_hint(data, 0) or None


def check_not_empty(batch: Batch, index: int) -> None:
    """Raise :class:`~relucid.errors.DataError` for a batch of no samples."""
    if any(x.ndim > 0 and x.shape[0] == 0 for x in batch.tensors()):
        raise DataError(f"batch {index} has no samples ({batch}); leave it out")


def samples_in(batch: Batch) -> int:
    """Return the length of the first axis of the first input that has one; else 1."""
    return next((len(x) for x in batch.tensors() if x.ndim), 1)


def few(batch: Batch) -> Batch:
    """Return the first samples of a batch, as many as :data:`FEW`."""
    size = samples_in(batch)
    return batch.mapped(lambda x: x[:FEW] if x.ndim and len(x) == size else x)


def _is_one_batch(data: Any) -> bool:
    if isinstance(data, Tensor | Mapping):
        return True
    if isinstance(data, tuple):
        return any(isinstance(x, Tensor) for x in data) or _is_pair_of_arguments(data)
    if isinstance(data, list):
        tensors = [isinstance(x, Tensor) for x in data]
        return any(tensors) and (len(data) == 2 or not all(tensors))
    return False


def _is_pair_of_arguments(data: tuple[Any, ...]) -> bool:
    """Tell ``((a, b), None)`` and the like from two batches."""
    return len(data) == 2 and not isinstance(data[1], tuple | list | Mapping)


def _batch(item: Any) -> Batch:
    if isinstance(item, Tensor):
        return Batch((item,), {}, item)
    if isinstance(item, Mapping):
        return Batch((), item, item)
    if isinstance(item, tuple | list) and item:
        return _from_sequence(tuple(item))
    raise DataError(
        f"a batch of type {type(item).__name__} cannot be read; pass torch tensors, "
        "(inputs, target) or a dictionary of keyword arguments"
    )


def _from_sequence(item: tuple[Any, ...]) -> Batch:
    if len(item) == 1:
        return Batch(item, {}, None)
    if len(item) > 2:
        return Batch(item[:-1], {}, item[-1])
    inputs, target = item
    if isinstance(inputs, Mapping):
        return Batch((), inputs, target)
    if isinstance(inputs, tuple | list):
        return Batch(tuple(inputs), {}, target)
    return Batch((inputs,), {}, target)


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in tuples, lists and dictionaries."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from tensors_in(tuple(value.values()))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from tensors_in(item)


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if type(value) is dict:
        return {name: _mapped(item, change) for name, item in value.items()}
    if type(value) in (tuple, list):
        return type(value)(_mapped(item, change) for item in value)
    return value


def described(value: Any) -> str:
    """Name dtype, shape and device of a tensor, the type of anything else."""
    if isinstance(value, Tensor):
        dtype = str(value.dtype).removeprefix("torch.")
        return f"{dtype} tensor of shape {tuple(value.shape)} on {value.device}"
    return type(value).__name__


def differentiable(tensor: Tensor) -> Tensor:
    """Copy a tensor: gradients flow through the copy, and the model may change it in place."""
    if not tensor.is_floating_point():
        return ordinary(tensor)
    return tensor.detach().clone().requires_grad_().clone()


def ordinary(tensor: Tensor) -> Tensor:
    """Copy a tensor of inference mode, which nothing could be differentiated with."""
    with torch.inference_mode(False):
        return tensor.clone() if tensor.is_inference() else tensor
