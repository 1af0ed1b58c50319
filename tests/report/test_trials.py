"""Trials in words, in the terminal and on the page, whatever came of them."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from rich.console import Console

from relucid.records import Outcome, Run, Trials
from relucid.report import render_html, render_text
from relucid.report.charts import effects_chart, runs_charts
from relucid.report.trials import view
from support.checkups import HOSTILE, sick
from support.trials import trials, tried


def _text(found: Trials, width: int = 80) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(render_text(replace(sick(), trials=found)))
    return console.export_text()


def test_the_answer_is_the_best_change_and_its_evidence() -> None:
    seen = view(trials())
    assert seen.answer == "What helped most: change to 0.0642. 1 other change helped less."
    assert "200 steps by SGD at learning rate 2, on 1,437 samples, 100 a step" in seen.conditions
    assert "loss of 3 (2.5 before)" in seen.comparison
    assert "98.8% each" in seen.comparison
    assert [row.effect for row in seen.rows] == [
        "0.0642 (0.0324 to 0.098)",
        "0.8 (0.7 to 0.9)",
        "1",
        "infinite (5 to infinite)",
        "–",
    ]
    assert [row.loss for row in seen.rows][-2:] == ["diverged", "–"]
    assert seen.rows[-1].change == "swap activation: relu is called as a function"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tried": ()}, "nothing was prescribed for an illness"),
        ({"tried": (), "stopped": "60 samples are too few"}, "60 samples are too few"),
        ({"tried": trials().tried[2:]}, "no evidence that anything that was tried helps"),
        ({"tried": trials().tried[-1:]}, "No trial was finished"),
    ],
)
def test_the_answer_where_nothing_helps(changes: dict[str, object], says: str) -> None:
    found = replace(trials(), **changes)  # type: ignore[arg-type] - fields of this very class
    assert says in view(found).answer
    assert says in " ".join(_text(found).split())
    assert says in render_html(replace(sick(), trials=found))


def test_what_ended_early_says_so() -> None:
    found = replace(trials(), stopped="it was interrupted", untouched=trials().untouched[:1])
    assert view(found).ending == "The trial ended early, 1 of 3 seeds begun: it was interrupted."
    assert "it was interrupted" in render_html(replace(sick(), trials=found))


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal_shows_every_change(width: int) -> None:
    lines = _text(trials(), width).splitlines()
    assert max(map(len, lines)) <= width
    shown = " ".join(" ".join(lines).split())
    for word in ("✓ helps", "= no difference", "✗ hurts", "– not tried", "0.0642"):
        assert word in shown


def test_the_page_shows_a_table_and_a_picture_without_the_models_words() -> None:
    hostile = replace(trials(), tried=(tried(Outcome.HELPS, 0.5, 0.4, 0.6, HOSTILE),))
    page = render_html(replace(sick(), trials=hostile))
    assert "<img" not in page
    assert "times untouched" in page
    picture = effects_chart(hostile)
    assert picture is not None
    assert "onerror" not in picture


def test_the_picture_holds_an_interval_a_change() -> None:
    """Four of five have one; what has no end is drawn to the edge of the scale."""
    picture = effects_chart(trials())
    assert picture is not None
    root = ElementTree.fromstring(picture)
    assert "1 0.0642 (0.0324 to 0.098)" in root.get("aria-label", "")
    assert len([line for line in root.iter("line") if line.get("stroke-width") == "3"]) >= 2
    assert effects_chart(replace(trials(), tried=trials().tried[-1:])) is None


def _with_pairs() -> Trials:
    """Three seeds, with a third run that diverged on both sides or on one."""
    runs = (Run(0, 1.0, 0.2, 0.5), Run(1, 1.5, 0.4, 2.0), Run(2, math.inf, None, None))
    helped = replace(tried(Outcome.HELPS, 0.5, 0.4, 0.6), runs=runs)
    return replace(trials(), tried=(helped,), at_start=Run(-1, 2.5, 0.9, None))


def test_each_pair_of_runs_is_a_dot_at_its_ratio() -> None:
    """Two seeds halved the loss; the third diverged on both sides and has no ratio."""
    chart = effects_chart(_with_pairs())
    assert chart is not None
    both = _dots(chart)
    alone = replace(_with_pairs(), untouched=trials().untouched[:1])
    assert _dots(effects_chart(alone) or "") == both - 1
    one = replace(_with_pairs(), untouched=(*trials().untouched[:2], Run(2, 3.0)))
    assert _dots(effects_chart(one) or "") == both + 1


def _dots(chart: str) -> int:
    """Circles in a picture: Vega draws each as a path of two arcs."""
    shapes = [path.get("d", "") for path in ElementTree.fromstring(chart).iter("path")]
    return sum(shape.count("A") // 2 for shape in shapes)


def test_what_was_before_and_what_came_after() -> None:
    """The numbers of every copy: as it was, untouched, changed."""
    loss, dead, gradient = map(ElementTree.fromstring, runs_charts(_with_pairs()))
    assert loss.get("aria-label") == (
        "Loss of every copy: before 2.5; untouched 2.5 (2 to 3), 1 diverged; "
        "1 1.25 (1 to 1.5), 1 diverged."
    )
    assert dead.get("aria-label") == (
        "Share of dead units of every copy: before 90%; untouched 80% (80% to 90%); "
        "1 30% (20% to 40%)."
    )
    assert gradient.get("aria-label") == (
        "Gradient, first site over last of every copy: before not known; untouched not known; "
        "1 1.25 (0.5 to 2)."
    )
    shown = {text.text for text in loss.iter("text")}
    assert {"before", "untouched", "1"} <= shown


def test_what_was_not_measured_is_not_drawn() -> None:
    """Older records know only the loss before; a trial in which nothing ran has no picture."""
    lossy = replace(_with_pairs(), at_start=None)
    assert "before 2.5;" in (ElementTree.fromstring(runs_charts(lossy)[0]).get("aria-label") or "")
    assert runs_charts(replace(trials(), tried=trials().tried[-1:])) == ()
    bare = tuple(replace(run, dead=None, gradient=None) for run in _with_pairs().tried[0].runs)
    tried = (replace(_with_pairs().tried[0], runs=bare),)
    assert len(runs_charts(replace(_with_pairs(), tried=tried))) == 1


@pytest.mark.parametrize("odd", [0.0, -3.0, 5e-324, 1e308, math.nan, math.inf])
def test_odd_losses_are_drawn(odd: float) -> None:
    runs = (Run(0, odd, 0.0, 0.0), Run(1, odd, 0.0, odd))
    found = replace(_with_pairs(), tried=(replace(_with_pairs().tried[0], runs=runs),))
    for chart in (*runs_charts(found), effects_chart(found)):
        assert chart is not None
        shapes = [path.get("d", "") for path in ElementTree.fromstring(chart).iter("path")]
        assert not [shape for shape in shapes if "NaN" in shape or "inf" in shape.lower()]


def test_the_page_shows_before_and_after() -> None:
    page = render_html(replace(sick(), trials=_with_pairs()))
    assert "Before and after" in page
    assert page.count("of every copy: before") == 3
    unfinished = replace(trials(), tried=trials().tried[-1:])
    assert "Before and after" not in render_html(replace(sick(), trials=unfinished))
