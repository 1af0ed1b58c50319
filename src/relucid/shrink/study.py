"""All that is known of a model before a plan is made: its graph, proofs, and what data show."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import fx, nn

from relucid.errors import GraphError, ShrinkError
from relucid.probes.batches import Batch, count_batches, read_batches
from relucid.probes.bounds.domain import Boxes
from relucid.probes.graph import Captured, capture
from relucid.probes.refusals import Refusal
from relucid.records.receipt import Guarantee
from relucid.report.progress import TellStage
from relucid.shrink.analysed import Analysed, analyse, told_of
from relucid.shrink.axes import Reading
from relucid.shrink.inputs import draw
from relucid.shrink.observe import Seen, observe
from relucid.shrink.plan import LEVELS
from relucid.shrink.proof import Constants, Proof, prove
from relucid.shrink.surgery import can_hold, twin
from relucid.shrink.witness import witness

WITNESSES = 4
"""Batches of two samples."""


@dataclass(frozen=True)
class Study:
    """What plans are made from."""

    analysed: Analysed
    known: dict[Guarantee, dict[Reading, Constants]]
    proofs: tuple[tuple[int, Proof], ...]
    """With their levels, the weakest last."""
    holds: dict[fx.Node, bool]
    """Whether constants can go into the bias of a weight's layer."""
    seen: dict[Reading, Seen]
    samples: int


def study(model: nn.Module, batch: Batch, boxes: Boxes | None, data: Any, tell: TellStage) -> Study:
    """Capture a model, in evaluation mode, and find out what is constant or straight in it."""
    tell("Capturing the graph", 0, 1)
    copied = twin(model)
    for module in copied.modules():
        module.training = False
    with Refusal(copied, batch, 0), torch.no_grad():
        batch.mapped(torch.clone).call(copied)
    analysed = analyse(_captured(copied, batch), copied)
    tell("Capturing the graph", 1, 1)
    proofs = _proofs(analysed, batch, boxes, tell)
    gc.collect()  # wide weights in reference cycles: 0.7 times the memory of an OPT-125M
    known = {LEVELS[level]: proof.constants for level, proof in proofs}
    seen, samples = dict[Reading, Seen](), 0
    if data is not None:
        wanted, batches = told_of(analysed.layout), _told(data, tell)
        seen, samples = observe(copied, analysed, wanted, batches)
        known[Guarantee.OBSERVED] = {r: one.constants for r, one in seen.items()}
        seen = {r: one for r, one in seen.items() if r not in analysed.layout.grouped}
    holds = can_hold(analysed.captured, analysed.layout, copied)
    return Study(analysed, known, proofs, holds, seen, samples)


def _captured(model: nn.Module, batch: Batch) -> Captured:
    try:
        return capture(model, batch)
    except GraphError as error:
        raise ShrinkError(str(error)) from error


def _told(data: Any, tell: TellStage) -> Iterator[Batch]:
    """Yield the batches of data, telling how many were run."""
    of, stage = count_batches(data), "Running the data"
    for done, batch in enumerate(read_batches(data)):
        tell(stage, done, of)
        yield batch
        tell(stage, done + 1, of)


def _proofs(
    analysed: Analysed, batch: Batch, boxes: Boxes | None, tell: TellStage
) -> tuple[tuple[int, Proof], ...]:
    """Prove for every input and, where a domain is declared, over the domain."""
    every, within = LEVELS.index(Guarantee.EVERY), LEVELS.index(Guarantee.DOMAIN)
    seen = witness(analysed, [batch, *draw(batch, boxes, WITNESSES)])
    reached = partial(tell, "Proving what holds")
    first = (every, prove(analysed, batch, None, None if boxes else seen, reached))
    if boxes is None:
        return (first,)
    reached = partial(tell, "Proving what holds in the domain")
    return first, (within, prove(analysed, batch, boxes, seen, reached))
