"""Renderings of records for people: text, JSON and one self-contained HTML file."""

from relucid.report.files import check_writable, save_json
from relucid.report.html import render_html, save_html
from relucid.report.live import live_line, live_view
from relucid.report.text import render_text, show

__all__ = [
    "check_writable",
    "live_line",
    "live_view",
    "render_html",
    "render_text",
    "save_html",
    "save_json",
    "show",
]
