"""The whole of ``relucid.accelerate``; what fails leaves nothing changed."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from relucid.errors import ModelError
from relucid.probes.batches import Batch, ordinary
from relucid.probes.probe import check_model
from relucid.probes.undisturbed import same_random_numbers
from relucid.records.acceleration import Acceleration, Kept
from relucid.shrink.check import Failure, compare
from relucid.shrink.measures import latency, machine
from relucid.sparse.blocks import Block
from relucid.sparse.choose import choose
from relucid.sparse.find import find
from relucid.sparse.layer import Seen
from relucid.sparse.observe import Observed, observe
from relucid.sparse.result import Accelerated
from relucid.sparse.unfit import check_plain
from relucid.sparse.work import Work
from relucid.swap.outputs import first_batch

_TRAINING = (
    "the model is in training mode, in which replaced layers compute in full: call model.eval()"
)
_ROUNDING, _COARSE = 1e-4, 0.1
"""Beyond these, relative to the largest number of an output, no order of sums explains it: a
network of 24 layers in float32 differs by about 1e-6. The second is for 16-bit models."""


def perform(model: nn.Module, example: Any, *, certify: bool) -> Accelerated:
    """Accelerate a model: see :func:`relucid.accelerate`."""
    check_model(model)
    check_plain(model)
    batch = first_batch(example)
    if batch is not None:
        batch = batch.mapped(lambda x: ordinary(x).detach())
    with same_random_numbers(), torch.inference_mode(False):
        return _performed(model, batch, certify)


def _performed(model: nn.Module, batch: Batch | None, certify: bool) -> Accelerated:
    started = time.perf_counter()
    blocks = find(model, batch)
    dense, seen = None, dict[str, Observed]()
    if batch is not None:
        dense, why = _copied(model, [block.down for block in blocks.found])
        blocks.notes += [why] if why else []
        seen = observe(model if dense is None else dense, batch, _levels(blocks.found))
    work = Work(model, blocks.refused, seen)
    try:
        work.replace(choose(model, blocks.found, seen, certify))
        difference = _difference(dense, model, batch)
        timed = None
        if dense is not None and batch is not None and work.layers:
            timed = latency(dense, model, batch)
        report = Acceleration(
            title=type(model).__name__,
            example="" if batch is None else str(batch),
            certify=certify,
            blocks=tuple(work.blocks),
            kept=tuple(Kept(path, why) for path, why in work.refused.items()),
            expected=_whole(work, seen),
            latency=timed,
            difference=difference,
            notes=(*blocks.notes, *([_TRAINING] if model.training else [])),
            machine=machine(),
            seconds=time.perf_counter() - started,
        )
    except BaseException:
        work.ledger.undo()
        raise
    for layer in work.layers.values():
        layer.seen = Seen()
    return Accelerated(report, work.layers, work.ledger)


def _levels(blocks: Iterable[Block]) -> dict[str, float]:
    """Return the level of each layer's activation; 0 of those that have none."""
    levels = {path: 0.0 for block in blocks for path in block.layers}
    return levels | {block.first: block.level for block in blocks if block.first}


def _copied(model: nn.Module, apart: Iterable[str]) -> tuple[nn.Module | None, str]:
    """Return a copy that shares all memory but the weights of some layers; or why there is none."""
    own = {id(model.get_submodule(path).weight) for path in apart if path}
    shared = {id(x): x for x in (*model.parameters(), *model.buffers()) if id(x) not in own}
    try:
        return copy.deepcopy(model, shared), ""
    except (RuntimeError, TypeError, NotImplementedError) as error:
        return None, f"nothing was measured: the model cannot be copied to run beside ({error})"


def _difference(dense: nn.Module | None, model: nn.Module, batch: Batch | None) -> float | None:
    """Return the largest relative difference of an output on the example.

    Raises :class:`~relucid.errors.ModelError` where it is more than rounding.
    """
    if dense is None or batch is None:
        return None
    found = compare(dense, model, batch)
    if isinstance(found, Failure) or not found <= _rounding(model):
        told = found.told if isinstance(found, Failure) else f"an output differs by {found:.2g}"
        raise ModelError(
            f"{type(model).__name__} does not compute the same with its layers replaced ({told}); "
            "nothing was changed. Pass an example that is typical, or the submodules one by one"
        )
    return found


def _rounding(model: nn.Module) -> float:
    single = all(p.dtype in (torch.float32, torch.float64) for p in model.parameters())
    return _ROUNDING if single else _COARSE


def _whole(work: Work, seen: Mapping[str, Observed]) -> float | None:
    """Return the gain of the whole model on the example that those of its layers come to."""
    known = [layer for block in work.blocks for layer in block.layers if layer.example]
    if not known:
        return None
    saved = sum(seen[x.path].time * (1.0 - 1.0 / x.example.gain) for x in known if x.example)
    return 1.0 / max(1.0 - saved, math.ulp(1.0))
