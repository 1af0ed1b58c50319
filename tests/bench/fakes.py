"""A clock that only the subjects move, and rows made by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from relucid.bench.buffers import Inputs
from relucid.bench.record import FirstUse, Machine, Results, Row, Setting, Side
from relucid.bench.sides import Subject
from relucid.bench.statistics import Spread

EXACT = Spread(1.0, 1.0, 1.0)


@dataclass
class Clock:
    """Nanoseconds; ``pace`` is how much slower than usual the machine is at a moment."""

    now: float = 0.0
    pace: Callable[[float], float] = field(default=lambda now: 1.0)

    def __call__(self) -> int:
        return round(self.now)

    def work(self, nanoseconds: float) -> None:
        self.now += nanoseconds * self.pace(self.now)


@dataclass
class Lineup:
    """What ``measure`` needs of a line-up."""

    made: dict[str, Subject]
    inputs: tuple[Inputs, ...]

    def subjects(self, form: Any) -> dict[str, Subject]:
        return self.made


def at(median: float) -> Spread:
    return Spread(median, median, median)


def setting(function: str = "elu", **changes: Any) -> Setting:
    usual = {"dtype": "float32", "size": 65_536, "work": "both", "policy": "out", "threads": 1}
    return Setting(function, **{**usual, **changes})


def side(name: str, speedup: float = 1.0, **changes: Any) -> Side:
    usual = {"copies": at(3.0), "value_error": 0.5, "gradient_error": 0.5}
    usual |= {"compile_seconds": None, "note": "", "time": at(1000.0)}
    return Side(name=name, speedup=at(speedup), **{**usual, **changes})


def row(
    where: Setting, *sides: Side, control: float = 1.0, wrong: str = "", copies: float = 3.0
) -> Row:
    own = side("relucid", copies=at(copies))
    return Row(where, (own, *sides), at(control), iterations=11, attempts=1, wrong=wrong)


def machine(**changes: Any) -> Machine:
    usual: dict[str, Any] = {"cpu": "Test CPU", "cores": 2, "cache": 1 << 25, "system": "Linux"}
    usual |= {"versions": {"torch": "2"}, "commit": "abc", "source": "def"}
    return Machine(**{**usual, **changes})


def results(*rows: Row, first_use: FirstUse | None = None) -> Results:
    return Results("2030-01-02", machine(), rows, first_use)


def inputs(size: int = 64) -> Inputs:
    return Inputs((torch.linspace(-3.0, 3.0, size),), torch.ones(size))
