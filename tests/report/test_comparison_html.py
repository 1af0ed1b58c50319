"""The page of a comparison, read as a browser reads it, and its pictures."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from relucid.compare.result import Compared
from relucid.errors import OutputError
from relucid.records import comparison_from_json, comparison_to_json
from relucid.records.comparison import Comparison, Ending
from relucid.report import render_comparison_html
from relucid.report.charts.candidates import candidate_colours, label
from relucid.report.charts.learning import apart
from relucid.report.charts.ranking import ranking_chart
from relucid.report.charts.ticks import evenly, powers
from relucid.report.comparison_words import rows
from relucid.report.learning import ends_of, height_of, learning
from support import comparisons as make
from support.pages import Page, assert_nothing_is_fetched

ALL = {
    name: getattr(make, name)
    for name in ("comparison", "lossy", "broken", "one_seed", "nothing", "unbegun", "hostile")
}
ALL["broken, by loss"] = lambda: make.broken("loss")


def html(name: str) -> str:
    """Each page is made once: its charts take a second."""
    return make.page(ALL[name]())


@pytest.mark.parametrize("name", ALL)
def test_every_element_closes_in_order(name: str) -> None:
    page = Page(html(name))
    assert page.open == [] and page.elements[0][0] == "html"
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_fetched(name: str) -> None:
    """No picture, no frame, no script but its own, and a policy that forbids others."""
    text = html(name)
    page = Page(text)
    assert_nothing_is_fetched(page, text)
    (policy,) = [m["content"] or "" for m in page.all("meta") if "http-equiv" in m]
    (script,) = page.text["script"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'")
    assert re.findall(r"script-src ([^;]*);", policy) == [f"'sha256-{digest}'"]


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_drawn_out_of_sight(name: str) -> None:
    """No coordinate is NaN or infinite, and every picture has words."""
    page = Page(html(name))
    drawn = re.compile(r"(?<![a-z])(nan|inf|infinity|undefined)(?![a-z])", re.IGNORECASE)
    shapes = [a[k] or "" for t, a in page.elements for k in ("d", "transform") if k in a]
    assert not [shape for shape in shapes if drawn.search(shape)]
    charts = [svg for svg in page.all("svg") if svg.get("aria-hidden") != "true"]
    for svg in charts:
        assert svg["role"] == "img" and len(svg["aria-label"] or "") > 30


def test_the_reader_meets_the_advice_first() -> None:
    """Advice, ranking, pictures, conditions, refusals, runs: in this order."""
    said = Page(html("comparison")).said("body")
    order = [
        "Use relu: accuracy 1.3 points", "The ranking", "What each costs", "Differences to mish",
        "Learning curves", "Quality against cost", "How it was measured", "What was refused",
        "Every run", "Words used here",
    ]  # fmt: skip
    places = [said.index(words) for words in order]
    assert places == sorted(places)
    assert "no difference shown with 5 seeds; about 14 would show one of this size" in said


def test_every_run_is_there() -> None:
    page = Page(html("broken"))
    # A heading and 12 candidates in two tables, a heading and 59 runs in the third.
    assert len(page.all("tr")) == 2 * 13 + 60
    said = page.said()
    assert "17 runs did not come to an end" in said
    assert "gelu, seed 1: diverged, the loss was nan after 90 steps" in said
    assert "The comparison ended early, 59 of 60 runs done: the time of 60 s was over." in said


def test_text_alternatives_carry_the_numbers() -> None:
    page = Page(html("comparison"))
    labels = [svg["aria-label"] or "" for svg in page.all("svg") if "aria-label" in svg]
    standing = make.comparison().standings[0]
    assert standing.difference is not None
    assert any(
        f"1 relu {100 * standing.difference.mean:+.2f} (" in words
        and "no difference shown" in words
        for words in labels
    )
    last = [r.curve[-1].quality for r in make.comparison().runs if r.candidate == "relu"]
    first = make.comparison().runs[0].curve[0].quality
    assert any(
        f"1 relu from {100 * first:.1f}% to {100 * np.mean(last):.1f}%" in words for words in labels
    )
    assert sum("relu" in words and "on the front" in words for words in labels) == 2
    assert len(labels) == 1 + 1 + 12 + 2


@pytest.mark.parametrize("name", ["one_seed", "nothing", "unbegun"])
def test_little_or_nothing_to_show(name: str) -> None:
    """What cannot be drawn is left out with its heading."""
    said = Page(html(name)).said("main")
    assert ("Learning curves" in said) == (name == "one_seed")
    assert ("Differences to" in said) == (name == "one_seed")
    assert ("No run was made." in said) == (name == "unbegun")
    assert not re.search(r"\bnan\b", said, re.IGNORECASE)


def test_a_hostile_name_is_text_everywhere() -> None:
    """The name neither opens a tag nor leaves an attribute nor runs as a template."""
    page, calm = Page(html("hostile")), Page(render_comparison_html(make.hostile("calm")))
    assert [(tag, list(a)) for tag, a in page.elements] == [
        (tag, list(a)) for tag, a in calm.elements
    ]
    said = page.said("html")
    assert said.count("</script><img src=x onerror=alert(1)>") > 15
    assert said.count("{{ 7*7 }}") > 15
    assert not {"\x1b", "\x07", "\u202e"} & set(html("hostile"))


@pytest.mark.parametrize("letter", ["\x00", "\x1b", "\u202e", "\ud800"])
def test_control_characters_are_written_out(letter: str) -> None:
    text = render_comparison_html(make.hostile(f"a{letter}b"))
    assert letter not in text
    text.encode("utf-8")


def test_both_themes() -> None:
    """Colours are variables set once a theme; the charts use no others."""
    pages = html("broken") + html("lossy")
    style = Page(html("broken")).said("style")
    names = set(re.findall(r"var\((--[a-z0-9-]+)\)", pages))
    assert {"--c1", "--c8", "--page", "--fire"} <= names
    assert {name: len(re.findall(rf"{name}: #", style)) for name in names} == dict.fromkeys(
        names, 2
    )
    drawn = re.findall(r'<(?:path|line|text)[^>]*(?:fill|stroke)="([^"]+)"', pages)
    assert set(drawn) - {"none", "currentColor"} <= {f"var({name})" for name in names}


def test_thirty_candidates_stay_under_three_megabytes(tmp_path: Path) -> None:
    path = Compared(make.thirty()).save(tmp_path / "compare.html")
    assert path.stat().st_size < 3_000_000


def test_colours_are_few_and_the_baseline_is_neutral() -> None:
    found = rows(make.thirty(2, 4))
    colours = candidate_colours(found)
    assert colours[make.thirty(2, 4).baseline] == "var(--ink)"
    own = [colour for colour in colours.values() if colour.startswith("var(--c")]
    assert len(own) == len(set(own)) == 8
    assert own == list(colours.values())[:8]  # the best ones


def test_letters_in_pictures_are_short_and_tell_apart() -> None:
    names = ("elu", "a_long_activation_name(alpha=0.5)", "a_long_activation_name(alpha=2.0)")
    letters = [label(row) for row in rows(make.comparison(names, 2, baseline=0))]
    assert letters[0] == "1 elu" and len(set(letters)) == 3
    assert max(map(len, letters)) <= 2 + 18
    assert letters[1].endswith("ha=0.5)")


def test_the_learning_curve_is_the_mean_over_complete_runs() -> None:
    """And the band reaches from the worst seed to the best; lost runs stand by themselves."""
    found = make.broken()
    (gelu,) = [c for c in learning(rows(found)) if c.row.candidate.name == "gelu"]
    complete = [
        [p.quality for p in r.curve]
        for r in found.runs
        if r.candidate == "gelu" and r.ending is Ending.COMPLETE
    ]
    assert len(complete) == 4
    assert np.allclose(gelu.mean, np.mean(complete, axis=0))
    assert np.array_equal(gelu.low, np.min(complete, axis=0))
    assert np.array_equal(gelu.high, np.max(complete, axis=0))
    assert [run.ending for run in gelu.broken] == [Ending.DIVERGED]
    assert gelu.broken[0].step[-1] == 75  # the last point whose loss was a number


def test_a_run_that_blew_up_does_not_flatten_the_others() -> None:
    """The picture ends where training began."""
    found = make.lossy()
    first = found.runs[0]
    curve = (*first.curve[:-1], replace(first.curve[-1], loss=1e9, quality=1e9))
    found = replace(found, runs=(replace(first, curve=curve), *found.runs[1:]))
    height = height_of(found)
    ends = ends_of(learning(rows(found)), height)
    assert ends is not None
    assert 2.2 < max(ends) < 3.0


def test_perfect_accuracy_has_a_place() -> None:
    """An accuracy of 1 is drawn as half a sample wrong."""
    height = height_of(make.comparison())
    drawn = height.of(np.array([1.0, 0.75, math.nan]))
    assert drawn[:2].tolist() == [0.5 / make.HELD_OUT, 0.25] and math.isnan(drawn[2])


def _dots(chart: str) -> int:
    """Circles in a picture: Vega draws each as a path of two arcs."""
    shapes = [path.get("d", "") for path in ElementTree.fromstring(chart).iter("path")]
    return sum(shape.count("A") // 2 for shape in shapes)


def test_the_ranking_shows_every_seed_and_mean() -> None:
    """11 differences of 5 seeds each; where a run is lost its dot is not there."""
    chart = ranking_chart(rows(make.comparison()))
    assert chart is not None and _dots(chart) == 11 * (5 + 1)
    lost = make.comparison(lost={("relu", 0): Ending.FAILED})
    assert _dots(ranking_chart(rows(lost)) or "") == 11 * (5 + 1) - 1
    assert ranking_chart(rows(make.nothing())) is None


def test_one_far_off_does_not_squeeze_the_ranking() -> None:
    """It ends at the edge, with a triangle where its mean lies beyond."""
    found = make.comparison()
    last = found.standings[-1].difference
    assert last is not None
    far = replace(found.standings[-1], difference=replace(last, mean=-0.85, low=-0.9, high=-0.8))
    chart = ranking_chart(rows(replace(found, standings=(*found.standings[:-1], far))))
    near = ranking_chart(rows(found))
    assert chart is not None and near is not None
    assert _dots(chart) == _dots(near) - 1
    ticks = {text.text for text in ElementTree.fromstring(chart).iter("text")}
    assert "0" in ticks and "−80" not in ticks


@pytest.mark.parametrize("parts", [[0.5] * 9, [0.0, 0.0, 1.0, 1.0], [0.2, 0.9, 0.21], []])
def test_letters_do_not_overlap(parts: list[float]) -> None:
    moved = apart(np.array(parts), 0.05)
    assert ((moved >= -1e-9) & (moved <= 1.0 + 1e-9)).all()
    assert (np.diff(np.sort(moved)) >= 0.05 - 1e-9).all()


@pytest.mark.parametrize(
    ("low", "high"), [(0.02, 1.0), (0.4, 0.5), (1e-9, 1e3), (0.05, 0.0502), (3.0, 3.0)]
)
def test_ticks_are_round_and_few(low: float, high: float) -> None:
    for ticks in (powers(low, high), evenly(low, high)):
        assert 1 <= len(ticks) <= 7
        room = 1e-6 * (high - low)
        assert all(low - room <= tick <= high + room for tick in ticks)
    assert powers(0.02, 1.0) == [0.02, 0.05, 0.1, 0.2, 0.5, 1.0]


@pytest.mark.parametrize("odd", [0.0, 5e-324, 1e308, math.nan, math.inf, -3.0])
def test_odd_numbers_still_make_a_page(odd: float) -> None:
    """Nothing that a model can come to stops the report."""

    def changed(found: Comparison) -> Comparison:
        points = [replace(run, curve=tuple(replace(p, loss=odd, quality=odd) for p in run.curve))
                  for run in found.runs]  # fmt: skip
        odder = [
            replace(s, quality=odd, spread=odd, area=odd, gradient=odd,
                    difference=s.difference and replace(s.difference, mean=odd, high=odd))
            for s in found.standings
        ]  # fmt: skip
        return replace(
            found, runs=(*points[:6], *found.runs[6:]), standings=(*odder[:2], *found.standings[2:])
        )

    for found in (make.lossy(), make.comparison()):
        small = changed(make.comparison(make.TWELVE[:4], 3, metric=found.metric))
        page = Page(render_comparison_html(small))
        assert page.open == []
        shapes = [a[k] or "" for t, a in page.elements for k in ("d", "transform") if k in a]
        assert not [shape for shape in shapes if re.search(r"nan|inf", shape, re.IGNORECASE)]


def test_a_page_and_json_are_saved(tmp_path: Path) -> None:
    """By a path or its text; JSON reads back; a path that cannot be written is named."""
    found = Compared(make.one_seed())
    page = found.save(str(tmp_path / "compare.html"))
    assert page.read_text("utf-8") == render_comparison_html(found.record)
    text = found.save(tmp_path / "compare.json").read_text("utf-8")
    assert comparison_to_json(comparison_from_json(text)) == text
    with pytest.raises(OutputError, match="name a file in a folder that exists"):
        found.save(tmp_path / "missing" / "compare.html")
