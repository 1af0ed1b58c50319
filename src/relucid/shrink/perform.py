"""The whole of a shrink: from its arguments to the smaller model and its receipt."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from relucid.errors import DataError, ModelError, ShrinkError
from relucid.probes.batches import Batch, check_not_empty, few, ordinary, read_batches
from relucid.probes.bounds.domain import Boxes
from relucid.probes.probe import check_model, check_shapes
from relucid.probes.undisturbed import same_random_numbers
from relucid.records.receipt import Guarantee, Quality
from relucid.report.progress import TellStage
from relucid.shrink.check import EVERYWHERE, NOWHERE, ON_DATA, Checker, tolerance_of
from relucid.shrink.prune import check_shares, pruned
from relucid.shrink.quality import Loss, check_tuning, qualities
from relucid.shrink.result import Shrunk
from relucid.shrink.search import TRYING, Found, Search
from relucid.shrink.study import Study, study
from relucid.shrink.written import write_receipt


def perform(
    model: nn.Module, example: Any, domain: Any, data: Any, *, keep: float | None,
    rarely: float | None, loss: Loss | None, tune: int, tell: TellStage,
) -> Shrunk:  # fmt: skip
    """Shrink: see :func:`relucid.shrink`."""
    started = time.perf_counter()
    check_model(model)
    check_shares(keep, rarely, data)
    check_tuning(loss, tune, data)
    _check_plain(model)
    _check_weights(model)
    whole = _first(example)
    batch, tolerance = few(whole), tolerance_of(model)
    boxes = None if domain is None else Boxes(domain, model)
    if boxes is not None:
        boxes.check(whole, 0)
    if isinstance(data, Iterator):
        data = deque(data)  # gone through more than once; a list could look like one batch
    with same_random_numbers(), torch.inference_mode(False):
        known = study(model, batch, boxes, data, tell)
        search = Search(model, known, Checker(model, whole, boxes, tolerance, data), tell)
        found = _found(search, known, keep, rarely)
        tell(TRYING, search.tried, search.tried)
        quality: tuple[Quality, ...] = ()
        if data is not None:
            quality = qualities(model, found.model, data, loss, tune, tell)
        tell("Measuring", 0, None)
        return Shrunk(found.model, write_receipt(
            model, found, whole, known, boxes, quality, tolerance, time.perf_counter() - started
        ))  # fmt: skip


def _found(search: Search, known: Study, keep: float | None, rarely: float | None) -> Found:
    """Find what goes by the strongest guarantees first, so that the blame of others is theirs."""
    given = dict(known.known)
    seen = given.pop(Guarantee.OBSERVED, None)
    found = search.run(given, EVERYWHERE)
    if seen is not None:
        given[Guarantee.OBSERVED] = seen
        found = search.run(given, ON_DATA)
    if keep is not None or rarely is not None:
        goes = found.plan.goes
        given[Guarantee.PRUNED] = pruned(known.analysed, known.seen, goes, keep, rarely)
        found = search.run(given, NOWHERE)
    return found


def _first(example: Any) -> Batch:
    batch = next(read_batches(example), None)
    if batch is None:
        raise DataError("the example holds no batch; an iterator may be used up, pass a fresh one")
    check_not_empty(batch, 0)
    return batch.mapped(lambda x: ordinary(x).detach())


def _check_plain(model: nn.Module) -> None:
    """Raise :class:`~relucid.errors.ModelError` for wrappers, and what has no weights to cut."""
    inner = {"OptimizedModule": "_orig_mod", "DataParallel": "module",
             "DistributedDataParallel": "module"}.get(type(model).__name__)  # fmt: skip
    if inner is not None:
        raise ModelError(
            f"{type(model).__name__} wraps the model; shrink model.{inner}, and wrap what comes out"
        )
    if isinstance(model, torch.jit.ScriptModule):
        raise ModelError("a scripted model cannot be cut; shrink the nn.Module it was made from")
    coded = [n for n, one in model.named_modules() if ".quantized" in type(one).__module__]
    if coded:
        raise ModelError(
            f"{coded[0] or 'the model'} is quantised, and its weights cannot be cut; shrink the "
            "model in floating point, and quantise what comes out (relucid.export does, by int8=)"
        )
    check_shapes(model, "shrink")


def _check_weights(model: nn.Module) -> None:
    """Raise :class:`~relucid.errors.ShrinkError` where a weight is no number.

    Buffers may be infinite: masks are.
    """
    for name, one in (*model.named_parameters(), *model.named_buffers()):
        if not one.is_floating_point():
            continue
        places = ~one.isfinite() if isinstance(one, nn.Parameter) else one.isnan()
        if bool(places.any()):
            raise ShrinkError(
                f"{name} holds {int(places.sum()):,} numbers that are NaN or infinite, so that "
                "nothing can be proved of what depends on them; repair the model (relucid.checkup "
                "tells where they were born)"
            )
