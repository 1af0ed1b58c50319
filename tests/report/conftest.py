"""A browser for the tests that open pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.browsing import CHROMIUM


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()
