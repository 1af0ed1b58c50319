"""The report for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from relucid.records import Checkup, Finding, Severity, SiteRecord
from relucid.report.strip import strip_of
from relucid.report.summary import (
    BORN,
    NO_GRADIENT,
    PROMINENT,
    as_tuple,
    comparison,
    function_name,
    grouped,
    has_units,
    heading,
    in_order,
    share,
    verdict,
)
from relucid.report.words import (
    amount,
    ascii_only,
    figure,
    one_line,
    percent,
    plain,
    plural,
    spans,
)

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.text import Text

_MARKS = {
    Severity.ILL: ("✗ ILL", "x ILL", "bold red"),
    Severity.TIP: ("! TIP", "! TIP", "bold yellow"),
    Severity.UNOBSERVED: ("? NOT SEEN", "? NOT SEEN", "bold"),
    Severity.WELL: ("✓ WELL", "+ WELL", "green"),
    Severity.NOT_APPLICABLE: ("- NOT APPLICABLE", "- NOT APPLICABLE", "dim"),
}
_LEVELS = "▁▂▃▄▅▆▇", ".:-=+*%"
_DEAD_ON = {"dead": ("×", "x"), "always on": ("█", "#")}
_STRIP_CELLS = 12


def render_text(checkups: Checkup | Sequence[Checkup]) -> RenderableType:
    """Return a Rich renderable of one or several checkups: findings first, then the sites.

    It fits 80 columns, tells severity by signs and words as well as by colour, and keeps to
    ASCII where the terminal does. Raises :class:`~relucid.errors.RecordError` where there is
    no checkup.
    """
    return _Report(as_tuple(checkups))


def show(checkups: Checkup | Sequence[Checkup], console: Console | None = None) -> None:
    """Print :func:`render_text` to ``console``, by default the standard output."""
    from rich.console import Console

    (console or Console()).print(render_text(checkups))


class _Report:
    """Known to Rich by ``__rich_console__``, where the terminal's letters are known at last."""

    def __init__(self, checkups: tuple[Checkup, ...]) -> None:
        self.checkups = checkups

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        pen = _Pen(narrow=options.ascii_only)
        if len(self.checkups) > 1:
            yield pen.write(f"{heading(self.checkups)}: {comparison(self.checkups)}", "bold")
            yield ""
        for checkup in self.checkups:
            yield from _checkup(pen, checkup)


class _Pen:
    """Writes untrusted text so that neither Rich nor the terminal obeys it."""

    def __init__(self, narrow: bool) -> None:
        self.narrow = narrow

    def write(self, text: str, style: str = "") -> Text:
        from rich.text import Text

        text = plain(text)
        return Text(ascii_only(text) if self.narrow else text, style=style)

    def sign(self, pair: Sequence[str]) -> str:
        return pair[1] if self.narrow else pair[0]

    def indent(self, text: str, columns: int, style: str = "") -> RenderableType:
        from rich.padding import Padding

        return Padding(self.write(text, style), (0, 0, 0, columns), expand=False)


def _checkup(pen: _Pen, checkup: Checkup) -> Iterator[RenderableType]:
    from rich.rule import Rule

    line = pen.sign(("─", "-"))
    yield Rule(pen.write(one_line(checkup.title), "bold"), characters=line, align="left")
    yield pen.write(_facts(checkup), "dim")
    if checkup.story:
        yield pen.write(one_line(checkup.story))
    yield pen.write(verdict(checkup), "bold")
    yield ""
    groups = grouped(checkup.findings)
    for group in groups:
        if group[0].severity in PROMINENT:
            yield from _finding(pen, group)
    yield from _quiet(pen, groups)
    yield from _sites(pen, checkup)
    yield from _beyond(pen, checkup)


def _facts(checkup: Checkup) -> str:
    seen = checkup.observation
    loss = "" if seen.loss is None else f", mean loss {figure(seen.loss)}"
    return (
        f"{one_line(seen.model)}, {plural(seen.parameters, 'parameter')}, on "
        f"{one_line(checkup.data)}: {plural(seen.samples, 'sample')} in "
        f"{seen.batches:,} {'batch' if seen.batches == 1 else 'batches'}, {seen.mode} mode{loss}"
    )


def _finding(pen: _Pen, group: tuple[Finding, ...]) -> Iterator[RenderableType]:
    first = group[0]
    *signs, style = _MARKS[first.severity]
    mark = f"{pen.sign(signs)}  "
    for finding in group:
        place = f" at {one_line(finding.site)}" if finding.site is not None else ""
        title = pen.write(mark, style)
        title.append_text(pen.write(one_line(finding.title) + place, "bold"))
        yield title
        yield from (pen.indent(line, 4) for line in _numbers(finding))
    yield pen.indent(one_line(first.meaning), 4)
    for prescription in first.prescriptions:
        yield pen.indent(f"Try: {one_line(prescription.text)}", 4)
        if prescription.code:
            yield pen.indent(prescription.code.expandtabs(4), 8, "cyan")
    yield ""


def _numbers(finding: Finding) -> Iterator[str]:
    parts = []
    if finding.measured is not None:
        limit = amount(finding.threshold, finding.quantity)
        against = f" (threshold {limit})" if finding.threshold is not None else ""
        name = one_line(finding.quantity) or "measured"
        parts.append(f"{name} {amount(finding.measured, finding.quantity)}{against}")
    parts += [f"n = {finding.n:,}"] if finding.n else []
    parts += [one_line(finding.confidence)] if finding.confidence else []
    if parts:
        yield "; ".join(parts)
    if finding.units:
        yield f"units {spans(finding.units, 10)}"


def _quiet(pen: _Pen, groups: Sequence[tuple[Finding, ...]]) -> Iterator[RenderableType]:
    for severity in (Severity.WELL, Severity.NOT_APPLICABLE):
        findings = [f for group in groups for f in group if f.severity is severity]
        if findings:
            *signs, style = _MARKS[severity]
            line = pen.write(f"{pen.sign(signs)}  ", style)
            line.append_text(pen.write(_rules(findings)))
            yield line
            yield ""


def _rules(findings: Sequence[Finding]) -> str:
    """Name each rule once, with the number of sites of which it says the same."""
    sites: dict[str, int] = {}
    for finding in findings:
        name = one_line(finding.rule).replace("_", " ")
        sites[name] = sites.get(name, 0) + (finding.site is not None)
    return ", ".join(f"{name} ({plural(n, 'site')})" if n else name for name, n in sites.items())


def _sites(pen: _Pen, checkup: Checkup) -> Iterator[RenderableType]:
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("site", overflow="fold", ratio=3)
    table.add_column("function", overflow="fold", max_width=14)
    for name in ("units", "dead", "on", "fires"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("each unit", no_wrap=True, width=_STRIP_CELLS)
    table.add_column("gradient", justify="right", no_wrap=True)
    for record in in_order(checkup):
        table.add_row(*(pen.write(cell) for cell in _row(pen, record)))
    yield table
    dead, on = (pen.sign(_DEAD_ON[kind]) for kind in ("dead", "always on"))
    low, high = (pen.sign(_LEVELS)[end] for end in (0, -1))
    yield pen.write(
        f"Each unit, lowest fire rate first: {dead} dead (never fires), "
        f"{low} to {high} fires sometimes, {on} always on.",
        "dim",
    )
    yield ""


def _row(pen: _Pen, record: SiteRecord) -> list[str]:
    gradient = figure(record.gradient.rms) if record.gradient is not None else "–"
    name, function = one_line(record.site.name), one_line(function_name(record))
    if not has_units(record):
        return [name, function, "–", "–", "–", "–", "–", gradient]
    return [
        name,
        function,
        f"{len(record.fired):,}",
        f"{len(record.dead):,}",
        f"{len(record.always_on):,}",
        percent(share(record.fired, record)),
        _characters(pen, record),
        gradient,
    ]


def _characters(pen: _Pen, record: SiteRecord) -> str:
    levels, strip = pen.sign(_LEVELS), strip_of(record, _STRIP_CELLS)
    return "".join(
        levels[min(int(cell.rate * len(levels)), len(levels) - 1)]
        if cell.kind == "firing"
        else pen.sign(_DEAD_ON[cell.kind])
        for cell in (strip.cells if strip else ())
    )


def _beyond(pen: _Pen, checkup: Checkup) -> Iterator[RenderableType]:
    seen = checkup.observation
    for birth in seen.births:
        place = f" ({one_line(birth.source)})" if birth.source else ""
        yield pen.write(
            f"{BORN[birth.value]} was born in {one_line(birth.module)}, operation "
            f"{one_line(birth.operation)}{place}, in the {birth.phase} pass of batch {birth.batch}."
        )
    for missed in seen.unobserved:
        yield pen.write(f"Not observed: {one_line(missed.name)} ({one_line(missed.reason)}).")
    if seen.sites and not any(record.gradient for record in seen.sites):
        yield pen.write(NO_GRADIENT, "dim")
    yield ""
