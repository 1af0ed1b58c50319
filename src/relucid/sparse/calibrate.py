"""How long a layer takes in full and with work left out, timed on this machine and remembered."""

from __future__ import annotations

import hashlib
import json
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from typing import ClassVar, Protocol

import torch
from torch import Tensor
from torch.nn.functional import linear

from relucid.interleave import uncollected
from relucid.kernels.cache import load, store
from relucid.kernels.llvm.compile import machine
from relucid.machine import own_version

MOST_TOKENS = 64
"""Tokens at a time above which nothing is left out: together they need almost every unit."""

SHARES = (0.0, 0.1, 0.2, 0.4, 1.0)
"""Shares of units that are timed."""

_PAYS = 0.85
"""Of the time in full, what it may take at most: in a loop, with more of its code in caches than
here, a product in full takes up to a tenth less."""

_FEW = 64
"""Rows of a product that brings PyTorch's code back into the caches before each call. Without, a
product of four tokens in bfloat16 took 0.65 to 0.73 ms in full, so 0.53 to 0.67, in a loop 0.55."""

_CACHES = 64 << 20
"""Bytes that push everything else out of the caches."""

_LEAST, _MOST, _SECONDS = 7, 25, 0.3

_DISTURBED = 1.5
"""Times the least time: if more than half the calls took that, other work ran on the machine."""


@dataclass(frozen=True)
class Calibration:
    """Times of a layer for a number of tokens at a time, in nanoseconds."""

    dense: float
    points: tuple[tuple[float, float], ...]
    """Shares of units that were computed or read, and how long that took; shares rise."""

    @cached_property
    def limit(self) -> float:
        """The largest share at which leaving out work pays; -1: it never does."""
        best = -1.0
        for share in (k / 200.0 for k in range(201)):
            if self.sparse(share) > _PAYS * self.dense:
                break
            best = share
        return best

    def sparse(self, share: float) -> float:
        """The time at a share: on the lines through the points."""
        lines = list(pairwise(self.points))
        line = next((one for one in lines if share <= one[1][0]), lines[-1])
        (left, low), (right, high) = line
        slope = max(high - low, 0.0) / max(right - left, 1e-9)
        return low + slope * (share - left)

    def gain(self, share: float) -> float:
        """How many times as fast as in full the layer is, where it chooses the faster way."""
        return max(self.dense / self.sparse(share), 1.0) if share <= self.limit else 1.0


class Timed(Protocol):
    """A layer, as far as its timing is concerned."""

    way: ClassVar[str]
    in_features: int
    out_features: int
    surroundings: int

    @property
    def weight(self) -> Tensor:
        """The weight, (out_features, in_features)."""

    def in_full(self, x: Tensor) -> object:
        """Compute with nothing left out."""

    def subject(self, tokens: int, share: float) -> tuple[Callable[[], float], Tensor]:
        """Return a call at about a share of units, which tells the share, and its input."""


def calibration_of(layer: Timed, tokens: int, threads: int) -> Calibration:
    """Recall the times of a layer of this shape on this machine, or take them."""
    key = _key(layer, tokens, threads)
    kept = load(key)
    if kept is not None:
        told = json.loads(kept)
        return Calibration(told["dense"], tuple((a, b) for a, b in told["points"]))
    made, disturbed = _measure(layer, tokens)
    if not disturbed:  # else another process may find better times
        store(key, json.dumps(asdict(made)).encode())
    return made


def _key(layer: Timed, tokens: int, threads: int) -> str:
    here = machine()
    told = (
        "calibration", own_version(), torch.__version__, here.processor, here.features, layer.way,
        layer.weight.dtype, layer.in_features, layer.out_features, tokens, threads,
        min(layer.surroundings, _CACHES) >> 22,
    )  # fmt: skip
    return hashlib.sha256("\n".join(map(str, told)).encode()).hexdigest()


def _measure(layer: Timed, tokens: int) -> tuple[Calibration, bool]:
    """Take the times, and tell whether other work disturbed them."""
    with torch.inference_mode():
        # Drawn apart: calibrating leaves the user's random numbers alone.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            subjects = [layer.subject(tokens, share) for share in SHARES]
        x = subjects[0][1]
        calls = [lambda: float(layer.in_full(x) is None), *(call for call, _ in subjects)]
        shares = [call() for call in calls][1:]
        few = layer.weight.detach()[:_FEW].clone()
        taken = _times(calls, min(layer.surroundings, _CACHES), lambda: linear(x, few))
    # The least: what disturbs a call only makes it longer.
    dense, *times = map(min, taken)
    disturbed = any(statistics.median(some) > _DISTURBED * min(some) for some in taken)
    return Calibration(dense, tuple(sorted(zip(shares, times, strict=True)))), disturbed


def _times(
    calls: Sequence[Callable[[], float]], surroundings: int, warm: Callable[[], Tensor]
) -> list[tuple[float, ...]]:
    """Nanoseconds of each call, in turns, after as much other memory was read as a pass reads."""
    others = torch.ones(surroundings // 4, device="cpu")
    draw, rows = random.Random(0), list[list[float]]()
    with uncollected():
        began = time.perf_counter()
        while len(rows) < _MOST:
            if len(rows) >= _LEAST and time.perf_counter() - began > _SECONDS:
                break
            row = [0.0] * len(calls)
            for which in draw.sample(range(len(calls)), len(calls)):
                others.sum()
                warm()
                start = time.perf_counter_ns()
                calls[which]()
                row[which] = float(time.perf_counter_ns() - start)
            rows.append(row)
    return list(zip(*rows, strict=True))
