"""The report in a real browser: Chromium, where it is installed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relucid.report import html, save_html
from support import checkups as make

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)"
)
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


class Opened:
    """A page, and all that it asked of the network and said on the console."""

    def __init__(self, browser: Any, path: Path) -> None:
        context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
        self.page = context.new_page()
        self.requests: list[str] = []
        self.said: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(dialog.message))
        self.page.goto(path.as_uri())


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Any]:
    pages: list[Opened] = []

    def open_(*checkups: Any) -> Opened:
        path = save_html(checkups, tmp_path / "report.html")
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
    for checkup in (make.sick(), make.hostile(), make.convolutional(gradients=True)):
        page = opened(checkup)
        assert [url for url in page.requests if not url.startswith(("file:", "data:"))] == []
        assert page.said == []


def test_a_hostile_name_does_nothing(opened: Any) -> None:
    """It neither runs nor builds elements, sorted, filtered or copied."""
    hostile = opened(make.hostile(), make.sick()).page
    calm = opened(make.hostile("calm"), make.sick()).page
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
    path = save_html([make.sick()], tmp_path / "report.html")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.locator("button, input").count() == 0
    assert page.locator("table.sites tbody tr").count() == len(make.sick().observation.sites)
    context.close()


def test_a_thousand_sites_and_a_million_units(
    browser: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    """Under 10 MB; all sites are listed, and the distributions of some drawn."""
    monkeypatch.setattr(html, "DRAWN", 3)
    path = save_html([make.deep(depth=1000, units=1000)], tmp_path / "report.html")
    assert path.stat().st_size < (10 - 200 * 0.006) * 1e6  # with room for the 200 usual ones
    page = Opened(browser, path)
    assert page.page.locator("table.sites tbody tr").count() == 1000
    assert page.page.locator("svg.strip").count() == 1000
    assert page.page.locator("details.site svg.chart").count() == 3
    assert page.page.locator("details.site", has_text="distributions of 3").count() == 997
    page.page.context.close()
