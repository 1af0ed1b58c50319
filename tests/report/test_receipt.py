"""The receipt of a shrink as text and as a page."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from torch import nn

from relucid.errors import OutputError
from relucid.records import receipt_from_json, receipt_to_json
from relucid.records.receipt import Guarantee, Receipt
from relucid.report import (
    receipt_text,
    render_html,
    render_receipt_html,
    render_text,
)
from relucid.report.receipt_words import duration, promise
from relucid.shrink.result import Shrunk
from support import checkups
from support import receipts as make
from support.browsing import CHROMIUM, Opened
from support.pages import Page, assert_nothing_is_fetched

ALL = [make.receipt, make.pruned, make.nothing, make.broken, make.hostile, make.large]


def text(receipt: Receipt, encoding: str = "utf-8") -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    console = Console(file=stream, width=80, force_terminal=False)
    console.print(receipt_text(receipt))
    stream.seek(0)
    return stream.read()


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("make_one", ALL)
def test_text_fits_and_obeys_no_name(make_one: Any, encoding: str) -> None:
    """80 columns, in the letters that the terminal has, and no code of a name's."""
    said = text(make_one(), encoding)
    assert max(map(len, said.splitlines())) <= 80
    assert not {"\x1b", "\u202e"} & set(said)


def test_text_says_all_of_it() -> None:
    said = " ".join(text(make.receipt()).split())
    for words in (
        "138 of 234 units removed (59%): 3 proved for every input, 133 proved over the domain "
        "and 2 observed on the data.",
        "parameters 61,706 20,194 67.3% less",
        "84.1 µs 62 µs 1.36 times as fast (1.31 to 1.4)",
        "features.0 relu 32 → 22 3 5 2 1",
        "And 2 layers as they were.",
        "inputs sought to differ 1,000 4.4e-7",
        "features.3, 6 units: x.view(-1, 400) at net.py:31 fixes it",
        "classifier.2 and features.0, 3 units: it is an output of the model",
    ):
        assert words in said
    assert "And 42 more, in the JSON and HTML forms." in " ".join(text(make.large()).split())


def test_pruning_is_said_to_change_outputs() -> None:
    said = " ".join(text(make.pruned()).split())
    assert "the smaller model was trained further" in said and "had to stay below" not in said
    assert "Accuracy on 397 samples: 97.7% before, 95.2% after, and 97.5% after 200 steps" in said


@pytest.mark.parametrize("make_one", ALL)
def test_the_page_is_whole_and_fetches_nothing(make_one: Any) -> None:
    html = render_receipt_html(make_one())
    page = Page(html)
    assert page.open == []
    assert_nothing_is_fetched(page, html)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert not re.search(r"width:(nan|inf)", html)


def test_the_page_holds_every_layer_and_unit() -> None:
    said = Page(render_receipt_html(make.receipt())).said("main")
    for words in ("features.3", "constant, proved for every input: 0–2", "30–31", "flatten(1)"):
        assert words in said


def test_a_hostile_name_is_text_everywhere() -> None:
    """The name neither opens a tag nor leaves an attribute nor runs as a template."""
    page, calm = Page(render_receipt_html(make.hostile())), Page(
        render_receipt_html(make.hostile("calm"))
    )  # fmt: skip
    assert [(tag, list(a)) for tag, a in page.elements] == [
        (tag, list(a)) for tag, a in calm.elements
    ]
    assert page.said("html").count("</script><img src=x onerror=alert(1)>{{ 7*7 }}") > 9


def test_it_is_a_section_of_a_checkups_report() -> None:
    """With all that its own page says, no anchor twice on the page, and nothing obeyed."""
    both = [replace(checkups.sick(), receipt=make.receipt()),
            replace(checkups.healthy(), receipt=make.hostile())]  # fmt: skip
    html = render_html(both)
    page, alone = Page(html), Page(render_receipt_html(make.receipt()))
    assert page.open == []
    assert_nothing_is_fetched(page, html)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    own = alone.said("article").partition("change")[2]
    assert own and own in page.said("main")
    assert "138 of 234 units removed" in page.said("main")
    assert "receipt" not in render_html(checkups.sick())
    stream = io.StringIO()
    Console(file=stream, width=80).print(render_text(both))
    said = stream.getvalue()
    assert "138 of 234 units removed" in " ".join(said.split())
    assert max(map(len, said.splitlines())) <= 80 and "\x1b" not in said


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_in_a_browser(browser: Any, tmp_path: Path) -> None:
    """Nothing asked of a network, nothing said, nothing wider than a telephone; sorted by units."""
    path = Shrunk(nn.Identity(), make.hostile()).save(tmp_path / "shrink.html")
    opened = Opened(browser, path)
    page = opened.page
    assert [url for url in opened.requests if not url.startswith(("file:", "data:"))] == []
    page.set_viewport_size({"width": 375, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    page.set_viewport_size({"width": 1200, "height": 800})
    bars = page.locator("table.sortable .bar")
    assert {round(box["width"]) for bar in bars.all() if (box := bar.bounding_box())} != {0}
    widths = [i.bounding_box()["width"] for i in bars.first.locator("i").all()]
    shares = [22, 3, 5, 2]
    assert widths == pytest.approx([sum(widths) * s / 32 for s in shares], abs=1.5)
    page.get_by_role("button", name="before").click()
    cells = page.locator("table.sortable tbody td:nth-child(3)").all_inner_texts()
    assert cells == ["128", "64", "32", "10"]
    assert opened.said == []
    page.context.close()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(2.5, "2.5 s"), (0.0123, "12.3 ms"), (4.5e-5, "45 µs"), (float("nan"), "–")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_every_guarantee_has_its_promise() -> None:
    """None promises more than it holds: only proofs speak of every input."""
    pruned = replace(make.pruned(), quality=())
    proved = replace(make.receipt(), layers=make.receipt().layers[1:])
    of = {r.weakest: promise(r) for r in (make.receipt(), pruned, make.nothing(), proved)}
    assert "every input" not in of[Guarantee.OBSERVED] + of[Guarantee.PRUNED]
    assert "every input of the domain" in of[Guarantee.DOMAIN]
    trained = replace(proved, quality=make.pruned().quality)
    assert "every input" not in promise(trained)


def test_both_forms_are_saved(tmp_path: Path) -> None:
    shrunk = Shrunk(nn.Identity(), make.receipt())
    stored = shrunk.save(tmp_path / "shrink.json").read_text("utf-8")
    assert receipt_to_json(receipt_from_json(stored)) == stored
    page = shrunk.save(tmp_path / "shrink.html").read_text("utf-8")
    assert page == render_receipt_html(shrunk.receipt)
    with pytest.raises(OutputError, match=r"relucid\.export writes the model"):
        shrunk.save(tmp_path / "small.pt2")
