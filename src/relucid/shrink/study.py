"""All that is known of a model before a plan is made: its graph, proofs, and what data show."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import fx, nn

from relucid.probes.batches import Batch
from relucid.probes.bounds.domain import Boxes
from relucid.probes.refusals import Refusal
from relucid.records.receipt import Guarantee
from relucid.shrink.analysed import Analysed, analyse, worth_reading
from relucid.shrink.axes import Reading
from relucid.shrink.capture import capture
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


def study(
    model: nn.Module, batch: Batch, boxes: Boxes | None, data: Iterable[Batch] | None
) -> Study:
    """Capture a model, in evaluation mode, and find out what is constant or straight in it."""
    copied = twin(model)
    for module in copied.modules():
        module.training = False
    with Refusal(copied, batch, 0), torch.no_grad():
        batch.mapped(torch.clone).call(copied)
    analysed = analyse(capture(copied, batch), copied)
    proofs = _proofs(analysed, batch, boxes)
    gc.collect()  # wide weights in reference cycles: 0.7 times the memory of an OPT-125M
    known = {LEVELS[level]: proof.constants for level, proof in proofs}
    seen, samples = dict[Reading, Seen](), 0
    if data is not None:
        wanted = worth_reading(analysed.layout)
        seen, samples = observe(copied, analysed, wanted, data)
        known[Guarantee.OBSERVED] = {r: one.constants for r, one in seen.items()}
    holds = can_hold(analysed.captured, analysed.layout, copied)
    return Study(analysed, known, proofs, holds, seen, samples)


def _proofs(analysed: Analysed, batch: Batch, boxes: Boxes | None) -> tuple[tuple[int, Proof], ...]:
    """Prove for every input and, where a domain is declared, over the domain."""
    every, within = LEVELS.index(Guarantee.EVERY), LEVELS.index(Guarantee.DOMAIN)
    seen = witness(analysed, [batch, *draw(batch, boxes, WITNESSES)])
    first = (every, prove(analysed, batch, None, None if boxes else seen))
    return (first,) if boxes is None else (first, (within, prove(analysed, batch, boxes, seen)))
