"""What the layers of blocks are given on an example, and how much of the time they take."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from relucid.probes.batches import Batch, ordinary
from relucid.probes.fast_path import fast_path
from relucid.probes.refusals import Refusal
from relucid.probes.undisturbed import undisturbed

ROWS = 8
"""Tokens of the example by which it is told what one at a time would give."""
_TIMED = 3
"""Passes of which the fastest counts."""


@dataclass
class Observed:
    """One layer on the example."""

    tokens: int
    """Rows of its input in one call."""
    read: float
    """Share of the numbers in its input that are not 0."""
    above: float
    """Share of its outputs that are above the level."""
    rows: Tensor
    """Some of the rows of its input."""
    kept: bool = False
    """Whether its output is still alive after the pass: somebody holds it."""
    time: float = 0.0
    """Share of the whole pass."""


def observe(model: nn.Module, batch: Batch, levels: Mapping[str, float]) -> dict[str, Observed]:
    """Run a model with layers computed in full; return what was seen of each layer by its path.

    ``levels`` are those of the layers' activations. Leaves the model as it was.
    """
    found: dict[str, Observed] = {}
    alive: dict[str, StorageWeakRef] = {}
    layers = {path: model.get_submodule(path) for path in levels}

    def look(path: str, module: nn.Module, args: Any, keywords: Any, z: Tensor) -> None:
        x: Tensor = args[0] if args else keywords["input"]
        rows = x.reshape(-1, x.shape[-1])
        read, above = (float(x.float().mean()) for x in (rows != 0, z > levels[path]))
        found[path] = Observed(len(rows), read, above, rows[:ROWS].clone())
        alive[path] = StorageWeakRef(z.untyped_storage())

    with _hooked(layers, look):
        _run(model, batch)
    if not all(storage.expired() for storage in alive.values()):
        gc.collect()  # cycles hold what nobody else does
    for path, storage in alive.items():
        found[path].kept = not storage.expired()
    _time(model, batch, found)
    return found


def _time(model: nn.Module, batch: Batch, found: Mapping[str, Observed]) -> None:
    """Note the share of a pass that each layer takes, in the fastest of some passes."""
    began: dict[str, int] = {}
    taken: dict[str, int] = dict.fromkeys(found, 0)

    def start(path: str, module: nn.Module, args: Any) -> None:
        began[path] = time.perf_counter_ns()

    def stop(path: str, module: nn.Module, args: Any, keywords: Any, z: Any) -> None:
        taken[path] += time.perf_counter_ns() - began[path]

    fastest = 0
    for _ in range(_TIMED):
        taken.update(dict.fromkeys(taken, 0))
        with _hooked({path: model.get_submodule(path) for path in found}, stop, start):
            whole = _run(model, batch)
        if not fastest or whole < fastest:
            fastest = whole
            for path, one in found.items():
                one.time = taken[path] / whole


def _run(model: nn.Module, batch: Batch) -> int:
    """Run the model in evaluation mode; return nanoseconds."""
    fast_path.forbid()
    try:
        with torch.inference_mode(False), undisturbed(model, evaluate=True), torch.no_grad():
            given = batch.mapped(lambda x: ordinary(x).clone())
            with Refusal(model, batch, 0):
                start = time.perf_counter_ns()
                given.call(model)
                return time.perf_counter_ns() - start
    finally:
        fast_path.allow()


@contextmanager
def _hooked(layers: Mapping[str, nn.Module], after: Any, before: Any = None) -> Iterator[None]:
    handles = []
    try:
        for path, module in layers.items():
            if before is not None:
                handles.append(module.register_forward_pre_hook(partial(before, path)))
            handles.append(module.register_forward_hook(partial(after, path), with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()
