"""A small plot in a terminal: braille dots, or plain letters where there is only ASCII."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from relucid.records.cards import Curve

_BRAILLE = 0x2800
# The bit of each dot of a braille cell, by row and column.
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
# By whether a cell is on the line y = 0 and on the line x = 0.
_AXES = {(True, True): "┼+", (True, False): "─-", (False, True): "│|", (False, False): "  "}
_MARKS = {True: "●@", False: "○o"}


@dataclass(frozen=True)
class Frame:
    """The part of the plane that a plot shows."""

    left: float
    right: float
    bottom: float
    top: float

    def contains(self, y: float) -> bool:
        """Return whether a value is in view."""
        return self.bottom <= y <= self.top


@dataclass
class _Canvas:
    width: int
    height: int
    frame: Frame
    dots: dict[tuple[int, int], int] = field(default_factory=dict)
    marks: dict[tuple[int, int], str] = field(default_factory=dict)

    def point(self, x: float, y: float) -> None:
        column, row = self._place(x, y, 2, 4)
        cell = (row // 4, column // 2)
        self.dots[cell] = self.dots.get(cell, 0) | _BITS[row % 4][column % 2]

    def mark(self, x: float, y: float, sign: str) -> None:
        column, row = self._place(x, y, 1, 1)
        self.marks[row, column] = sign

    def rows(self, narrow: bool) -> Iterator[str]:
        column, row = self._place(0.0, 0.0, 1, 1)
        for r in range(self.height):
            yield "".join(
                self._cell(r, c, (r == row, c == column), narrow) for c in range(self.width)
            )

    def _cell(self, row: int, column: int, on_axes: tuple[bool, bool], narrow: bool) -> str:
        cell = (row, column)
        if cell in self.marks:
            return self.marks[cell]
        if cell in self.dots:
            return "*" if narrow else chr(_BRAILLE + self.dots[cell])
        return _AXES[on_axes][narrow]

    def _place(self, x: float, y: float, across: int, down: int) -> tuple[int, int]:
        """Return column and row, counted from the top left; -1 where it is out of view."""
        f = self.frame
        column = (x - f.left) / (f.right - f.left) * (self.width * across - 1)
        row = (f.top - y) / (f.top - f.bottom) * (self.height * down - 1)
        inside = f.left <= x <= f.right and f.contains(y)
        return (round(column), round(row)) if inside else (-1, -1)


def drawing(curve: Curve, width: int, height: int, *, narrow: bool) -> list[str]:
    """Return the lines of a plot of ``width`` by ``height`` letters, its scale in two more.

    Braille has 2 by 4 dots a letter; ``narrow`` keeps to ASCII.
    """
    frame = frame_of(curve)
    canvas = _Canvas(width, height, frame)
    for line in curve.lines:
        for x, y in _dense(line.x, line.y, 4 * width):
            if frame.contains(y):
                canvas.point(x, y)
    for dot in sorted(curve.dots, key=lambda dot: dot.filled):
        canvas.mark(dot.x, dot.y, _MARKS[dot.filled][narrow])
    return [*canvas.rows(narrow), _scale(frame, width)]


def frame_of(curve: Curve) -> Frame:
    """Return a frame around a curve that shows y = 0 and leaves a flat line in the middle."""
    xs = [x for line in curve.lines for x in line.x]
    ys = [y for line in curve.lines for y in line.y if math.isfinite(y)]
    ys += [0.0, *(dot.y for dot in curve.dots)]
    low, high = min(ys), max(ys)
    pad = 0.04 * (high - low) or 1.0
    return Frame(min(xs), max(xs), low - pad, high + pad)


def _dense(
    xs: tuple[float, ...], ys: tuple[float, ...], count: int
) -> Iterator[tuple[float, float]]:
    """Yield points along the line, also where it is steep."""
    for i in range(len(xs) - 1):
        steps = max(4, count // len(xs))
        for k in range(steps + 1):
            t = k / steps
            yield xs[i] + t * (xs[i + 1] - xs[i]), ys[i] + t * (ys[i + 1] - ys[i])


def _scale(frame: Frame, width: int) -> str:
    left, right = f"{frame.left:g}", f"{frame.right:g}"
    middle = f"y: {_short(frame.bottom)} to {_short(frame.top)}"
    return f"{left}{middle:^{width - len(left) - len(right)}}{right}"


def _short(value: float) -> str:
    return f"{value:.2g}"
