"""The receipt of a shrink, from its plan and what was measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from torch import fx, nn

from relucid.probes.batches import Batch
from relucid.probes.bounds.domain import Boxes
from relucid.probes.graph import path_of
from relucid.records.receipt import Kind, Quality, Receipt, Refusal, Removal, ShrunkLayer
from relucid.shrink.analysed import Analysed
from relucid.shrink.axes import Maker
from relucid.shrink.fixed import Mask
from relucid.shrink.groups import partly_constant
from relucid.shrink.measures import latency, machine, size_of
from relucid.shrink.plan import LEVELS, Plan
from relucid.shrink.search import Found
from relucid.shrink.study import Study


def write_receipt(
    model: nn.Module, found: Found, batch: Batch, known: Study, boxes: Boxes | None,
    quality: tuple[Quality, ...], tolerance: float, seconds: float,
) -> Receipt:  # fmt: skip
    """Put together what became of a model."""
    analysed = known.analysed
    makers = list({m.weight: m for m in reversed(analysed.layout.makers)}.values())[::-1]
    modules = dict(model.named_modules())
    dtypes = Counter(str(p.dtype).removeprefix("torch.") for p in model.parameters())
    return Receipt(
        title=type(model).__name__,
        example=str(batch),
        domain="" if boxes is None else _told(boxes, batch),
        data=f"{known.samples:,} samples" if known.samples else "",
        dtype=dtypes.most_common(1)[0][0] if dtypes else "",
        layers=tuple(_layer(analysed, found.plan, maker, modules) for maker in makers),
        refused=tuple(_refusals(known, found.plan, makers)),
        before=size_of(model, batch),
        after=size_of(found.model, batch),
        agreements=found.agreements,
        tolerance=tolerance,
        latency=latency(model, found.model, batch) if found.plan.goes.any() else None,
        quality=quality,
        notes=tuple(_notes(boxes, known, found)),
        machine=machine(),
        seconds=seconds,
    )


def _told(boxes: Boxes, batch: Batch) -> str:
    """Return each input's range: ``x in 0 to 1``."""
    return ", ".join(f"{n} in {'anything' if b is None else b}" for n, _, b in boxes.inputs(batch))


def _notes(boxes: Boxes | None, known: Study, found: Found) -> Iterator[str]:
    if not found.agreements:
        yield "A mere copy differs from the model: nothing could be compared, and all stays."
    yield "Proofs hold for inputs of the example's shapes, in batches of any size."
    if boxes is None:
        yield (
            "Without a domain only that was proved which holds for every input: of what follows a "
            "LayerNorm or RMSNorm, whose result has a fixed length, or hangs on no input. "
            "Declare domain=(low, high) to prove more."
        )
    if _narrow_norms(known.analysed):
        yield (
            "A norm divides by at least the root of its eps, which magnifies the rounding of its "
            "inputs: with an eps below 1e-9 that can be more than its result in float32, and "
            "little is proved behind it. Use float64 or a larger eps (RoBERTa's is 1e-5), or "
            "pass data=."
        )
    if boxes is None and not known.samples:
        yield "Without data nothing was observed: pass data= for units that did nothing on them."


def _narrow_norms(analysed: Analysed) -> bool:
    """Whether a layer norm's eps is too small for its rounding in float32."""
    norms = [n for n in analysed.captured.nodes if getattr(n.target, "_opname", "") == "layer_norm"]
    epsilons = [
        n.args[4] for n in norms if len(n.args) > 4 and "64" not in str(n.meta["val"].dtype)
    ]
    return any(isinstance(eps, float) and eps < 1e-9 for eps in epsilons)


def _layer(
    analysed: Analysed, plan: Plan, maker: Maker, modules: dict[str, nn.Module]
) -> ShrunkLayer:
    labels = analysed.classes.of(maker.units)
    gone, path = plan.goes[labels], path_of(maker.node)
    merged = next((m for m in plan.merges if m.chain.maker.node is maker.node), None)
    on = np.zeros(len(labels), np.bool_) if merged is None else ~gone
    for combination in plan.combinations:
        if combination.maker.node is maker.node:
            on[combination.goes] = True
    return ShrunkLayer(
        path=path,
        layer=type(modules.get(path, analysed)).__name__ if path in modules else "",
        function=_function(analysed, maker.node),
        before=len(labels),
        after=0 if merged is not None else int((~gone).sum()),
        removed=tuple(_removals(gone | on, on, plan.levels[labels])),
        note="" if merged is None else f"merged with {merged.second}",
    )


def _removals(gone: Mask, on: Mask, levels: Any) -> Iterator[Removal]:
    for kind, which in ((Kind.CONSTANT, gone & ~on), (Kind.ALWAYS_ON, on)):
        for level, guarantee in enumerate(LEVELS):
            units = np.flatnonzero(which & (levels == level))
            if len(units):
                yield Removal(kind, guarantee, tuple(units.tolist()))


def _refusals(known: Study, plan: Plan, makers: Iterable[Maker]) -> Iterator[Refusal]:
    partly = partly_constant(known.analysed, known.known, plan)
    for maker in makers:
        labels = known.analysed.classes.of(maker.units).tolist()
        reasons = Counter(plan.stays[label] for label in labels if label in plan.stays)
        reasons.update(partly[atom] for atom in maker.units.tolist() if atom in partly)
        for reason, count in reasons.items():
            yield Refusal(path_of(maker.node), count, reason)


def _function(analysed: Analysed, node: fx.Node) -> str:
    """Return the name of the first activation that a layer's units come to."""
    labels, waiting, seen = analysed.sites, [node], {node}
    while waiting:
        for user in waiting.pop(0).users:
            if user in labels:
                return labels[user].activation.name
            if user not in seen and user in analysed.layout.local:
                seen.add(user)
                waiting.append(user)
    return ""
