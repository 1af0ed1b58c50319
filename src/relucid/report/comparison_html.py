"""A comparison of activations as one HTML file that needs nothing else: no font, no request."""

from __future__ import annotations

from dataclasses import dataclass

from relucid.records.comparison import Comparison, Trained
from relucid.report import charts
from relucid.report.comparison_words import (
    Row,
    ending,
    facts,
    how_to_read,
    refusals,
    rows,
    unfinished,
)
from relucid.report.learning import ends_of, height_of, learning
from relucid.report.pages import rendered


@dataclass(frozen=True)
class Panel:
    """The learning curves of one candidate."""

    row: Row
    svg: str


@dataclass(frozen=True)
class Pictures:
    """What is drawn of a comparison; None or empty where there is nothing to draw."""

    ranking: str | None
    learning: str | None
    panels: tuple[Panel, ...]
    pareto: tuple[str, ...]
    coloured: int
    """Candidates that have a colour of their own, at most."""
    thin: bool
    """Whether there is a curve without a colour of its own."""


@dataclass(frozen=True)
class ComparisonView:
    """A comparison as the templates read it. Sentences that have nothing to say are empty."""

    comparison: Comparison
    rows: tuple[Row, ...]
    colours: dict[str, str]
    """By the names of candidates."""
    pictures: Pictures
    how_to_read: str
    ending: str
    facts: tuple[tuple[str, str], ...]
    refusals: tuple[tuple[str, tuple[str, ...]], ...]
    runs: int
    unfinished: tuple[Trained, ...]


def render_comparison_html(comparison: Comparison) -> str:
    """Return one HTML document that shows a comparison.

    It is complete in itself: it opens offline, follows the reader's light or dark theme, and shows
    the same where scripts are switched off.
    """
    return rendered("comparison_page.html", view=_view(comparison))


def _view(comparison: Comparison) -> ComparisonView:
    found = rows(comparison)
    colours = charts.candidate_colours(found)
    return ComparisonView(
        comparison=comparison,
        rows=found,
        colours=colours,
        pictures=_pictures(comparison, found, colours),
        how_to_read=how_to_read(comparison),
        ending=ending(comparison),
        facts=tuple(facts(comparison)),
        refusals=tuple(refusals(comparison)),
        runs=len(comparison.runs),
        unfinished=unfinished(comparison),
    )


def _pictures(comparison: Comparison, found: tuple[Row, ...], colours: dict[str, str]) -> Pictures:
    height, curves = height_of(comparison), learning(found)
    pareto = (charts.pareto_chart(found, cost, height) for cost in charts.COSTS)
    ends = ends_of(curves, height)
    baseline = next((curve for curve in curves if curve.row.is_baseline), None)
    return Pictures(
        ranking=charts.ranking_chart(found),
        learning=charts.learning_chart(curves, height, colours),
        panels=()
        if ends is None
        else tuple(
            Panel(
                c.row,
                charts.learning_panel(c, baseline, height, ends, colours[c.row.candidate.name]),
            )
            for c in curves
        ),
        pareto=tuple(svg for svg in pareto if svg is not None),
        coloured=charts.COLOURED,
        thin=any(len(c.step) > 1 and colours[c.row.candidate.name] == charts.MUTED for c in curves),
    )
