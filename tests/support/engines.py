"""A small experiment for engines, and builders that tell the test where they run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

import relucid
from relucid.compare.experiment import Choice, Experiment
from relucid.compare.subject import Subject
from relucid.functions import Elementwise
from relucid.records.comparison import Trained
from support.networks import LOSS, digits

MakeModule = Callable[[], nn.Module]
PATIENCE = 300.0
"""Seconds after which a test gives up on what should come at once."""


def build(activation: MakeModule) -> nn.Module:
    """Return a network for the digits."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), activation(), nn.Linear(16, 10))


def experiment(
    *names: str,
    seeds: Sequence[int] = (0, 1),
    steps: int = 4,
    build: Callable[..., nn.Module] = build,
    data: Any = None,
    source: Callable[[], Subject] | None = None,
) -> Experiment:
    """Compare these activations on 200 digits."""
    given = digits(200, batch=20) if data is None else data
    subject = Subject("digits", build, given, LOSS, metric="accuracy", source=source)
    return Experiment(subject, tuple(map(_choice, names)), names[0], None, tuple(seeds), steps)


def _choice(name: str) -> Choice:
    activation = relucid.get(name)
    assert isinstance(activation, Elementwise)
    return Choice(name, activation)


def table(runs: Iterable[Trained]) -> list[str]:
    """Return all that was measured but the time, to the last bit; equal where NaN are."""
    return sorted(repr(replace(run, seconds=0.0)) for run in runs)


def wait_for(path: Path) -> str:
    """Return the text of a file, when it is there."""
    end = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < end, f"{path} never came"
        time.sleep(0.01)
    return path.read_text()


def wait_until_gone(pid: int) -> None:
    """Return when there is no such process."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        assert time.monotonic() < end, f"process {pid} goes on"
        time.sleep(0.01)


class Telling:
    """A builder that leaves the number of its process in a file of the activation's name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, activation: MakeModule) -> nn.Module:
        name = type(activation()).__name__.lower()
        unfinished = self.folder / f"{name}.{os.getpid()}"
        unfinished.write_text(str(os.getpid()))
        unfinished.replace(self.folder / name)
        return build(activation)

    def process(self, name: str) -> int:
        """Return the process that built this activation's network last."""
        return int(wait_for(self.folder / name))


class Waiting(Telling):
    """A builder that, with one activation, goes on only when the file ``go`` is there."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder)
        self.name = name

    def __call__(self, activation: MakeModule) -> nn.Module:
        model = super().__call__(activation)
        if type(activation()).__name__.lower() == self.name:
            wait_for(self.folder / "go")
        return model
