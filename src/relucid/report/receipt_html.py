"""The receipt of a shrink as one HTML file that needs nothing else: no font, no request."""

from __future__ import annotations

from dataclasses import dataclass

from relucid.records.receipt import Guarantee, Receipt
from relucid.report.pages import rendered
from relucid.report.receipt_words import (
    SHORT,
    LayerRow,
    Row,
    agreement_note,
    agreement_rows,
    facts,
    guarantees,
    headline,
    layer_rows,
    promise,
    quality_words,
    refusals,
    size_rows,
)


@dataclass(frozen=True)
class Part:
    """A part of a layer's bar: a class of the style sheet, and its share of the layer."""

    kind: str
    share: float


@dataclass(frozen=True)
class LayerView:
    """A layer as the templates read it."""

    row: LayerRow
    bar: tuple[Part, ...]


@dataclass(frozen=True)
class ReceiptView:
    """A receipt as the templates read it. What has nothing to say is empty."""

    receipt: Receipt
    headline: str
    promise: str
    quality: tuple[str, ...]
    sizes: tuple[Row, ...]
    guarantees: tuple[Guarantee, ...]
    short: dict[Guarantee, str]
    layers: tuple[LayerView, ...]
    always_on: bool
    agreements: tuple[tuple[str, str, str], ...]
    agreement_note: str
    refusals: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...]


def render_receipt_html(receipt: Receipt) -> str:
    """Return one HTML document that shows a receipt.

    It is complete in itself: it opens offline, follows the reader's light or dark theme, and shows
    the same where scripts are switched off.
    """
    return rendered("receipt_page.html", view=receipt_view(receipt))


def receipt_view(receipt: Receipt) -> ReceiptView:
    """Return what the templates show of a receipt."""
    rows = layer_rows(receipt)
    return ReceiptView(
        receipt=receipt,
        headline=headline(receipt),
        promise=promise(receipt),
        quality=tuple(quality_words(receipt)),
        sizes=tuple(size_rows(receipt)),
        guarantees=guarantees(receipt),
        short=SHORT,
        layers=tuple(LayerView(row, _bar(row)) for row in rows),
        always_on=any(row.always_on for row in rows),
        agreements=tuple(agreement_rows(receipt)),
        agreement_note=agreement_note(receipt),
        refusals=tuple(refusals(receipt)),
        facts=tuple(facts(receipt)),
    )


def _bar(row: LayerRow) -> tuple[Part, ...]:
    """What is left, then what went by each guarantee, as shares of what there was."""
    layer = row.layer
    if not layer.before:
        return ()
    counts = {"left": layer.after} | {g.name.lower(): layer.count(g) for g in Guarantee}
    return tuple(Part(kind, count / layer.before) for kind, count in counts.items() if count)
