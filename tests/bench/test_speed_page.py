"""docs/speed.md is what docs/speed.py writes from the newest results."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from bench.fakes import results, row, setting, side

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generator() -> dict[str, Any]:
    return runpy.run_path(str(DOCS / "speed.py"))


def test_the_page_is_current(generator: dict[str, Any]) -> None:
    """New results must be followed by `make docs`."""
    written = (DOCS / "speed.md").read_text(encoding="utf-8")
    assert written == generator["page"](generator["newest"]())


def test_the_page_shows_targets_means_and_rows(generator: dict[str, Any]) -> None:
    text = generator["page"](results(row(setting("elu"), side("eager", 2.0))))
    assert text.index("## Targets") < text.index("## All rows") < text.index("### float32, 65,536")
    assert "| elu | 1 us | 3.00 | 2.00 |" in text


def test_without_results_it_says_so(generator: dict[str, Any]) -> None:
    assert "no such file yet" in generator["page"](None)
