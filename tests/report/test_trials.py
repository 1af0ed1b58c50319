"""Trials in words, in the terminal and on the page, whatever came of them."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from rich.console import Console

from relucid.records import Difference, Outcome, Run, Trials, Tried
from relucid.report import render_html, render_text
from relucid.report.charts import effects_chart
from relucid.report.trials import view
from support.checkups import HOSTILE, sick


def _tried(outcome: Outcome, mean: float, low: float, high: float, change: str = "") -> Tried:
    runs = tuple(Run(seed, mean * (2.0 + seed), 0.1, 3.0) for seed in range(3))
    difference = Difference("ratio", 3, mean, low, high, 0.9875)
    return Tried("right_gain", change or f"change to {mean}", outcome, runs, difference)


def trials() -> Trials:
    return Trials(
        optimizer="SGD at learning rate 2",
        steps=200,
        seeds=3,
        batch=100,
        training=1437,
        held_out=360,
        before=2.5,
        untouched=(Run(0, 2.0, 0.8), Run(1, 3.0, 0.8), Run(2, math.nan, 0.9)),
        tried=(
            _tried(Outcome.HELPS, 0.0642, 0.0324, 0.098),
            _tried(Outcome.HELPS, 0.8, 0.7, 0.9),
            _tried(Outcome.NO_DIFFERENCE, 1.0, 1.0, 1.0),
            _tried(Outcome.HURTS, math.inf, 5.0, math.inf),
            Tried("swap_activation", "relu is called as a function", Outcome.NOT_TRIED),
        ),
        seconds=12.0,
    )


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
    hostile = replace(trials(), tried=(_tried(Outcome.HELPS, 0.5, 0.4, 0.6, HOSTILE),))
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
