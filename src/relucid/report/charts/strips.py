"""Each unit's fire rate as a bar, a row of bars for a site.

Written as SVG here: it has no axes, and by way of Vega a strip takes 40 ms, which reports of many
sites cannot spare.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from xml.etree import ElementTree

from relucid.records import SiteRecord
from relucid.report.charts.drawing import ALWAYS_ON, FIRE, ILL, ILL_TINT
from relucid.report.strip import Cell, Strip, strip_of
from relucid.report.words import one_line, percent, plural

CELLS = 192
"""Cells of a strip, at most: 3 to 4 pixels each on a desk, and still 2 on a telephone."""

_WIDEST_WITH_GAPS = 96
_WIDTH, _HEIGHT = 4, 60
_LOW, _HIGH = -0.3, 1.2
"""What the picture shows from its lower to its upper edge; a fire rate is between 0 and 1."""

Part = tuple[str, float, float]
"""A colour, and from where to where it stands."""


def strip_chart(record: SiteRecord) -> str | None:
    """Draw the fire rate of each unit, or return None where no unit was counted.

    Dead units hang below the base line on a tinted ground and always-on units carry a cap, so
    that position tells them as well as colour.
    """
    strip = strip_of(record, CELLS)
    if strip is None:
        return None
    svg = ElementTree.Element("svg", {
        "viewBox": f"0 0 {_WIDTH * len(strip.cells)} {_HEIGHT}",
        "role": "img",
        "aria-label": _words(record.site.name, strip),
        "class": "strip",
        "preserveAspectRatio": "none",
    })  # fmt: skip
    drawn = [_parts(cell) for cell in strip.cells]
    for colour in dict.fromkeys(part[0] for part in chain.from_iterable(drawn)):
        ElementTree.SubElement(svg, "path", {"d": _path(drawn, colour), "fill": colour})
    return ElementTree.tostring(svg, encoding="unicode")


def _path(drawn: Sequence[Iterable[Part]], colour: str) -> str:
    """All bars of one colour."""
    gap = 0.18 * _WIDTH if len(drawn) <= _WIDEST_WITH_GAPS else 0.0
    return "".join(
        f"M{_number(_WIDTH * place + gap / 2)},{_number(_height(top))}"
        f"h{_number(_WIDTH - gap)}V{_number(_height(bottom))}h-{_number(_WIDTH - gap)}Z"
        for place, parts in enumerate(drawn)
        for name, bottom, top in parts
        if name == colour
    )


def _height(value: float) -> float:
    return (_HIGH - value) / (_HIGH - _LOW) * _HEIGHT


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _parts(cell: Cell) -> list[Part]:
    if cell.kind == "dead":
        return [(ILL_TINT, 0.0, 1.0), (ILL, -0.3, 0.0)]
    # A unit that fires at all is seen: two hundredths are about one pixel.
    bar = (FIRE, 0.0, max(cell.rate, 0.02))
    return [bar, (ALWAYS_ON, 1.0, 1.2)] if cell.kind == "always on" else [bar]


def _words(name: str, strip: Strip) -> str:
    return (
        f"Fire rate of the {plural(strip.units, 'unit')} of {one_line(name)}, lowest first: "
        f"{strip.dead:,} dead, {strip.always_on:,} always on, median {percent(strip.median)}."
    )
