"""The page of a comparison in a real browser: Chromium, where it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from relucid.records.comparison import Comparison
from support import comparisons as make
from support.browsing import CHROMIUM, OUTSIDE, Opened

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)"
)


def written(comparison: Comparison, folder: Path) -> Path:
    path = folder / "compare.html"
    path.write_text(make.page(comparison), "utf-8")
    return path


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Any]:
    pages: list[Opened] = []

    def open_(comparison: Comparison) -> Opened:
        pages.append(Opened(browser, written(comparison, tmp_path)))
        return pages[-1]

    yield open_
    for page in pages:
        page.page.context.close()


def test_no_request_and_nothing_on_the_console(opened: Any) -> None:
    for comparison in (make.broken(), make.hostile(), make.unbegun()):
        page = opened(comparison)
        assert [url for url in page.requests if not url.startswith(("file:", "data:"))] == []
        assert page.said == []


def test_a_hostile_name_does_nothing(opened: Any) -> None:
    """It neither runs nor builds elements, sorted or not."""
    hostile, calm = opened(make.hostile()).page, opened(make.hostile("calm")).page
    for page in (hostile, calm):
        for head in page.locator("table.sortable thead button:visible").all():
            head.click()
    count = "document.querySelectorAll('*').length"
    assert hostile.evaluate(count) == calm.evaluate(count)
    assert hostile.evaluate("document.images.length") == 0


def test_charts_are_drawn(opened: Any) -> None:
    """Ranking, learning curves, a panel a candidate, quality against two costs."""
    page = opened(make.comparison()).page
    charts = page.locator("svg.chart:visible")
    assert charts.count() == 1 + 1 + 12 + 2
    boxes = [chart.bounding_box() for chart in charts.all()]
    assert all(box and box["width"] > 150 and box["height"] > 60 for box in boxes)
    # Every picture shows a line or a mark in a colour that is not that of the page.
    coloured = """[...document.querySelectorAll("svg.chart")].every((svg) =>
        [...svg.querySelectorAll("path")].some((path) => {
            const { stroke, fill } = getComputedStyle(path);
            return /rgb/.test(stroke + fill) && path.getBBox().width > 3;
        }))"""
    assert page.evaluate(coloured)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1200])
def test_nothing_is_cut_off(browser: Any, tmp_path: Path, width: int, scheme: str) -> None:
    """At a telephone's width nothing makes the page scroll sideways; texts stay in their charts."""
    for comparison in (make.broken("loss"), make.hostile()):
        path = written(comparison, tmp_path)
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page = context.new_page()
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(OUTSIDE) == []
        context.close()


def test_letters_of_curves_do_not_overlap(opened: Any) -> None:
    page = opened(make.comparison()).page
    boxes = [
        text.bounding_box()
        for text in page.locator("svg[aria-label^='Mean accuracy'] text[fill]").all()
    ]
    edges = sorted((box["y"], box["y"] + box["height"]) for box in boxes if box["width"] > 25)
    assert len(edges) >= 9  # eight candidates and the baseline
    assert all(later[0] > earlier[0] + 8 for earlier, later in pairwise(edges))


def test_candidates_are_sorted_by_any_column(opened: Any) -> None:
    """Numbers by value; what is not known comes last."""
    page = opened(make.broken()).page
    ranking = page.locator("table.ranking").first
    ranking.get_by_role("button", name="accuracy").click()
    cells = ranking.locator("tbody tr td:nth-child(3)").all_inner_texts()
    known = [float(cell.split("%")[0]) for cell in cells if cell != "–"]
    assert known == sorted(known, reverse=True) and cells[-3:] == ["–"] * 3
    runs = page.locator("table.sortable").last
    page.locator("summary", has_text="Table of all runs").click()
    runs.get_by_role("button", name="seed").click()
    seeds = [int(text) for text in runs.locator("tbody td:nth-child(3)").all_inner_texts()]
    assert seeds == sorted(seeds, reverse=True) and len(seeds) == 59


def test_it_says_the_same_without_script(browser: Any, tmp_path: Path) -> None:
    path = written(make.broken(), tmp_path)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.locator("button, input").count() == 0
    assert page.locator("table.ranking").first.locator("tbody tr").count() == 12
    context.close()
