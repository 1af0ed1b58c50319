"""The report in a real browser: Chromium, where it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relucid.report import history, html, render_html
from relucid.report.files import write_atomically
from support import checkups as make
from support.browsing import CHROMIUM, OUTSIDE, Opened
from support.histories import with_histories
from support.receipts import receipt
from support.trials import trials

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)"
)


def saved(folder: Path, *checkups: Any) -> Path:
    return write_atomically(folder / "report.html", render_html(checkups))


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Any]:
    pages: list[Opened] = []

    def open_(*checkups: Any) -> Opened:
        path = saved(tmp_path, *checkups)
        pages.append(Opened(browser, path))
        return pages[-1]

    yield open_
    for page in pages:
        page.page.context.close()


def names(page: Any) -> list[str]:
    """The sites of the table that can be seen, from top to bottom."""
    rows = page.locator("table.sites tbody tr:visible th code")
    return [text.strip() for text in rows.all_inner_texts()]


def test_no_request_and_nothing_on_the_console(opened: Any) -> None:
    for checkup in (make.sick(), with_histories(make.hostile()), make.convolutional(True)):
        page = opened(checkup)
        assert [url for url in page.requests if not url.startswith(("file:", "data:"))] == []
        assert page.said == []


def test_a_hostile_name_does_nothing(opened: Any) -> None:
    """It neither runs nor builds elements, sorted, filtered or copied."""
    hostile = opened(with_histories(make.hostile()), make.sick()).page
    calm = opened(with_histories(make.hostile("calm")), make.sick()).page
    for page in (hostile, calm):
        for head in page.locator("table.sites thead button").all():
            head.click()
        page.locator(".filter input[type=checkbox]").check()
        page.locator("button.copy").first.click()
    count = "document.querySelectorAll('*').length"
    assert hostile.evaluate(count) == calm.evaluate(count)
    assert hostile.evaluate("typeof window.hit") == "undefined"


def test_charts_are_drawn(opened: Any) -> None:
    page = opened(make.sick()).page
    charts = page.locator("svg.chart:visible, svg.strip:visible")
    assert charts.count() >= 3
    boxes = [chart.bounding_box() for chart in charts.all()]
    assert all(box and box["width"] > 100 and box["height"] > 20 for box in boxes)


def test_histories_are_drawn_and_filtered(opened: Any) -> None:
    """A map, a line a site and four panels in the details; filtering hides the lines too."""
    opening = opened(with_histories(make.sick()))
    page = opening.page
    assert opening.said == []
    map_box = page.locator("figure.beside > svg[aria-label*='dead units at']").bounding_box()
    assert map_box and map_box["width"] > 300 and map_box["height"] > 60
    lines = page.locator("svg.spark:visible")
    assert lines.count() == len(make.sick().observation.sites)
    boxes = [line.bounding_box() for line in lines.all()]
    assert all(box and box["width"] > 100 and box["height"] > 20 for box in boxes)
    page.evaluate("document.querySelectorAll('details.site').forEach((d) => (d.open = true))")
    assert page.locator("details.site").first.locator("svg.panel:visible").count() == 4
    page.get_by_role("searchbox").fill(names(page)[1])
    assert page.locator("svg.spark:visible").count() == 1


def test_a_trial_is_drawn(opened: Any) -> None:
    """The ratio of each change with its interval, and each quantity before and after."""
    opening = opened(replace(make.sick(), trials=trials()))
    shown = opening.page.locator("svg[aria-label*='untouched']:visible")
    assert shown.count() == 4 and opening.said == []
    assert all((box := chart.bounding_box()) and box["width"] > 100 for chart in shown.all())


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1200])
def test_nothing_is_cut_off(browser: Any, tmp_path: Path, width: int, scheme: str) -> None:
    """At a telephone's width nothing makes the page scroll sideways; texts stay in their charts."""
    checkup = with_histories(replace(make.sick(), trials=trials(), receipt=receipt()))
    path = saved(tmp_path, checkup)
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OUTSIDE) == []
    ground, ink = page.evaluate("""(() => {
        const swatch = document.querySelector("svg.panel path[stroke='var(--fire)']");
        return [getComputedStyle(document.body).backgroundColor, getComputedStyle(swatch).stroke];
    })()""")
    assert ground != ink
    context.close()


def test_sites_are_sorted_by_any_column(opened: Any) -> None:
    """Numbers by value, largest first; texts as a reader counts them; again for the reverse."""
    checkup = make.deep(depth=12, units=8)
    page = opened(checkup).page
    order = [record.site.name for record in checkup.observation.sites]
    assert names(page) == order
    page.get_by_role("button", name="gradient").click()
    assert names(page) == order[::-1]
    head = page.locator("th", has=page.get_by_role("button", name="gradient"))
    assert head.get_attribute("aria-sort") == "descending"
    page.get_by_role("button", name="gradient").click()
    assert names(page) == order
    page.get_by_role("button", name="site", exact=True).click()
    assert names(page) == order  # blocks.2 before blocks.10
    assert head.get_attribute("aria-sort") is None


def test_sites_without_a_number_come_last_both_ways(opened: Any) -> None:
    vectors, units = make.softmax_record(order=0), make.site_record("act", units=4, order=1)
    page = opened(make.site_only(vectors, units)).page
    for _ in range(2):
        page.get_by_role("button", name="dead", exact=True).click()
        assert names(page)[-1] == vectors.site.name


def test_sites_are_filtered_everywhere(opened: Any) -> None:
    """In the table, in the strips and in the details."""
    page = opened(make.sick()).page
    total = len(names(page))
    wanted = names(page)[1]
    page.get_by_role("searchbox").fill(wanted.upper())
    assert names(page) == [wanted]
    assert page.locator(".strips .row:visible").count() == 1
    assert page.locator("details.site:visible").count() == 1
    assert page.locator(".filter output").inner_text() == f"1 of {total} sites"
    page.get_by_role("searchbox").fill("")
    page.locator(".filter input[type=checkbox]").check()
    ailing = {f.site for f in make.sick().findings if f.site and f.severity in ("ill", "tip")}
    assert set(names(page)) == ailing and 0 < len(ailing) < total


def test_code_is_copied(opened: Any) -> None:
    page = opened(make.sick()).page
    code = page.locator("pre").first
    page.locator("button.copy").first.click()
    assert page.evaluate("navigator.clipboard.readText()") == code.inner_text()
    assert page.locator("button.copy").first.inner_text() == "Copied"


def test_all_is_reached_by_the_keyboard(opened: Any) -> None:
    page = opened(make.sick()).page
    wanted = page.locator(
        "a:visible, button:visible, summary:visible, input:visible, [tabindex='0']:visible"
    ).count()
    reached = set()
    for _ in range(wanted + 5):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(
            "[...document.querySelectorAll('*')].indexOf(document.activeElement)"
        ))  # fmt: skip
    assert len(reached - {-1}) >= wanted
    page.get_by_role("button", name="dead", exact=True).focus()
    page.keyboard.press("Enter")
    dead = page.locator("table.sites tbody tr td:nth-child(6)").all_inner_texts()
    numbers = [int(text) for text in dead if text.strip().isdigit()]
    assert numbers == sorted(numbers, reverse=True)


def test_a_link_opens_the_details(opened: Any) -> None:
    page = opened(make.deep(depth=8, units=8)).page
    details = page.locator("details.site").first
    assert details.get_attribute("open") is None
    page.locator("table.sites tbody th a").first.click()
    page.wait_for_function("document.querySelector('details.site').open")


def test_it_says_the_same_without_script(browser: Any, tmp_path: Path) -> None:
    path = saved(tmp_path, make.sick())
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.locator("button, input").count() == 0
    assert page.locator("table.sites tbody tr").count() == len(make.sick().observation.sites)
    context.close()


def test_a_thousand_sites_and_a_million_units(
    browser: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    """Under 10 MB; all sites are listed with their lines, and the larger pictures of some drawn."""
    monkeypatch.setattr(html, "DRAWN", 3)
    checkup = with_histories(make.deep(depth=1000, units=1000), points=256)
    path = saved(tmp_path, checkup)
    assert path.stat().st_size < (10 - 200 * 0.006) * 1e6  # with room for the 200 usual ones
    page = Opened(browser, path)
    assert page.page.locator("table.sites tbody tr").count() == 1000
    assert page.page.locator("svg.strip").count() == page.page.locator("svg.spark").count() == 1000
    assert page.page.locator("details.site svg.chart:not(.panel)").count() == 3
    assert page.page.locator("details.site svg.panel").count() == 4 * history.PANELS
    assert page.page.locator("details.site", has_text="distributions of 3").count() == 997
    page.page.context.close()
