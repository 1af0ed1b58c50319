"""Lines and areas of small pictures as SVG paths, and the letters at their edges.

Written as SVG here: by way of Vega a picture takes 40 to 80 ms, and a report of a thousand sites
holds more than a thousand of these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Plane:
    """The part of a picture that holds the lines: its edges, and what they stand for."""

    left: int
    right: int
    top: int
    bottom: int
    span: tuple[float, float]
    """What the left and the right edge stand for."""
    scale: tuple[float, float] = (0.0, 1.0)
    """What the lower and the upper edge stand for."""

    def line(self, x: Reals, y: Reals) -> str:
        """Return a path through the points; it is broken where y is not known."""
        return "".join(
            f"M{_joined(run)}" + ("h0" if len(run) == 1 else "") for run in self._runs(x, y)
        )

    def area(self, x: Reals, y: Reals) -> str:
        """Return a path around what lies between the points and the lower edge."""
        return "".join(
            f"M{run[0][0]},{self.bottom}L{_joined(run)}V{self.bottom}Z" for run in self._runs(x, y)
        )

    def across(self, x: float) -> int:
        """Return where a value of x lies."""
        low, high = self.span
        return round(self.left + (self.right - self.left) * (x - low) / ((high - low) or 1.0))

    def _runs(self, x: Reals, y: Reals) -> Iterator[list[tuple[int, int]]]:
        known = np.isfinite(y)
        for places in np.split(np.arange(len(y)), np.flatnonzero(np.diff(known)) + 1):
            if len(places) and known[places[0]]:
                yield [(self.across(float(x[i])), self.up(float(y[i]))) for i in places]

    def up(self, y: float) -> int:
        """Return where a value of y lies, at an edge where it is beyond it."""
        low, high = self.scale
        part = (y - low) / ((high - low) or 1.0)
        return round(self.bottom - (self.bottom - self.top) * min(max(part, 0.0), 1.0))


def picture(width: int, height: int, label: str, css: str) -> ElementTree.Element:
    """Return an empty picture that is spoken as ``label``."""
    attributes = {"viewBox": f"0 0 {width} {height}", "role": "img", "aria-label": label}
    return ElementTree.Element("svg", {**attributes, "class": css})


def put_path(svg: ElementTree.Element, d: str, **look: str) -> None:
    """Draw a path, unless there is nothing in it; ``stroke_width`` stands for stroke-width."""
    if d:
        ElementTree.SubElement(svg, "path", {"d": d, **_named(look)})


def put_text(svg: ElementTree.Element, x: int, y: int, text: str, anchor: str) -> None:
    """Write a text that starts, ends or is centred (middle) at x."""
    where = {"x": str(x), "y": str(y), "text-anchor": anchor}
    ElementTree.SubElement(svg, "text", where).text = text


def as_text(svg: ElementTree.Element) -> str:
    """Return the picture as it stands in a page."""
    return ElementTree.tostring(svg, encoding="unicode")


def _joined(run: list[tuple[int, int]]) -> str:
    return " ".join(f"{x},{y}" for x, y in run)


def _named(look: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in look.items()}
