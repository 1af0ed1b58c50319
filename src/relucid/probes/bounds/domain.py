"""The declared input domain: a range for each input, checked against what the model is given."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from relucid.errors import DomainError
from relucid.probes.batches import Batch, tensors_in
from relucid.probes.bounds.interval import Interval, unknown

FORMS = (
    "give domain=(low, high), numbers or arrays for one sample; for several inputs a dict of such "
    "pairs by name, or a tuple of pairs in order, None for token ids"
)
ANY = "any id"


@dataclass(frozen=True)
class Box:
    """The range of one input: two tensors that broadcast to one sample."""

    low: Tensor
    high: Tensor

    def interval(self, tensor: Tensor) -> Interval:
        """Return the bounds of a batch, moved out to the next numbers of its dtype."""
        low, high = (end.to(tensor.device).expand(tensor.shape) for end in (self.low, self.high))
        below = torch.full_like(tensor, -torch.inf)
        least = torch.nextafter(low.to(tensor.dtype), below).double()
        most = torch.nextafter(high.to(tensor.dtype), -below).double()
        least = torch.where(low.to(tensor.dtype).double() <= low, low, least)
        most = torch.where(high.to(tensor.dtype).double() >= high, high, most)
        return Interval(least.clone(), most.clone())

    def __str__(self) -> str:
        if self.low.numel() == self.high.numel() == 1:
            return f"{float(self.low):g} to {float(self.high):g}"
        return f"ranges of its own within {float(self.low.min()):g} to {float(self.high.max()):g}"


class Boxes:
    """A domain, as the user declared it, for the inputs of a model.

    Raises :class:`~relucid.errors.DomainError` for ranges that are no ranges.
    """

    def __init__(self, domain: Any, model: nn.Module) -> None:
        self._names = _parameter_names(model)
        self._every: Box | None = None
        self._named: dict[str, Box | None] | None = None
        if isinstance(domain, Mapping):
            self._named = {str(n): _optional(pair, repr(n)) for n, pair in domain.items()}
        elif _is_pair(domain):
            self._every = _box(domain, "domain")
        elif isinstance(domain, tuple | list):
            self._named = {self._name(i): _optional(p, f"input {i}") for i, p in enumerate(domain)}
        else:
            raise DomainError(f"the domain {domain!r:.80} is no range; {FORMS}")

    def inputs(self, batch: Batch) -> Iterator[tuple[str, Tensor, Box | None]]:
        """Yield every tensor that the model is called with, with its name and range.

        Raises :class:`~relucid.errors.DomainError` for a range that is missing, belongs to no
        input, or does not fit one.
        """
        given = {self._name(i): x for i, x in enumerate(batch.args)} | dict(batch.kwargs)
        surplus = set(self._named or ()) - set(given)
        if surplus:
            raise DomainError(
                f"the domain has a range for {sorted(surplus)}, and the model is called with "
                f"{sorted(given)}; {FORMS}"
            )
        for name, value in given.items():
            for tensor in tensors_in(value):
                yield name, tensor, self._of(name, tensor)

    def check(self, batch: Batch, index: int) -> None:
        """Raise :class:`~relucid.errors.DomainError` where a batch leaves the domain."""
        for name, tensor, box in self.inputs(batch):
            if box is None or not tensor.numel():
                continue
            interval = box.interval(tensor.detach())
            values = tensor.detach().double()
            if bool(((values < interval.low) | (values > interval.high)).any()):
                raise DomainError(
                    f"input {name!r} of batch {index} holds values from {float(values.min()):g} to "
                    f"{float(values.max()):g}, outside the domain, {box}; give the range of what "
                    "the model is called with, after normalising"
                )

    def _of(self, name: str, tensor: Tensor) -> Box | None:
        """Return an input's range; None for integers and truth values, which may be anything."""
        if not tensor.is_floating_point():
            return None
        box = self._every if self._named is None else self._named.get(name)
        if box is None:
            raise DomainError(f"the domain has no range for the input {name!r}; {FORMS}")
        sample = tuple(tensor.shape[1:])
        for end in (box.low, box.high):
            if not _fits(tuple(end.shape), sample):
                raise DomainError(
                    f"the domain of input {name!r} has the shape {tuple(end.shape)}, and one sample"
                    f" {sample}; give numbers, or arrays that broadcast to one sample"
                )
        return box

    def _name(self, index: int) -> str:
        return self._names[index] if index < len(self._names) else str(index)


def bound_of(tensor: Tensor, box: Box | None) -> Interval:
    """Return what the domain says of an input."""
    return unknown(tensor) if box is None else box.interval(tensor)


def _parameter_names(model: nn.Module) -> list[str]:
    try:
        parameters = inspect.signature(model.forward).parameters.values()
    except (TypeError, ValueError):
        return []
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in parameters if p.kind in positional]


def _is_pair(value: Any) -> bool:
    ends = (int, float, np.ndarray, np.generic, Tensor)
    return (
        isinstance(value, tuple | list)
        and len(value) == 2
        and all(isinstance(x, ends) and not isinstance(x, bool) for x in value)
    )


def _optional(pair: Any, where: str) -> Box | None:
    return None if pair is None else _box(pair, where)


def _box(pair: Any, where: str) -> Box:
    if not _is_pair(pair):
        raise DomainError(f"the domain of {where}, {pair!r:.60}, is no (low, high); {FORMS}")
    low, high = (torch.as_tensor(x).detach().to("cpu", torch.float64) for x in pair)
    if not bool(low.isfinite().all() and high.isfinite().all()):
        raise DomainError(
            f"the domain of {where} has an end that is NaN or infinite; give finite numbers, such "
            "as the smallest and largest value that the input can take"
        )
    if not _fits(tuple(low.shape), None, tuple(high.shape)):
        raise DomainError(
            f"the ends of the domain of {where} have the shapes {tuple(low.shape)} and "
            f"{tuple(high.shape)}; give both the shape of one sample"
        )
    if bool((low > high).any()):
        raise DomainError(f"the domain of {where} has a low end above its high end; swap the two")
    return Box(low, high)


def _fits(shape: tuple[int, ...], sample: tuple[int, ...] | None, *more: tuple[int, ...]) -> bool:
    try:  # NumPy's: torch.broadcast_shapes imports SymPy, which takes a second
        whole = np.broadcast_shapes(shape, *more, *(() if sample is None else (sample,)))
    except ValueError:
        return False
    return sample is None or tuple(whole) == sample
