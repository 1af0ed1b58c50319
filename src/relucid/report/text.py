"""The report for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from relucid.records import Checkup, Finding, Prescription, Severity
from relucid.report.pen import Pen
from relucid.report.receipt_text import receipt_text
from relucid.report.summary import (
    BORN,
    PROMINENT,
    as_tuple,
    circumstances,
    comparison,
    gradient_note,
    grouped,
    heading,
    in_gap,
    proved,
    verdict,
)
from relucid.report.table import sites_table
from relucid.report.trials_text import trials_text
from relucid.report.words import (
    amount,
    one_line,
    plural,
    spans,
)

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

_MARKS = {
    Severity.ILL: ("✗ ILL", "x ILL", "bold red"),
    Severity.TIP: ("! TIP", "! TIP", "bold yellow"),
    Severity.UNOBSERVED: ("? NOT SEEN", "? NOT SEEN", "bold"),
    Severity.WELL: ("✓ WELL", "+ WELL", "green"),
    Severity.NOT_APPLICABLE: ("- NOT APPLICABLE", "- NOT APPLICABLE", "dim"),
}


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
        pen = Pen(narrow=options.ascii_only)
        if len(self.checkups) > 1:
            yield pen.write(f"{heading(self.checkups)}: {comparison(self.checkups)}", "bold")
            yield ""
        told: set[str] = set()
        for checkup in self.checkups:
            yield from _checkup(pen, checkup, told)


def _checkup(pen: Pen, checkup: Checkup, told: set[str]) -> Iterator[RenderableType]:
    from rich.rule import Rule

    yield pen.write(one_line(checkup.title), "bold")
    yield Rule(characters=pen.sign(("─", "-")), style="dim")
    yield pen.write(circumstances(checkup), "dim")
    if checkup.story:
        yield pen.write(one_line(checkup.story))
    yield pen.write(verdict(checkup), "bold")
    yield ""
    groups = grouped(checkup.findings)
    for group in groups:
        if group[0].severity in PROMINENT:
            yield from _finding(pen, group, told)
    if checkup.trials is not None:
        yield from trials_text(pen, checkup.trials)
    yield from _quiet(pen, groups)
    yield from sites_table(pen, checkup)
    yield from _beyond(pen, checkup)
    if checkup.receipt is not None:
        yield receipt_text(checkup.receipt)


def _finding(pen: Pen, group: tuple[Finding, ...], told: set[str]) -> Iterator[RenderableType]:
    first = group[0]
    *signs, style = _MARKS[first.severity]
    mark = f"{pen.sign(signs)}  "
    for finding in group:
        place = f" at site {one_line(finding.site)}" if finding.site is not None else ""
        title = pen.write(mark, style)
        title.append_text(pen.write(one_line(finding.title) + place, "bold"))
        yield title
        yield from (pen.indent(line, 4) for line in _numbers(finding))
    yield pen.indent(one_line(first.meaning), 4)
    for prescription in first.prescriptions:
        yield from _prescription(pen, prescription, told)
    yield ""


def _prescription(pen: Pen, prescription: Prescription, told: set[str]) -> Iterator[RenderableType]:
    code = prescription.code or ""
    again = " (code above)" if code in told else ""
    yield pen.indent(f"Try: {one_line(prescription.text)}{again}", 4)
    if code and not again:
        told.add(code)
        yield pen.indent(code.expandtabs(4), 8, "cyan")


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


def _quiet(pen: Pen, groups: Sequence[tuple[Finding, ...]]) -> Iterator[RenderableType]:
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


def _beyond(pen: Pen, checkup: Checkup) -> Iterator[RenderableType]:
    seen = checkup.observation
    for birth in seen.births:
        place = f" ({one_line(birth.source)})" if birth.source else ""
        yield pen.write(
            f"{BORN[birth.value]} was born in {one_line(birth.module)}, operation "
            f"{one_line(birth.operation)}{place}, in the {birth.phase} pass of batch {birth.batch}."
        )
    for missed in seen.unobserved:
        yield pen.write(f"Not observed: {one_line(missed.name)} ({one_line(missed.reason)}).")
    if seen.domain is not None:
        yield pen.write(proved(seen))
        for gap in seen.domain.gaps:
            yield pen.write(f"Without bounds: {in_gap(gap)}.", "dim")
    if seen.sites and (note := gradient_note(seen.sites)):
        yield pen.write(note, "dim")
    yield ""
