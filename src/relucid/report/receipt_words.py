"""What is said of a shrink, in whatever form: what went, by which guarantee, and what it gave."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from relucid.records.receipt import Guarantee, Kind, Receipt, ShrunkLayer
from relucid.report.words import MISSING, figure, listed, one_line, percent, plural, size

SHORT = {
    Guarantee.EVERY: "every input",
    Guarantee.DOMAIN: "domain",
    Guarantee.OBSERVED: "data",
    Guarantee.PRUNED: "pruned",
}
"""Of guarantees, as the heads of columns."""
_INPUTS = {
    "random": "random inputs",
    "adversarial": "inputs sought to differ",
    "given": "given inputs",
}


@dataclass(frozen=True)
class Row:
    """One quantity before and after."""

    name: str
    before: str
    after: str
    change: str


@dataclass(frozen=True)
class LayerRow:
    """One layer, with what went of it by each guarantee that occurs in the receipt."""

    layer: ShrunkLayer
    counts: tuple[int, ...]
    always_on: int

    @property
    def path(self) -> str:
        """Its path on one line; the model itself where it is the one layer."""
        return one_line(self.layer.path) or "(the model)"

    @property
    def units(self) -> str:
        """``128 → 64``, or one number where nothing went."""
        before, after = self.layer.before, self.layer.after
        return f"{before:,}" if before == after else f"{before:,} → {after:,}"

    @property
    def changed(self) -> bool:
        """Whether it is not as it was."""
        return self.layer.before != self.layer.after or bool(self.layer.note)


def guarantees(receipt: Receipt) -> tuple[Guarantee, ...]:
    """Return the guarantees by which something went, the strongest first."""
    return tuple(guarantee for guarantee in Guarantee if receipt.count(guarantee))


def layer_rows(receipt: Receipt) -> tuple[LayerRow, ...]:
    """Return a row for each layer, in the order of the forward pass."""
    occurring = guarantees(receipt)
    return tuple(
        LayerRow(
            layer,
            tuple(layer.count(guarantee) for guarantee in occurring),
            sum(layer.count(guarantee, Kind.ALWAYS_ON) for guarantee in occurring),
        )
        for layer in receipt.layers
    )


def headline(receipt: Receipt) -> str:
    """Return what went, in one sentence."""
    if not receipt.removed:
        return "Nothing was removed."
    share = percent(receipt.removed / receipt.units_before)
    parts = [f"{receipt.count(g):,} {g.value}" for g in guarantees(receipt)]
    return (
        f"{receipt.removed:,} of {plural(receipt.units_before, 'unit')} removed ({share}): "
        f"{listed(parts)}."
    )


def promise(receipt: Receipt) -> str:
    """Return for which inputs the outputs are the same."""
    if any(quality.tuned is not None for quality in receipt.quality):
        return "The outputs differ: the smaller model was trained further."
    match receipt.weakest:
        case None:
            return "The model is as it was."
        case Guarantee.EVERY:
            return "The outputs are the same for every input, but for rounding."
        case Guarantee.DOMAIN:
            return (
                f"For every input of the domain ({receipt.domain}) the outputs are the same, but "
                "for rounding."
            )
        case Guarantee.OBSERVED:
            return (
                "The outputs are the same on the data, but for rounding. Units that were only "
                "observed may differ on inputs unlike them."
            )
        case Guarantee.PRUNED:
            return "The outputs differ: units that did little were taken out."


def size_rows(receipt: Receipt) -> Iterator[Row]:
    """Yield what the model took and takes."""
    before, after = receipt.before, receipt.after
    yield _counted("parameters", before.parameters, after.parameters)
    if before.macs is not None and after.macs is not None:
        yield _counted("multiplications a sample", before.macs, after.macs)
    change = _change(before.bytes, after.bytes)
    yield Row("weights", size(before.bytes), size(after.bytes), change)
    if (time := receipt.latency) is not None:
        ends = f"{figure(time.low)} to {figure(time.high)}"
        yield Row(
            "time of a call",
            duration(time.before),
            duration(time.after),
            f"{figure(time.faster)} times as fast ({ends})",
        )


def agreement_rows(receipt: Receipt) -> Iterator[tuple[str, str, str]]:
    """Yield on which inputs outputs were compared, on how many, and their largest difference."""
    for agreement in receipt.agreements:
        yield _INPUTS[agreement.inputs], f"{agreement.samples:,}", figure(agreement.largest)


def agreement_note(receipt: Receipt) -> str:
    """Return how to read the differences."""
    text = "Largest difference of an output over the largest magnitude of that output."
    if receipt.weakest in (None, Guarantee.PRUNED):
        return text
    return f"{text} Exact removal had to stay below {figure(receipt.tolerance)}."


def quality_words(receipt: Receipt) -> Iterator[str]:
    """Yield what pruning cost on the data."""
    for quality in receipt.quality:
        write = percent if quality.metric == "accuracy" else figure
        tuned = ""
        if quality.tuned is not None:
            tuned = (
                f", and {write(quality.tuned)} after {plural(quality.steps, 'step')} of training"
            )
        yield (
            f"{quality.metric.capitalize()} on {plural(quality.samples, 'sample')}: "
            f"{write(quality.before)} before, {write(quality.after)} after{tuned}."
        )


def refusals(receipt: Receipt) -> Iterator[tuple[str, str]]:
    """Yield what stayed, and why; the same reason of several layers once."""
    by_reason: dict[str, list[tuple[str, int]]] = {}
    for refusal in receipt.refused:
        by_reason.setdefault(refusal.why, []).append((refusal.path, refusal.units))
    for why, layers in by_reason.items():
        paths = listed([one_line(path) or "the model" for path, _ in layers])
        units = sum(units for _, units in layers)
        yield f"{paths}, {plural(units, 'unit')}" if units else paths, why


def facts(receipt: Receipt) -> Iterator[tuple[str, str]]:
    """Yield the conditions, as names and words."""
    yield "example", receipt.example
    yield "domain", receipt.domain or "none declared"
    yield "data", receipt.data or "none"
    if receipt.latency is not None:
        yield (
            "timed",
            f"{plural(receipt.latency.pairs, 'pair')} of calls in turns, "
            f"{receipt.latency.where}; {percent(receipt.latency.confidence)} interval",
        )
    if receipt.machine:
        yield "machine", receipt.machine
    yield "took", duration(receipt.seconds)


def duration(seconds: float) -> str:
    """Write a time: ``85 µs``, ``1.2 ms``, ``3.4 s``."""
    if not math.isfinite(seconds):
        return MISSING
    for unit, length in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= length:
            return f"{figure(seconds / length)} {unit}"
    return f"{figure(seconds / 1e-6)} µs"


def _counted(name: str, before: int, after: int) -> Row:
    return Row(name, f"{before:,}", f"{after:,}", _change(before, after))


def _change(before: int, after: int) -> str:
    if before == after:
        return "the same"
    share = abs(after - before) / before if before else math.inf
    return f"{percent(share)} {'less' if after < before else 'more'}"
