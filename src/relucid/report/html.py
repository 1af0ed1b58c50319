"""The report as one HTML file that needs nothing else: no script, no font, no request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from relucid.records import Checkup, Finding, Severity, SiteRecord
from relucid.report import charts, words
from relucid.report.files import FilePath, write_atomically
from relucid.report.strip import Strip, strip_of
from relucid.report.summary import (
    NO_GRADIENT,
    PROMINENT,
    Totals,
    as_tuple,
    comparison,
    counted,
    function_name,
    grouped,
    has_units,
    heading,
    in_order,
    share,
    totals,
    verdict,
)

if TYPE_CHECKING:
    from jinja2 import Environment, Template


@dataclass(frozen=True)
class SiteView:
    """A site as the templates read it."""

    anchor: str
    number: int
    record: SiteRecord
    function: str
    fire_rate: float | None
    sparsity: float | None
    saturation: float | None
    gradient_dead: tuple[int, ...]
    strip: Strip | None
    strip_svg: str | None
    distribution_svg: str | None
    findings: tuple[Finding, ...]

    @property
    def troubled(self) -> bool:
        """Say whether a finding here asks for attention."""
        return any(f.severity in (Severity.ILL, Severity.TIP) for f in self.findings)


@dataclass(frozen=True)
class CheckupView:
    """A checkup as the templates read it."""

    anchor: str
    checkup: Checkup
    verdict: str
    ill: int
    tips: int
    totals: Totals
    prominent: tuple[tuple[Finding, ...], ...]
    quiet: tuple[tuple[Finding, ...], ...]
    sites: tuple[SiteView, ...]
    anchors: dict[str, str]
    gradient_svg: str | None


def render_html(checkups: Checkup | Sequence[Checkup]) -> str:
    """Return one HTML document that shows one or several checkups.

    It is complete in itself: it opens offline, follows the reader's light or dark theme, and
    runs no script. Raises :class:`~relucid.errors.RecordError` where there is no checkup.
    """
    several = as_tuple(checkups)
    views = [_checkup_view(f"c{i}", checkup) for i, checkup in enumerate(several, 1)]
    return _template().render(
        views=views,
        heading=heading(several),
        comparison=comparison(several) if len(several) > 1 else "",
        no_gradient=NO_GRADIENT,
    )


def save_html(checkups: Checkup | Sequence[Checkup], path: FilePath) -> Path:
    """Write :func:`render_html` to ``path`` and return the path.

    Raises :class:`~relucid.errors.OutputError` where it cannot be written; a file that was
    there is then left as it was.
    """
    return write_atomically(path, render_html(checkups))


def _checkup_view(anchor: str, checkup: Checkup) -> CheckupView:
    records = in_order(checkup)
    groups = grouped(checkup.findings)
    sites = tuple(_site_view(anchor, i, r, checkup) for i, r in enumerate(records, 1))
    return CheckupView(
        anchor=anchor,
        checkup=checkup,
        verdict=verdict(checkup),
        ill=counted(checkup, Severity.ILL),
        tips=counted(checkup, Severity.TIP),
        totals=totals(checkup),
        prominent=tuple(group for group in groups if group[0].severity in PROMINENT),
        quiet=tuple(group for group in groups if group[0].severity not in PROMINENT),
        sites=sites,
        anchors={site.record.site.name: site.anchor for site in sites},
        gradient_svg=charts.gradient_chart(records),
    )


def _site_view(prefix: str, number: int, record: SiteRecord, checkup: Checkup) -> SiteView:
    gradient = record.gradient
    silent = np.flatnonzero(gradient.absolute == 0) if gradient is not None else ()
    return SiteView(
        anchor=f"{prefix}-s{number}",
        number=number,
        record=record,
        function=function_name(record),
        fire_rate=share(record.fired, record),
        sparsity=share(record.zeros, record),
        saturation=share(record.saturated, record),
        gradient_dead=tuple(map(int, silent)),
        strip=strip_of(record, charts.CELLS) if has_units(record) else None,
        strip_svg=charts.strip_chart(record),
        distribution_svg=charts.distribution_chart(record),
        findings=tuple(f for f in checkup.findings if f.site == record.site.name),
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    return _environment().get_template("page.html")


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def visible(value: object) -> object:
        """Write control characters out, in whatever text reaches the page."""
        is_text = isinstance(value, str) and not isinstance(value, Markup)
        return words.plain(str(value)) if is_text else value

    environment = Environment(
        loader=PackageLoader("relucid.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("amount", "figure", "percent", "plural", "spans", "in_words"):
        environment.filters[name] = getattr(words, name)
    return environment
