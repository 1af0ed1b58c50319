"""The report of an accelerated model for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from relucid.records.acceleration import Acceleration, Expected, FastLayer
from relucid.report.pen import Pen
from relucid.report.words import figure, one_line, percent, plural, size

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.table import Table

_TOLD = 60
"""Layers that are listed, and reasons, at most."""


def acceleration_text(acceleration: Acceleration) -> RenderableType:
    """Return a Rich renderable of a report: the layers, what is expected, what was measured.

    It fits 80 columns and keeps to ASCII where the terminal does.
    """
    return _Report(acceleration)


class _Report:
    """Known to Rich by ``__rich_console__``, where the terminal's letters are known at last."""

    def __init__(self, acceleration: Acceleration) -> None:
        self._report = acceleration

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        pen, report = Pen(narrow=options.ascii_only), self._report
        yield pen.write(_headline(report), "bold")
        if report.layers:
            yield _layers(pen, report)
        if len(report.layers) > _TOLD:
            yield pen.write(f"And {len(report.layers) - _TOLD:,} more, in the JSON form.", "dim")
        for said in _measured(report):
            yield pen.write(said)
        yield from _kept(pen, report)
        for note in report.notes:
            yield pen.write(f"{note[:1].upper()}{note[1:].rstrip('.')}.", "dim")


def _headline(report: Acceleration) -> str:
    done = plural(len(report.layers), "layer") if report.layers else "no layer"
    functions = ", ".join(dict.fromkeys(one_line(block.function) for block in report.blocks))
    blocks = f" in {plural(len(report.blocks), 'block')} of {functions}" if report.layers else ""
    kept = f"; {len(report.kept)} left as they were" if report.kept else ""
    return f"{one_line(report.title)}: {done} replaced{blocks}{kept}"


def _layers(pen: Pen, report: Acceleration) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold", expand=True)
    table.add_column("layer", overflow="fold", ratio=1)
    table.add_column("way", no_wrap=True)
    for name in ("shape", "needed", "1 token", "example"):
        table.add_column(name, justify="right", no_wrap=True)
    for layer in report.layers[:_TOLD]:
        alone, example = layer.alone, layer.example
        needed = percent(alone.share if alone else None)
        shape = f"{layer.inputs:,} to {layer.outputs:,}"
        row = (one_line(layer.path), layer.way, shape, needed, _gain(alone), _gain(example))
        table.add_row(*map(pen.write, row))
    return table


def _gain(expected: Expected | None) -> str:
    return figure(None) if expected is None else f"{expected.gain:.2f}x"


def _measured(report: Acceleration) -> Iterator[str]:
    if report.layers:
        yield f"They take {size(report.extra_bytes)} more memory{_of_what(report.layers)}."
    latency = report.latency
    if latency is not None:
        expected = f" (expected: {report.expected:.2f})" if report.expected is not None else ""
        yield (
            f"On the example the model runs {latency.faster:.2f} times as fast{expected}; "
            f"{percent(latency.confidence)} interval {latency.low:.2f} to {latency.high:.2f}, "
            f"{plural(latency.pairs, 'pair')}, {one_line(latency.where)}."
        )
    if report.difference is not None and report.layers:
        yield f"Outputs on it differ by {figure(report.difference)} of the largest, at most."


def _of_what(layers: tuple[FastLayer, ...]) -> str:
    kinds = ("8-bit", "certified"), ("transposed", "skipping")
    counts = [
        (kind, sum(x.way == way and x.extra_bytes > 0 for x in layers)) for kind, way in kinds
    ]
    told = [f"{kind} copies of {plural(count, 'weight')}" for kind, count in counts if count]
    return f" ({' and '.join(told)})" if told else ""


def _kept(pen: Pen, report: Acceleration) -> Iterator[RenderableType]:
    if report.kept:
        yield pen.write("Left as they were:")
    for kept in report.kept[:_TOLD]:
        yield pen.indent(f"{one_line(kept.path)}: {one_line(kept.why)}", 2)
    if len(report.kept) > _TOLD:
        yield pen.indent(f"and {len(report.kept) - _TOLD:,} more, in the JSON form", 2)
