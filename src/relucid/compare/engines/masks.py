"""Dropout in stacked models: the samples of each seed lose what they lose in a run by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

DROPOUTS = frozenset(
    {functional.dropout, functional.dropout1d, functional.dropout2d, functional.dropout3d}
)


class Masks:
    """The random numbers of each seed, from where its training begins.

    A seed draws the same in the runs of all candidates.

    Args:
        seeds: those of the models, one each.

    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self._seeds = list(seeds)
        self.states = {s: torch.Generator().manual_seed(s).get_state() for s in seeds}
        """Of PyTorch's random numbers on the CPU."""

    def drop(self, call: Callable[..., Tensor], options: Mapping[str, Any], x: Tensor) -> Tensor:
        """Multiply (models, ...) by what this call makes of ones, drawn once a seed."""
        drawn = {seed: self._drawn(seed, call, options, x) for seed in dict.fromkeys(self._seeds)}
        return x * torch.stack([drawn[seed] for seed in self._seeds])

    def keep(self, models: Sequence[int]) -> None:
        """Go on with some of the models."""
        self._seeds = [self._seeds[i] for i in models]

    def after(self) -> list[Tensor]:
        """Return the random state that each model has come to."""
        return [self.states[seed] for seed in self._seeds]

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Put the states back at the end."""
        before = dict(self.states)
        try:
            yield
        finally:
            self.states = before

    def _drawn(
        self, seed: int, call: Callable[..., Tensor], options: Mapping[str, Any], x: Tensor
    ) -> Tensor:
        ones = torch.ones_like(x[self._seeds.index(seed)])
        with torch.random.fork_rng(()):
            torch.set_rng_state(self.states[seed])
            factors = call(ones, **options)
            self.states[seed] = torch.get_rng_state()
        return factors
