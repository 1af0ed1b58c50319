"""Every change to a model as a step that can be checked and taken back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

from relucid.errors import ModelError

MISSING = object()
"""Stands for a key that is not there."""


class Step(Protocol):
    """One change that has been made."""

    def undo(self) -> None:
        """Put back what was there."""

    def lost(self) -> str:
        """What else has been put there since, in words; nothing where the change still stands."""


@dataclass(frozen=True)
class Entry:
    """A value put into a dictionary of a module: ``_modules`` or ``__dict__``."""

    where: dict[str, Any]
    key: str
    before: Any
    after: Any

    def make(self) -> Entry:
        """Put the new value there."""
        _put(self.where, self.key, self.after)
        return self

    def undo(self) -> None:
        """Put back the very same old value."""
        _put(self.where, self.key, self.before)

    def lost(self) -> str:
        """Tell whether something else is there now."""
        return "" if self.where.get(self.key, MISSING) is self.after else f"{self.key!r}"


@dataclass(frozen=True)
class Reclassed:
    """A module given a class with a rewritten method."""

    module: nn.Module
    before: type[nn.Module]
    after: type[nn.Module]

    def make(self) -> Reclassed:
        """Give the module its new class."""
        self.module.__class__ = self.after
        return self

    def undo(self) -> None:
        """Give the module its old class."""
        self.module.__class__ = self.before

    def lost(self) -> str:
        """Tell whether the module has yet another class."""
        return "" if type(self.module) is self.after else f"the class of {self.before.__name__}"


@dataclass(frozen=True)
class Scaled:
    """A weight that was multiplied by a factor."""

    weight: Tensor
    factor: float
    saved: Tensor

    @classmethod
    @torch.no_grad()
    def by(cls, weight: Tensor, factor: float) -> Scaled:
        """Scale a weight in place, keeping a copy."""
        saved = weight.detach().clone()
        weight.mul_(factor)
        return cls(weight, factor, saved)

    @torch.no_grad()
    def undo(self) -> None:
        """Put the old numbers back; a weight that was trained since is divided by the factor."""
        if torch.equal(self.weight, self.saved.to(self.weight.device) * self.factor):
            self.weight.copy_(self.saved)
        else:
            self.weight.div_(self.factor)

    def lost(self) -> str:
        """A weight can always be scaled back."""
        return ""


class Ledger:
    """The steps of one change to a model, in order. ``what`` names it in messages."""

    def __init__(self, what: str = "swap") -> None:
        self._what = what
        self._steps: list[Step] = []

    def add(self, *steps: Step) -> None:
        """Note steps that have been made."""
        self._steps += steps

    def withdraw(self, steps: Sequence[Step]) -> None:
        """Take back some steps, the last of them first."""
        for step in reversed(steps):
            step.undo()
        self._steps = [one for one in self._steps if not any(one is step for step in steps)]

    def undo(self) -> None:
        """Take back all steps, the last first.

        Raises :class:`~relucid.errors.ModelError`, before anything is taken back, where something
        else has been changed there since. Does nothing the second time.
        """
        lost = list(self._lost())
        if lost:
            raise ModelError(
                f"the {self._what} cannot be undone: {', '.join(lost)} was changed again since; "
                "undo what came later first"
            )
        while self._steps:
            self._steps.pop().undo()

    def _lost(self) -> Iterator[str]:
        """Only the last step at a place has to stand: those before it are covered by it."""
        seen: set[tuple[int, str]] = set()
        for step in reversed(self._steps):
            place = _place(step)
            if place not in seen and step.lost():
                yield step.lost()
            seen.add(place)


class Undoable(ABC):
    """A change to a model that the end of a ``with`` block takes back."""

    @abstractmethod
    def undo(self) -> None:
        """Take the change back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.undo()


def _place(step: Step) -> tuple[int, str]:
    if isinstance(step, Entry):
        return id(step.where), step.key
    return id(step), "" if not isinstance(step, Reclassed) else str(id(step.module))


def _put(where: dict[str, Any], key: str, value: Any) -> None:
    if value is MISSING:
        del where[key]
    else:
        where[key] = value
