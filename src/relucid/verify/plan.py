"""What to measure: functions, libraries, inputs, and how the inputs are cut into blocks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from relucid.errors import UnknownActivationError
from relucid.functions import Elementwise, catalogue, read
from relucid.kernels.choose import Precision, Route
from relucid.records.accuracy import function_id
from relucid.verify.points import ALL_PATTERNS, stratified
from relucid.verify.textbook import TRUTHS

BLOCK = 1 << 22
"""Inputs between two writings of the state: at most a second or two of work."""
CHUNK = 1 << 17
"""Inputs measured at once: half as many, or a quarter, save nothing, an eighth takes 20% longer
(one thread of a processor with 1 MiB of second-level cache and 32 MiB of third)."""


@dataclass(frozen=True)
class Plan:
    """The measurements of one function."""

    activation: Elementwise
    peers: tuple[str, ...] = ()
    route: Route | None = None
    precision: Precision = "standard"
    sample: int | None = None
    """How many inputs, about; None for all 2**32."""

    @property
    def id(self) -> str:
        """``elu``, or ``elu:alpha=0.5``."""
        return function_id(self.activation.name, self.activation.changed)

    @property
    def libraries(self) -> tuple[str, ...]:
        """relucid, and what is measured beside it."""
        return ("relucid", *self.peers)

    @property
    def key(self) -> str:
        """A name for files that differs where the measurements differ."""
        told = f"{self.id} {self.peers} {self.route} {self.precision} {self.sample}"
        return f"{self.activation.name}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"

    @property
    def blocks(self) -> int:
        """Into how many blocks the inputs are cut."""
        count = ALL_PATTERNS if self.sample is None else _sampled_count(self)
        return -(-count // BLOCK)

    def chunks(self, block: int) -> list[Tensor]:
        """The inputs of a block, float32 in rising order of bit patterns, by chunks."""
        start = block * BLOCK
        if self.sample is not None:
            bits = _sampled(self.activation, self.sample)[start : start + BLOCK]
            return list(bits.view(torch.float32).split(CHUNK))
        first = start if start < ALL_PATTERNS // 2 else start - ALL_PATTERNS
        bits = torch.arange(first, first + BLOCK, dtype=torch.int32)
        return list(bits.view(torch.float32).split(CHUNK))


@lru_cache(maxsize=1)
def _sampled(activation: Elementwise, size: int) -> Tensor:
    return torch.from_numpy(stratified(activation, size).view(np.int32))


@lru_cache(maxsize=256)
def _sampled_count(plan: Plan) -> int:
    return len(_sampled(plan.activation, plan.sample or 0))


def subject(text: str) -> Elementwise:
    """Return the function that ``elu`` or ``elu:alpha=0.5,...`` names.

    Raises :class:`~relucid.errors.UnknownActivationError` for a name that is none, or is of
    a function without a textbook definition to check against, and
    :class:`~relucid.errors.ParameterError`.
    """
    found = read(text)
    if not isinstance(found, Elementwise):
        raise UnknownActivationError(
            f"{found.name} is a {found.kind} function, and verify measures elementwise ones; "
            "the tests hold the others to their accuracy"
        )
    if found.name not in TRUTHS:
        raise UnknownActivationError(
            f"{found.name} has no textbook definition to be measured against; add one to "
            "TRUTHS in src/relucid/verify/textbook.py"
        )
    return found


def everything() -> list[Elementwise]:
    """Every elementwise function of the catalogue, at its defaults."""
    return [a for a in catalogue().values() if isinstance(a, Elementwise)]
