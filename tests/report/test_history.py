"""Histories on the page: when a layer died, its lines, and the bounds on what is drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from relucid.report import history, render_html
from relucid.report.charts import line_chart, map_chart, panels
from relucid.report.courses import POINTS, Course, course_of, span_of
from support import checkups as make
from support.histories import watched, with_histories


def course(dead: Any, units: int = 10, **other: Any) -> Course:
    found = course_of(1, watched(make.site_record("act", units=units), dead, **other))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("dead", "since"),
    [
        ([0, 2, 5, 6, 10], 20.0),
        ([0, 9, 4, 9, 9], 30.0),  # it came back in between
        ([9, 9, 9, 9, 9], 0.0),
        ([0, 9, 9, 9, 4], None),
        ([0, 0, 0, 0, 0], None),
        ([0, 9, 9, 9, np.nan], None),
    ],
)
def test_since_when_half_of_the_units_are_dead(dead: list[float], since: float | None) -> None:
    """The last time that it fell below half decides, not the first time that it rose above."""
    assert course(dead, step=np.arange(5) * 10.0).half_dead == since


def test_neighbours_are_averaged_by_the_passes_that_they_stand_for() -> None:
    """A gradient as a root mean square; what is not known is left out."""
    one = course(
        [1, 3, 5, 7], passes=np.array([1, 3, 2, 2]), gradient=np.array([3.0, 4.0, np.nan, 2.0])
    ).in_points(2)
    np.testing.assert_allclose(one.dead, [0.25, 0.6])
    np.testing.assert_allclose(one.gradient, [((9 + 3 * 16) / 4) ** 0.5, 2.0])


def test_a_long_history_is_drawn_in_so_many_points() -> None:
    one = course(np.zeros(10 * POINTS + 3))
    assert POINTS // 2 < len(one.step) <= POINTS


def test_a_site_without_a_course() -> None:
    assert course_of(1, make.site_record("act")) is None
    assert course_of(1, watched(make.site_record("act"), [3.0])) is None
    assert "Over time" not in render_html(make.sick())


def test_the_map_has_a_row_a_site_and_darkens_when_units_die() -> None:
    """Of two sites the second dies at half of the time; the first never does."""
    alive, died = course([0] * 40), course([0] * 20 + [10] * 20)
    svg = map_chart([alive, replace(died, number=2)], span_of([alive, died]))
    assert svg is not None
    root = ElementTree.fromstring(svg)
    ground, *cells = root.iter("path")
    assert len(cells) == 1 and cells[0].get("fill-opacity") == "1.0"
    left, right = (int(x) for x in (_after(ground, "M"), _after(ground, "H")))
    assert int(_after(cells[0], "M")) == pytest.approx((left + right) / 2, abs=6)
    assert _after(cells[0], "H") == str(right)
    assert [text.text for text in root.iter("text")][:2] == ["1", "2"]
    assert "dead to the end at 1 of them: act from step 20 on" in root.get("aria-label", "")


def test_the_map_of_many_sites_shows_the_one_that_died() -> None:
    """Where sites share a row, the worst is seen."""
    courses = [course([0, 0, 10 if i == 501 else 0]) for i in range(1000)]
    svg = map_chart(courses, (0.0, 2.0))
    assert svg is not None
    assert len(svg) < 10_000
    assert 'fill-opacity="1.0"' in svg


def _after(path: ElementTree.Element, letter: str) -> str:
    return path.get("d", "").split(letter)[1].split(",")[0].split("v")[0].split("V")[0]


def test_lines_are_broken_where_nothing_is_known() -> None:
    one = course([0] * 5, fire_rate=np.array([0.1, 0.2, np.nan, 0.4, np.nan]))
    root = ElementTree.fromstring(line_chart(one, (0.0, 4.0)))
    (line,) = [path.get("d", "") for path in root.iter("path") if path.get("fill") == "none"]
    assert line.count("M") == 2
    assert "NaN" not in line and "nan" not in line


def test_panels_tell_what_changed() -> None:
    shown = {p.title: p for p in panels(course([0, 4, 6, 8], units=16), (0.0, 3.0))}
    assert list(shown) == ["fire rate", "dead units", "gradient, rms", "scale, rms of z"]
    assert shown["dead units"].words == "0 to 8 of 16"
    assert shown["fire rate"].words == "50% to 25%"
    assert shown["gradient, rms"].words == "0.01 to 1e-5"
    assert "stroke-dasharray" not in shown["dead units"].svg
    gone = course([0, 4, 6, 8], units=16, window_dead=np.array([0.0, 0.0, 2.0, 5.0]))
    dead = panels(gone, (0.0, 3.0))[1]
    assert dead.words == "0 to 8 of 16; window-dead 0 to 5"
    assert "stroke-dasharray" in dead.svg


def test_what_was_not_measured_is_left_out() -> None:
    """No gradient where no loss was run backward; no units behind a softmax."""
    nothing = np.full(3, np.nan)
    titles = [p.title for p in panels(course([0, 1, 2], gradient=nothing), (0.0, 2.0))]
    assert "gradient, rms" not in titles and len(titles) == 3
    vectors = watched(
        make.softmax_record(), nothing, fire_rate=nothing, window_dead=nothing, scale=nothing
    )
    found = course_of(1, vectors)
    assert found is not None
    assert [p.title for p in panels(found, (0.0, 2.0))] == ["gradient, rms"]
    assert map_chart([found], (0.0, 2.0)) is None
    assert "no units to count" in render_html(make.site_only(vectors))


@pytest.mark.parametrize("odd", [0.0, np.inf, 5e-324, 1e308])
def test_odd_numbers_still_make_a_page(odd: float) -> None:
    record = watched(
        make.site_record("act"), [0, 1, 2], gradient=np.array([1.0, odd, 1.0]),
        scale=np.full(3, odd),
    )  # fmt: skip
    page = render_html(make.site_only(record))
    shapes = [part.split('"')[0] for part in page.split(' d="')[1:]]
    assert not [shape for shape in shapes if "nan" in shape.lower() or "inf" in shape.lower()]


def test_the_page_says_when_each_site_died() -> None:
    page = render_html(with_histories(make.sick()))
    assert "40 passes of MLP were watched. 3 sites of 3 lost half of the units for good." in page
    assert page.count('class="spark"') == 4
    assert "half from step 12 on" in page


def test_panels_are_drawn_for_those_that_changed_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "PANELS", 1)
    calm, dying = (make.site_record(name, order=i) for i, name in enumerate(("calm", "dying")))
    same = {"gradient": np.ones(9), "scale": np.ones(9)}
    checkup = make.site_only(
        watched(calm, np.zeros(9), **same), watched(dying, np.arange(9) * 3, **same)
    )
    seen = history.view(checkup, checkup.observation.sites)
    assert seen is not None
    assert {name: len(site.panels) for name, site in seen.sites.items()} == {"calm": 0, "dying": 4}
    assert "of the 1 sites that changed most" in render_html(checkup)


def test_a_hostile_name_stays_text() -> None:
    checkup = make.hostile()
    hostile = replace(
        checkup,
        observation=replace(
            checkup.observation, sites=(watched(checkup.observation.sites[0], [0, 2, 4]),)
        ),
    )
    assert "<img" not in render_html(hostile)
