"""What holds for every input of a declared domain, in the page and in the terminal."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
from rich.console import Console

from relucid.records import Bounds, Checkup, Domain, Gap
from relucid.report import render_html, render_text
from support import checkups as make


def bounded(cause: str = "aten.sort has no rule") -> Checkup:
    """A site of four units: two provably dead, one provably on."""
    ends = np.array([-2.0, -3.0, 0.5, -np.inf]), np.array([-1.0, 0.0, 2.0, np.inf])
    bounds = Bounds(*ends, dead=np.array([True, True, False, False]), exact=True)
    record = dataclasses.replace(make.site_record("act", units=4), bounds=bounds)
    checkup = make.site_only(record)
    domain = Domain({"x": "float32 (3,) in 0 to 1"}, (Gap(cause, 1, 2),))
    seen = dataclasses.replace(checkup.observation, domain=domain)
    return dataclasses.replace(checkup, observation=seen)


def text(checkup: Checkup) -> str:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(render_text(checkup))
    return " ".join(console.export_text().split())


SAID = (
    "For every input of the domain (x: float32 (3,) in 0 to 1) 2 units provably give 0, and "
    "1 unit never has a z below 0."
)


def test_the_page_tells_it_of_the_model_and_of_the_site() -> None:
    page = " ".join(render_html(bounded()).split())
    assert SAID in page
    assert "2 units at 1 site, by aten.sort has no rule" in page
    assert "dead: 0–1; <i>z</i> never below 0: 2" in page


def test_the_terminal_tells_it() -> None:
    said = text(bounded())
    assert SAID in said and "Without bounds: 2 units at 1 site, by aten.sort has no rule." in said


def test_without_a_domain_nothing_is_said() -> None:
    assert "every input" not in text(make.healthy())
    assert "For every input" not in render_html(make.healthy())


def test_hostile_causes_are_text() -> None:
    page = render_html(bounded("<script>alert(1)</script>"))
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page
