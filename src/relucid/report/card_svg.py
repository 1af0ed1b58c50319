"""A function and its derivative as one SVG picture, on a page or on its own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from relucid.records.cards import Curve
from relucid.report.dots import Frame, frame_of

WIDTH, HEIGHT = 640, 380
_MARGIN_LEFT, _MARGIN_RIGHT, _MARGIN_TOP, _MARGIN_BOTTOM = 44, 14, 14, 52
_TICKS = 6
_HIGHEST = 8.0
_CLASSES = ("value", "derivative")
_STYLE = """<style>
svg { --ink: #1c2126; --muted: #5b646e; --line: #e2e0da; --quiet: #9aa2aa; --page: #ffffff;
  --value: #1f6fb2; --derivative: #c2570c; color-scheme: light dark; }
@media (prefers-color-scheme: dark) {
  svg { --ink: #e8eaec; --muted: #a0a9b2; --line: #30363d; --quiet: #6d767f; --page: #14171a;
    --value: #7fbaf0; --derivative: #f5a25d; }
}
</style>"""


def picture(curves: Sequence[Curve], title: str, *, standalone: bool = False) -> str:
    """Return an SVG element in which all curves share their axes.

    Its colours are the CSS variables ``--value``, ``--derivative``, ``--ink``, ``--muted``,
    ``--line``, ``--quiet`` and ``--page``; a ``standalone`` picture brings its own, for light and
    dark.
    """
    frame = _common_frame(curves)
    label = escape(f"{title}: {' and '.join(curve.name for curve in curves)}", quote=True)
    space = ' xmlns="http://www.w3.org/2000/svg"' if standalone else ""
    parts = [
        f'<svg{space} viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}" '
        'font-family="system-ui, sans-serif" font-size="13">',
        _STYLE if standalone else "",
        *_grid(frame),
        *(part for curve, name in zip(curves, _CLASSES, strict=False)
          for part in _curve(curve, frame, name)),
        *_legend(curves),
        "</svg>",
    ]  # fmt: skip
    return "\n".join(part for part in parts if part)


def _common_frame(curves: Sequence[Curve]) -> Frame:
    frames = [frame_of(curve) for curve in curves]
    bottom, top = min(f.bottom for f in frames), max(f.top for f in frames)
    return Frame(frames[0].left, frames[0].right, max(bottom, -_HIGHEST), min(top, _HIGHEST))


def _x(frame: Frame, x: float) -> float:
    width = WIDTH - _MARGIN_LEFT - _MARGIN_RIGHT
    return round(_MARGIN_LEFT + (x - frame.left) / (frame.right - frame.left) * width, 1)


def _y(frame: Frame, y: float) -> float:
    height = HEIGHT - _MARGIN_TOP - _MARGIN_BOTTOM
    return round(_MARGIN_TOP + (frame.top - y) / (frame.top - frame.bottom) * height, 1)


def _grid(frame: Frame) -> Iterator[str]:
    left, right = _x(frame, frame.left), _x(frame, frame.right)
    top, bottom = _y(frame, frame.top), _y(frame, frame.bottom)
    for value in ticks(frame.left, frame.right):
        x = _x(frame, value)
        yield _rule(x, top, x, bottom, strong=value == 0)
        yield _text(x, bottom + 18, "middle", value)
    for value in ticks(frame.bottom, frame.top):
        y = _y(frame, value)
        yield _rule(left, y, right, y, strong=value == 0)
        yield _text(left - 8, y + 4, "end", value)


def _rule(x1: float, y1: float, x2: float, y2: float, *, strong: bool) -> str:
    colour = "var(--quiet)" if strong else "var(--line)"
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{colour}"/>'


def _text(x: float, y: float, anchor: str, value: float) -> str:
    shown = f"{value:g}".replace("-", "−")
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="var(--muted)">{shown}</text>'


def ticks(low: float, high: float) -> list[float]:
    """Return round numbers from low to high, about six of them."""
    rough = (high - low) / _TICKS
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(s * scale for s in (1.0, 2.0, 5.0, 10.0) if s * scale >= rough)
    return [round(k * step, 12) for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _curve(curve: Curve, frame: Frame, name: str) -> Iterator[str]:
    colour, dash = f"var(--{name})", ' stroke-dasharray="7 5"' if name == "derivative" else ""
    for line in curve.lines:
        path = _path(line.x, line.y, frame)
        yield (
            f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2.5" '
            f'stroke-linejoin="round"{dash}/>'
        )
    for dot in sorted(curve.dots, key=lambda dot: dot.filled):
        fill = colour if dot.filled else "var(--page)"
        yield (
            f'<circle cx="{_x(frame, dot.x)}" cy="{_y(frame, dot.y)}" r="4.5" fill="{fill}" '
            f'stroke="{colour}" stroke-width="2"/>'
        )


def _path(xs: Sequence[float], ys: Sequence[float], frame: Frame) -> str:
    """Return the points in view; the pen is lifted where the line leaves it."""
    parts, drawing = [], False
    for x, y in zip(xs, ys, strict=True):
        if not frame.contains(y):
            drawing = False
            continue
        parts.append(f"{'L' if drawing else 'M'}{_x(frame, x):g} {_y(frame, y):g}")
        drawing = True
    return "".join(parts)


def _legend(curves: Sequence[Curve]) -> Iterator[str]:
    x, y = _MARGIN_LEFT, HEIGHT - 12
    for curve, name in zip(curves, _CLASSES, strict=False):
        dash = ' stroke-dasharray="7 5"' if name == "derivative" else ""
        yield (
            f'<line x1="{x}" y1="{y - 4}" x2="{x + 30}" y2="{y - 4}" stroke="var(--{name})" '
            f'stroke-width="2.5"{dash}/>'
            f'<text x="{x + 38}" y="{y}" fill="var(--ink)">{escape(curve.name)}</text>'
        )
        x += 60 + 8 * len(curve.name)
