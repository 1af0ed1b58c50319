"""The HTML report, read as a browser reads it."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re

import numpy as np
import pytest

from relucid.errors import RecordError
from relucid.records import Histogram, Severity
from relucid.report import render_html
from support import checkups as make
from support.histories import with_histories
from support.pages import Page, assert_nothing_is_fetched
from support.trials import trials


@pytest.fixture(scope="module")
def two() -> str:
    return render_html([make.healthy(), make.sick()])


ALL = {
    "healthy": make.healthy, "sick": make.sick, "convolutional": make.convolutional,
    "births": make.with_births, "hostile": make.hostile,
    "watched": lambda: with_histories(make.sick()),
    "watched, hostile": lambda: with_histories(make.hostile()),
    "tried": lambda: dataclasses.replace(make.sick(), trials=trials()),
}  # fmt: skip


@pytest.mark.parametrize("name", ALL)
def test_every_element_closes_in_order(name: str) -> None:
    """A tag left open would swallow the rest of the page."""
    page = Page(render_html(ALL[name]()))
    assert page.open == []
    assert page.elements[0][0] == "html"


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_fetched(name: str) -> None:
    """The page has no picture, no frame, no script but its own, and every link stays within it."""
    html = render_html(ALL[name]())
    page = Page(html)
    assert_nothing_is_fetched(page, html)
    assert page.all("script") == [{}]


def test_the_browser_is_told_to_fetch_nothing(two: str) -> None:
    """Should an injection slip in, the policy still forbids its scripts and requests."""
    policies = [m["content"] for m in Page(two).all("meta") if "http-equiv" in m]
    assert len(policies) == 1
    assert policies[0] is not None and policies[0].startswith("default-src 'none'")
    (script,) = Page(two).text["script"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert re.findall(r"script-src ([^;]*);", policies[0]) == [f"'sha256-{digest}'"]


@pytest.mark.parametrize("name", ALL)
def test_links_within_lead_somewhere(name: str) -> None:
    """Each anchor exists once."""
    page = Page(render_html([ALL[name](), make.sick()]))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {a["href"] for a in page.all("a")}
    assert links <= {f"#{name}" for name in ids}
    assert len(links) > 2


def test_a_hostile_name_is_text_everywhere() -> None:
    """The name neither opens a tag nor leaves an attribute nor runs as a template."""
    page, calm = Page(render_html(make.hostile())), Page(render_html(make.hostile("calm")))
    assert [(tag, list(a)) for tag, a in page.elements] == [
        (tag, list(a)) for tag, a in calm.elements
    ]
    said = page.said("html")
    assert said.count("</script><img src=x onerror=alert(1)>") == calm.said("html").count("calm")
    assert said.count("{{ 7*7 }}") == calm.said("html").count("calm") > 20
    labels = [svg["aria-label"] for svg in page.all("svg") if "aria-label" in svg]
    assert len(labels) == 3
    assert all(label is not None and "<img src=x onerror=alert(1)>" in label for label in labels)


@pytest.mark.parametrize("letter", ["\x00", "\x07", "\x1b", "\x9b", "\u202e", "\u200b", "\ud800"])
def test_control_characters_are_written_out(letter: str) -> None:
    """None reaches the page, where it could hide or reverse text or break the encoding."""
    html = render_html(make.site_only(f"a{letter}b"))
    assert letter not in html
    html.encode("utf-8")
    assert re.search(r"a\\[xu][0-9a-f]{2,4}b", html)


@pytest.mark.parametrize("name", ALL)
def test_every_chart_is_spoken(name: str) -> None:
    """Each picture has a role and words, and the decoration is hidden from a screen reader."""
    page = Page(render_html(ALL[name]()))
    pictures = page.all("svg")
    charts = [svg for svg in pictures if svg.get("aria-hidden") != "true"]
    assert len(charts) == len(pictures) - 1 >= 2
    for svg in charts:
        assert svg["role"] == "img"
        assert len(svg["aria-label"] or "") > 30


def test_text_alternatives_carry_the_numbers() -> None:
    """The words of a strip and of the gradient chart state what the records hold."""
    labels = {svg.get("aria-label") for svg in Page(render_html(make.sick())).all("svg")}
    rates = np.sort(make.sick().observation.sites[0].fire_rate)
    median = 100 * (rates[31] + rates[32]) / 2
    assert (
        "Fire rate of the 64 units of relu1, lowest first: 17 dead, 1 always on, "
        f"median {median:.3g}%." in labels
    )
    assert (
        "Root mean square of the gradient at each site: relu1 3e-7, relu2 2e-5, relu3 0.004, "
        "softmax 0.004." in labels
    )


def test_both_themes_and_telephones() -> None:
    """Colours are variables set once a theme; the charts use no others."""
    two = render_html([make.healthy(), ALL["watched"](), ALL["tried"]()])
    style = Page(two).said("style")
    light, dark = style.split("prefers-color-scheme: dark")
    names = set(re.findall(r"var\((--[a-z-]+)\)", two))
    assert names and all(f"{name}:" in light for name in names)
    assert all(f"{name}:" in dark for name in names)
    drawn = re.findall(r'<(?:path|line|text)[^>]*(?:fill|stroke)="([^"]+)"', two)
    assert set(drawn) - {"none", "currentColor"} <= {f"var({name})" for name in names}
    assert "max-width: 44rem" in style
    viewport = [m["content"] for m in Page(two).all("meta") if m.get("name") == "viewport"]
    assert viewport == ["width=device-width, initial-scale=1"]


def test_two_networks_are_compared_first(two: str) -> None:
    """The summary stands before either checkup and names both."""
    said = Page(two).said()
    assert Page(two).said("h1") == "Two networks were examined"
    summary = said.index("“Trained well” has only tips and “Learning rate too high” is ill.")
    assert summary < said.index("78 of 160") < said.index("Trained for 20 epochs with Adam")


def test_findings_come_worst_first_and_before_the_sites() -> None:
    """A reader meets what is wrong, then the tips, then the tables."""
    said = Page(render_html(make.sick())).said()
    order = ["17 of 64 units are dead", "Gradients fade", "1 of 64 units is always on",
             "1 activation could not be counted", "came out well or did not apply",
             "Every unit at a glance", "Gradient over depth", "Each site in detail",
             "Not observed", "Words used here"]  # fmt: skip
    places = [said.index(text) for text in order[:4]] + [said.rindex(t) for t in order[4:]]
    assert places == sorted(places)


def test_a_finding_tells_its_numbers_and_code() -> None:
    """Measured value, threshold, n, confidence, units and the code to copy are all there."""
    page = Page(render_html(make.sick()))
    said = page.said()
    assert "share of dead units 26.6% threshold 5% samples n 1,797" in said
    assert "true fire rate below 0.17% at 95%" in said and "units 0–16" in said
    assert 'relucid.swap(model, "relu", to="leaky_relu")' in page.said("pre")


def test_the_same_of_many_sites_is_said_once() -> None:
    """A hundred like findings make one card, with the others folded in it."""
    said = Page(render_html(make.deep(12, 8))).said()
    assert said.count("The function is flat there") == 1
    assert "Also at 11 other sites" in said


def test_severity_is_told_in_words() -> None:
    """Not by colour alone."""
    html = render_html([make.healthy(), make.sick()])
    badges = set(
        re.findall(r'class="badge [a-z-]+"><span aria-hidden="true">.</span> ([a-z ]+)<', html)
    )
    assert badges == {severity.value for severity in Severity}


def test_missing_gradients_say_how_to_get_them() -> None:
    """The reader without a loss learns what to pass."""
    said = Page(render_html(make.convolutional())).said()
    assert "No gradient was recorded. Pass a loss" in said
    assert "No gradient was recorded" not in Page(render_html(make.sick())).said()


def test_nan_gradients_are_not_called_missing() -> None:
    """A gradient of NaN was recorded, and is not drawn."""
    said = Page(render_html(make.with_births())).said()
    assert "Every recorded gradient is NaN or infinite" in said
    assert "NaN in block.norm, operation div at net.py:44, forward pass of batch 3" in said


def test_gradients_of_zero_are_seen() -> None:
    """Marked at the foot of the scale beside others; told in words where there are no others."""
    record = make.site_record("act", units=3, gradient_rms=0.0)
    other = make.site_record("last", units=3, order=1)
    said = Page(render_html(make.site_only(record))).said()
    assert "The gradient is exactly 0 at every site" in said
    infinite = make.site_record("last", units=3, order=1, gradient_rms=float("inf"))
    page = Page(render_html(make.site_only(record, infinite)))
    assert "The gradient is exactly 0 at every site" in page.said()
    html = render_html(make.site_only(record, other))
    assert "A triangle marks a gradient of exactly 0" in html
    (chart,) = re.findall(r"<svg[^>]*Root mean square.*?</svg>", html)
    assert chart.count("var(--ill)") == 1


def test_backticks_become_code_and_stay_text() -> None:
    """What stands between backticks is set as code, and escaped like all else."""
    finding = make.dead_finding("relu1", [1], 64)
    finding = dataclasses.replace(finding, meaning="Call `f(<b>)` and `g`, not ` alone. \x1b")
    html = render_html(dataclasses.replace(make.sick(), findings=(finding,)))
    assert "Call <code>f(&lt;b&gt;)</code> and <code>g</code>, not ` alone. \\x1b" in html


def test_a_wide_layer_is_binned_and_says_so() -> None:
    """3,000 units share bars; the one dead unit among them keeps its own."""
    html = render_html(make.convolutional())
    assert "3,000 units" in html and "up to 16 a bar" in html
    (strip,) = [s for s in re.findall(r"<svg[^>]*head\.act, lowest first.*?</svg>", html)]
    assert strip.count("var(--ill)") == 1 and strip.count("var(--on)") == 1


def test_a_function_of_a_vector_has_no_strip() -> None:
    """Softmax has no units; the page says so and does not draw an empty picture."""
    page = Page(render_html(make.sick()))
    assert "works on whole vectors" in page.said()
    assert not [s for s in page.all("svg") if "softmax, lowest" in (s.get("aria-label") or "")]


def test_a_single_checkup_and_a_sequence_render_alike() -> None:
    """One checkup needs no list around it."""
    assert render_html(make.healthy()) == render_html((make.healthy(),))


def test_no_checkup_is_an_error() -> None:
    """An empty report would look like good health."""
    with pytest.raises(RecordError, match="at least one"):
        render_html([])


@pytest.mark.parametrize(
    "histogram",
    [
        Histogram(np.linspace(-1, 1, 5), np.zeros(4, np.int64), 7, 0, np.array([])),
        Histogram(np.linspace(-1, 1, 5), np.array([0, 0, 9, 0]), 0, 0, np.full(5, np.nan)),
        Histogram(np.array([-1e38, 0.0, 1e38]), np.array([1, 1]), 0, 0, np.array([0.0, 0, 1e38])),
        Histogram(np.array([2.0, 3.0]), np.array([5]), 0, 0, np.array([2.0, 3.0])),
        None,
    ],
    ids=["all outside", "curve of NaN", "huge", "one bin", "none"],
)
@pytest.mark.parametrize("rms", [0.0, 5e-324, 1e308, np.inf, np.nan])
def test_odd_numbers_still_make_a_page(histogram: Histogram | None, rms: float) -> None:
    """Nothing that can be counted stops the report."""
    record = make.site_record("act", units=3, gradient_rms=rms)
    page = Page(render_html(make.site_only(dataclasses.replace(record, histogram=histogram))))
    assert page.open == []
    drawn = re.compile(r"(?<![a-z])(NaN|Infinity|undefined)(?![a-z])")
    shapes = [a[k] or "" for t, a in page.elements for k in ("d", "transform") if k in a]
    assert not [shape for shape in shapes if drawn.search(shape)]


def test_a_site_that_nothing_passed() -> None:
    """No unit is called dead or always on where no value came."""
    record = dataclasses.replace(
        make.site_record("act", units=3), samples=0, elements=0, fired=np.zeros(3, np.int64)
    )
    page = Page(render_html(make.site_only(record)))
    assert "nothing passed here" in page.said()
    assert "3 dead" not in page.said()


def test_a_hundred_sites_stay_under_three_megabytes() -> None:
    """The largest typical model fits the budget of the issue."""
    assert len(render_html(make.deep(100)).encode()) < 3_000_000
