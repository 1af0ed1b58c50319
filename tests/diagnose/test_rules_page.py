"""docs/rules.md is what docs/rules.py writes."""

from __future__ import annotations

import runpy
from pathlib import Path

from relucid.diagnose import rules

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_current() -> None:
    """A changed docstring or threshold must be followed by `python docs/rules.py`."""
    written = runpy.run_path(str(DOCS / "rules.py"))["page"]()
    assert (DOCS / "rules.md").read_text(encoding="utf-8") == written
    assert all(f"`{rule}`: " in written for rule in rules())
