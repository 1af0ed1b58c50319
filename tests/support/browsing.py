"""Chromium, and what a page says and asks for in it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
OUTSIDE = """[...document.querySelectorAll("svg.chart text")].filter((text) => {
    const [inner, outer] = [text, text.closest("svg")].map((e) => e.getBoundingClientRect());
    return inner.width && (inner.left < outer.left - 1 || inner.right > outer.right + 1);
}).map((text) => text.textContent)"""
"""Texts that reach out of their chart."""


class Opened:
    """A page, and all that it asked of the network and said on the console."""

    def __init__(self, browser: Any, path: Path) -> None:
        context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
        self.page = context.new_page()
        self.requests: list[str] = []
        self.said: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(dialog.message))
        self.page.goto(path.as_uri())
