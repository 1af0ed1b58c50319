"""The rows of ``benchmarks/zeros.py``: what is measured, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from zeros_sides import (
    Gated,
    Network,
    Shape,
    composed,
    doubled,
    gathered,
    out_of_cache,
    skipping,
    stock,
)

from relucid.bench.statistics import Spread, held, paired, spread
from relucid.interleave import Effort, Run, interleave
from relucid.sparse.layer import SparseLinear
from relucid.sparse.skipping import SkippingLinear

DENSE, AGAIN, RELUCID, UNCERTIFIED = "dense", "dense again", "relucid", "relucid, no certificates"
ATTEMPTS = 3
TOKENS = 25
"""Inputs: prime to the numbers of copies, so that each meets all of them."""
ROUND = 8
"""Calls in a row of one side at batch 1, each on another copy, before the next side has its turn.
As in a loop that writes text, its own code is in cache then, but not its weights."""
WARM = 16
"""Calls of each copy before times are taken: by then a layer knows whether leaving out work pays,
and looks again only after 16 more, then 32, at last 64."""
SIZES = ((4096, 1024), (8192, 2048))
"""Hidden and outer width."""
PARTS = ("second", "networks", "grid")


@dataclass(frozen=True)
class Setting:
    """What a row is of."""

    part: str
    width: int
    hidden: int
    zeros: float
    gated: bool = False
    dtype: str = "float32"
    batch: int = 1
    threads: int = 1

    def shape(self) -> Shape:
        """The network's shape."""
        kind = getattr(torch, self.dtype)
        return Shape(self.width, self.hidden, self.zeros, self.gated, kind)


@dataclass(frozen=True)
class Row:
    """What was measured. Times are nanoseconds a call."""

    setting: Setting
    zeros: float
    """The share of zeros that was seen."""
    times: dict[str, Spread]
    speedups: dict[str, Spread]
    """The dense time over that of a side, paired."""
    over_stock: Spread | None
    """The time of the fastest stock way over relucid's, paired."""
    errors: dict[str, float]
    """Largest difference from float64 over the largest output."""
    way: str
    """How relucid's last product was taken."""
    iterations: int
    attempts: int

    @property
    def discarded(self) -> bool:
        """Whether the dense side timed twice did not come out as equal."""
        return not held(self.speedups[AGAIN])

    @property
    def best_stock(self) -> str:
        """The fastest of the stock ways, dense among them; empty where none took part."""
        ours = (AGAIN, RELUCID, UNCERTIFIED)
        ways = {name: time.median for name, time in self.times.items() if name not in ours}
        return min(ways, key=lambda name: ways[name]) if len(ways) > 1 else ""


@dataclass(frozen=True)
class Sides:
    """What takes part in a row: runs by name, and the float64 truth of the first buffer set."""

    runs: dict[str, Callable[[int], Tensor]]
    truth: Tensor
    zeros: float
    way: Callable[[], str]


def second_sides(setting: Setting) -> Sides:
    """The product with inputs of which an exact share is zero."""
    shape = setting.shape()
    downs = [shape.linear(setting.hidden, setting.width, 0.1) for _ in range(shape.copies * 2)]
    rows = [down.weight.t().contiguous() for down in downs]
    inputs = [_with_zeros(setting.hidden, setting.zeros) for _ in range(TOKENS)]
    layers = [out_of_cache(SkippingLinear(deepcopy(down))).eval() for down in downs]

    def dense(k: int) -> Tensor:
        down = downs[k % len(downs)]
        return functional.linear(inputs[k % TOKENS], down.weight, down.bias)

    def ours(k: int) -> Tensor:
        return layers[k % len(layers)](inputs[k % TOKENS])

    def taking(way: Callable[..., Tensor]) -> Callable[[int], Tensor]:
        return lambda k: way(inputs[k % TOKENS], rows[k % len(rows)], downs[k % len(rows)].bias)

    runs = {DENSE: dense, AGAIN: dense, RELUCID: ours}
    runs |= {name: taking(way) for name, way in stock(shape.dtype).items()}
    truth = functional.linear(inputs[0].double(), downs[0].weight.double(), downs[0].bias.double())
    return Sides(runs, truth, setting.zeros, lambda: _ways(layers))


def _with_zeros(size: int, zeros: float) -> Tensor:
    """Positive numbers of shape (1, size), so many of them zero."""
    h = torch.randn(1, size).abs() + 0.01
    h[0, torch.randperm(size)[: round(zeros * size)]] = 0.0
    return h


@lru_cache(maxsize=1)
def built(shape: Shape) -> tuple[list[Network], list[Network]]:
    """The copies of a block, dense and skipping zeros."""
    networks = [shape.network() for _ in range(shape.copies)]
    return networks, [skipping(deepcopy(network), certify=True) for network in networks]


def network_sides(setting: Setting, *, peers: bool) -> Sides:
    """Whole blocks; with the stock ways for the last product as ``peers``."""
    shape = setting.shape()
    networks, certified = built(shape)
    inputs = [torch.randn(setting.batch, shape.width).to(shape.dtype) for _ in range(TOKENS)]

    def calling(sides: Sequence[Callable[[Tensor], Tensor]]) -> Callable[[int], Tensor]:
        return lambda k: sides[k % len(sides)](inputs[k % TOKENS])

    runs = {DENSE: calling(networks), AGAIN: calling(networks), RELUCID: calling(certified)}
    if peers:
        plain = [skipping(deepcopy(network), certify=False) for network in networks]
        rows = [network.down.weight.t().contiguous() for network in networks]
        pairs = list(zip(networks, rows, strict=True))
        runs[UNCERTIFIED] = calling(plain)
        for name, way in stock(shape.dtype).items():
            runs[name] = calling([composed(one, way, own) for one, own in pairs])
        if setting.gated:
            gates = [gathered(one, own) for one, own in pairs if isinstance(one, Gated)]
            runs["gathered"] = calling(gates)
    first = next(networks[0].children())
    zeros = torch.cat([first(x) <= 0 for x in inputs]).float().mean().item()
    truth = doubled(networks[0])(inputs[0].double())
    return Sides(
        runs, truth, zeros, lambda: _ways([one for n in certified for one in n.children()])
    )


def _ways(layers: Sequence[SparseLinear]) -> str:
    """How often work was left out, and why the latest dense call was dense."""
    seen = [layer.seen for layer in layers]
    sparse, dense = sum(one.sparse for one in seen), sum(one.dense for one in seen)
    reasons = {one.reason for one in seen if one.reason}
    return f"sparse {sparse}, dense {dense}" + "".join(f"; {one}" for one in sorted(reasons))


def measure(setting: Setting, seconds: float) -> Row:
    """Measure one row."""
    torch.set_num_threads(setting.threads)
    torch.manual_seed(0)
    sides = (
        second_sides(setting)
        if setting.part == "second"
        else network_sides(setting, peers=setting.part == "networks")
    )
    errors = {name: _error(run(0), sides.truth) for name, run in sides.runs.items()}
    for k in range(WARM * setting.shape().copies):
        sides.runs[RELUCID](k)
    calls = max(ROUND // setting.batch, 1)
    times, attempts = _steady(
        {name: _round(run, calls) for name, run in sides.runs.items()}, Effort(seconds)
    )
    times = {name: time / calls for name, time in times.items()}
    dense, own = times[DENSE], times[RELUCID]
    row = Row(
        setting,
        sides.zeros,
        {name: spread(time) for name, time in times.items()},
        {name: paired(dense, time) for name, time in times.items()},
        None,
        errors,
        sides.way(),
        len(dense),
        attempts,
    )
    best = row.best_stock
    return replace(row, over_stock=paired(times[best], own)) if best else row


def _round(run: Run, calls: int) -> Run:
    """So many calls in a row."""

    def several(k: int) -> None:
        for number in range(calls * k, calls * (k + 1)):
            run(number)

    return several


def _steady(runs: Mapping[str, Run], effort: Effort) -> tuple[dict[str, Any], int]:
    """Times whose control holds, or the last ones; and how many attempts that took."""
    for attempt in range(1, ATTEMPTS + 1):
        table = interleave(list(runs.values()), 97 * TOKENS, effort, warm=False, seed=attempt)
        times = dict(zip(runs, table.T, strict=True))
        if held(paired(times[DENSE], times[AGAIN])):
            break
    return times, attempt


def _error(found: Tensor, truth: Tensor) -> float:
    return float((found.double() - truth).abs().max() / truth.abs().max())


def settings(parts: Sequence[str], threads: Sequence[int]) -> Iterator[Setting]:
    """All rows of some parts."""
    if "second" in parts:
        for count in threads:
            for hidden, width in SIZES:
                for zeros in (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95):
                    yield Setting("second", width, hidden, zeros, threads=count)
    if "networks" in parts:
        for hidden, width in SIZES:
            for dtype in ("float32", "bfloat16"):
                for gated, zeros in ((False, 0.9), (False, 0.95), (True, 0.9)):
                    yield Setting("networks", width, hidden, zeros, gated, dtype)
    if "grid" in parts:
        for dtype in ("float32", "bfloat16"):
            for zeros in (0.0, 0.5, 0.8, 0.9, 0.95, 0.99):
                for batch in (1, 2, 4, 8, 16, 64):
                    yield Setting("grid", 1024, 4096, zeros, False, dtype, batch)
