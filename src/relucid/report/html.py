"""The report as one HTML file that needs nothing else: no font, no request.

One small script sorts and filters the sites and copies code. The page names its digest and forbids
all other script.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from relucid.records import Checkup, Finding, Severity, SiteRecord
from relucid.report import charts
from relucid.report.history import CourseView, HistoryView
from relucid.report.history import view as history_view
from relucid.report.pages import rendered
from relucid.report.receipt_html import ReceiptView, receipt_view
from relucid.report.strip import Strip, strip_of
from relucid.report.summary import (
    PROMINENT,
    Totals,
    as_tuple,
    circumstances,
    comparison,
    counted,
    function_name,
    gradient_note,
    grouped,
    has_units,
    heading,
    in_gap,
    in_order,
    proved,
    share,
    totals,
    verdict,
)
from relucid.report.trials import TrialsView
from relucid.report.trials import view as trials_view

DRAWN = 200
"""Sites of a checkup whose distribution is drawn, at most: each takes 0.08 s and 5 kB."""


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
    drawn: bool
    """Whether it is among the sites whose distribution is drawn."""
    course: CourseView | None
    """What it did over time, where it was watched."""
    troubles: tuple[Finding, ...]
    """Findings here that ask for attention."""


@dataclass(frozen=True)
class CheckupView:
    """A checkup as the templates read it."""

    anchor: str
    checkup: Checkup
    verdict: str
    circumstances: str
    ill: int
    tips: int
    totals: Totals
    prominent: tuple[tuple[Finding, ...], ...]
    quiet: tuple[tuple[Finding, ...], ...]
    sites: tuple[SiteView, ...]
    anchors: dict[str, str]
    gradient_svg: str | None
    gradient_note: str
    """What to say where there is no picture of gradients."""
    zero_gradients: bool
    proved: str
    """What holds for every input of the domain, if one was declared."""
    gaps: tuple[str, ...]
    history: HistoryView | None
    trials: TrialsView | None
    effects_svg: str | None
    runs_svgs: tuple[str, ...]
    receipt: ReceiptView | None
    """Of the model's shrink, where the checkup has one."""

    @property
    def opened(self) -> bool:
        """Say whether the details of troubled sites start open: not where they are many."""
        return sum(bool(site.troubles) for site in self.sites) <= 6


def render_html(checkups: Checkup | Sequence[Checkup]) -> str:
    """Return one HTML document that shows one or several checkups.

    It is complete in itself: it opens offline, follows the reader's light or dark theme, and
    shows the same where scripts are switched off. Raises :class:`~relucid.errors.RecordError`
    where there is no checkup.
    """
    several = as_tuple(checkups)
    views = [_checkup_view(f"c{i}", checkup) for i, checkup in enumerate(several, 1)]
    return rendered(
        "page.html",
        views=views,
        heading=heading(several),
        comparison=comparison(several) if len(several) > 1 else "",
        most_drawn=DRAWN,
        levels=charts.LEVELS,
        map_rows=charts.ROWS,
    )


def _checkup_view(anchor: str, checkup: Checkup) -> CheckupView:
    records = in_order(checkup)
    groups = grouped(checkup.findings)
    drawn, domain = _most_telling(records, checkup), checkup.observation.domain
    history = history_view(checkup, records)
    courses = {} if history is None else history.sites
    sites = tuple(
        _site_view(anchor, number, record, checkup, record.site.name in drawn, courses)
        for number, record in enumerate(records, 1)
    )
    return CheckupView(
        anchor=anchor,
        checkup=checkup,
        verdict=verdict(checkup),
        circumstances=circumstances(checkup),
        ill=counted(checkup, Severity.ILL),
        tips=counted(checkup, Severity.TIP),
        totals=totals(checkup),
        prominent=tuple(group for group in groups if group[0].severity in PROMINENT),
        quiet=tuple(group for group in groups if group[0].severity not in PROMINENT),
        sites=sites,
        anchors={site.record.site.name: site.anchor for site in sites},
        gradient_svg=charts.gradient_chart(records),
        gradient_note=gradient_note(records),
        proved=proved(checkup.observation),
        gaps=tuple(map(in_gap, domain.gaps)) if domain is not None else (),
        zero_gradients=any(r.gradient is not None and r.gradient.rms == 0 for r in records),
        history=history,
        trials=None if checkup.trials is None else trials_view(checkup.trials),
        effects_svg=None if checkup.trials is None else charts.effects_chart(checkup.trials),
        runs_svgs=() if checkup.trials is None else charts.runs_charts(checkup.trials),
        receipt=None if checkup.receipt is None else receipt_view(checkup.receipt),
    )


def _most_telling(records: Sequence[SiteRecord], checkup: Checkup) -> set[str]:
    """Names of the sites that are drawn: those with findings first."""
    ailing = {finding.site for finding in checkup.findings if finding.severity in PROMINENT}
    names = [record.site.name for record in records]
    return set(sorted(names, key=lambda name: name not in ailing)[:DRAWN])


def _site_view(
    prefix: str,
    number: int,
    record: SiteRecord,
    checkup: Checkup,
    drawn: bool,
    courses: Mapping[str, CourseView],
) -> SiteView:
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
        distribution_svg=charts.distribution_chart(record) if drawn else None,
        drawn=drawn,
        course=courses.get(record.site.name),
        troubles=tuple(
            finding
            for finding in checkup.findings
            if finding.site == record.site.name and finding.severity in PROMINENT
        ),
    )
