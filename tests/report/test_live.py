"""The live view: what it says, that it fits, and that names cannot move the cursor."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from relucid.records import Observation, SiteHistory, SiteRecord
from relucid.report import live_line, live_view
from support import checkups as make


def history(
    units: int, dead: float, revived: float = 0.0, quiet: Sequence[int] = ()
) -> SiteHistory:
    """Return three points; the last is that of two passes."""
    return SiteHistory(
        step=np.array([0.0, 1.0, 2.5]),
        passes=np.array([1, 1, 2]),
        samples=np.array([8, 8, 16]),
        fire_rate=np.array([0.9, 0.9, 0.5]),
        dead=np.array([0.0, 0.0, dead]),
        window_dead=np.zeros(3),
        revived=np.array([90.0, 90.0, 2 * revived]),
        returned=np.zeros(3),
        gradient=np.array([9.0, 0.25, np.nan]),
        scale=np.ones(3),
        window=5,
        quiet=np.array([*quiet, *[0] * (units - len(quiet))]),
    )


def site(name: str, order: int = 0, dead: float = 0.0, **more: object) -> SiteRecord:
    """Return a site of 32 units with a history."""
    record = make.site_record(name, order=order)
    return replace(record, history=history(32, dead), **more)


def observation(*sites: SiteRecord) -> Observation:
    """Return what was seen at these sites."""
    return replace(make.healthy().observation, sites=sites)


def drawn(
    seen: Observation, width: int = 80, height: int = 24, letters: str = "utf-8"
) -> list[str]:
    """Return the lines on a terminal of this size."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=letters)
    console = Console(width=width, height=height, file=file, force_terminal=True, color_system=None)
    console.print(live_view(seen, "step 3"))
    file.seek(0)
    return file.read().splitlines()


def test_a_line_says_how_a_site_is_now() -> None:
    """Numbers of the last point, per pass; the last gradient that arrived."""
    ill = replace(site("layer1.act"), history=history(32, dead=17.0, revived=3.0))
    heading, names, line = drawn(observation(ill))
    assert heading.split() == [make.healthy().observation.model, "step", "3"]
    assert names.split() == ["site", "function", "fires", "dead", "revived", "gradient"]
    assert line.split() == ["layer1.act", "relu", "████░░░░", "50%", "17/32", "3", "0.25"]


def test_the_order_is_that_of_execution_where_there_is_room() -> None:
    """However the record lists them, and however ill they are."""
    lines = drawn(observation(site("b", 1), site("a", 0, dead=30.0), site("c", 2)))
    assert [line.split()[0] for line in lines[2:]] == ["a", "b", "c"]


def test_the_worst_come_first_where_there_is_none() -> None:
    """NaN before dead units, dead units before healthy ones."""
    many = [site(f"site{i}", i, dead=float(i == 30) + 20.0 * (i == 40)) for i in range(60)]
    many[50] = replace(many[50], nonfinite_out=1)
    lines = drawn(observation(*many), height=12)
    assert len(lines) <= 12
    assert [line.split()[0] for line in lines[2:6]] == ["site50", "site40", "site30", "site0"]
    assert "The worst 7 of 60 sites." in lines
    assert "NaN or infinite values at 1 site: site50" in lines


@pytest.mark.parametrize("letters", ["utf-8", "ascii"])
@pytest.mark.parametrize("width", [60, 80, 120])
def test_it_fits(width: int, letters: str) -> None:
    """Long and hostile names, on terminals of any letters, never take a second line."""
    names = ["model.encoder." * 9 + "end", make.HOSTILE, "\n\nwrapped", "界" * 90]
    sites = [site(name, order) for order, name in enumerate(names)]
    lines = drawn(observation(*sites), width, letters=letters)
    assert len(lines) == 2 + len(names)
    assert all(len(line) <= width for line in lines)
    assert "end" in lines[2] and "model.encoder.model" not in "".join(lines[3:])
    assert not any(sign in "".join(lines) for sign in "\x1b\x07\u202e")


def test_functions_of_vectors_and_sites_without_a_history() -> None:
    """A softmax has a gradient and no units; what was not watched over time has no line."""
    vector = replace(make.softmax_record(), history=history(0, np.nan))
    lines = drawn(observation(vector, make.site_record("unwatched", order=9)))
    assert lines[2].split() == ["softmax", "softmax", "–", "–", "–", "0.25"]
    assert len(lines) == 3


def test_units_that_are_silent_for_long_are_told() -> None:
    """A unit is among them after more passes than the window has."""
    lines = drawn(observation(replace(site("a"), history=history(32, 3.0, quiet=(6, 5, 9)))))
    assert lines[-1] == "2 units did not fire in the last 5 passes"


def test_one_line_where_there_is_no_terminal() -> None:
    """The same numbers, without control codes."""
    said = live_line(observation(site("a", dead=17.0), site(make.HOSTILE, 1)), "step\x1b 3")
    assert said.startswith("step\\x1b 3; ") and "17 of 64 units dead in a pass, 0 revived" in said
    assert "\x1b" not in said


def test_before_anything_was_seen() -> None:
    """A heading and the names of the columns."""
    assert len(drawn(observation())) == 2
    assert "0 sites" in live_line(observation())
