"""Linear forms: coefficients of a node's elements, a row for each form, and their constants."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor
from torch.fx import Node

from relucid.probes.bounds.interval import Ball, Interval, unit


@dataclass(frozen=True)
class Passed:
    """What a node adds to the constants of forms, and the coefficients that its operands get."""

    term: Tensor
    size: Tensor
    """The sum of the abs values that the term is made of: its rounding is measured by it."""
    parts: tuple[Tensor, ...] = ()

    def but(self, parts: tuple[Tensor, ...]) -> Passed:
        """Return the same with coefficients."""
        return replace(self, parts=parts)


class Step(Protocol):
    """How linear forms pass a node."""

    @property
    def operands(self) -> tuple[Node, ...]:
        """The nodes that take its place in a form."""

    @property
    def cost(self) -> float:
        """Multiply-adds that a row takes, roughly."""

    def through(self, rows: Tensor, choice: int) -> Passed:
        """Replace the node in forms of which each row, (count, *shape), holds coefficients.

        ``choice`` says which of two pairs of lines stands for a function that bends.
        """


def weighed(rows: Tensor, centre: Tensor, spread: Tensor) -> Passed:
    """Return <a, centre> + <abs(a), spread> of each row a."""
    flat, whole = rows.flatten(1), rows.flatten(1).abs()
    middle, half = centre.flatten(), spread.flatten()
    return Passed(flat @ middle + whole @ half, whole @ (middle.abs() + half.abs()))


def smallest(dtype: torch.dtype) -> float:
    """Return more than a result can lose by underflow: some of the smallest subnormal numbers."""
    info = torch.finfo(dtype)
    return 1e-37 + 8.0 * info.smallest_normal * info.eps


class Total:
    """The constants of forms, with the rounding of their own sum."""

    def __init__(self, rows: Tensor) -> None:
        self._sum, self._size = rows.new_zeros(len(rows)), rows.new_zeros(len(rows))
        self._terms = 16

    def add(self, passed: Passed, rows: Tensor) -> None:
        """Add what a node contributes, a sum over twice its elements."""
        self._sum, self._size = self._sum + passed.term, self._size + passed.size
        self._terms += 2 * rows[0].numel()

    def bound(self) -> Tensor:
        """Return upper bounds."""
        return self._sum + 2.0 * self._terms * unit(torch.float64) * self._size


@dataclass(frozen=True)
class Box:
    """What is left of a form in the end: a node of which no more than its bounds is used."""

    centre: Tensor
    spread: Tensor
    ball: Ball | None = None
    operands: tuple[Node, ...] = ()
    cost: float = 0.0

    @classmethod
    def of(cls, interval: Interval) -> Box:
        """Return the box of an interval."""
        low, high = interval.low, interval.high
        return cls((low + high) / 2.0, (high - low) / 2.0, interval.ball)

    def through(self, rows: Tensor, choice: int) -> Passed:
        """Return the largest value of each row's form over the box, or the ball if that is less."""
        box = weighed(rows, self.centre, self.spread)
        if self.ball is None:
            return box
        ball = _within(self.ball, rows)
        return Passed(torch.minimum(box.term, ball.term), torch.maximum(box.size, ball.size))


def _within(ball: Ball, rows: Tensor) -> Passed:
    """Bound the forms of a tensor whose rows (last axis) lie in a ball, by Cauchy and Schwarz."""
    scaled = rows * ball.scale
    centred = scaled - scaled.mean(-1, keepdim=True) if ball.centred else scaled
    reach, whole = (ball.radius * _total(x.norm(dim=-1)) for x in (centred, scaled))
    slack, shift = ball.slack * _total(scaled.abs()), rows * ball.shift
    return Passed(_total(shift) + reach + slack, _total(shift.abs()) + whole + slack)


def _total(rows: Tensor) -> Tensor:
    return rows.flatten(1).sum(1)
