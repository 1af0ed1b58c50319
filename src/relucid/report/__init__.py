"""Renderings of records for people: text, JSON and one self-contained HTML file."""

from relucid.report.acceleration_text import acceleration_text
from relucid.report.comparison_html import render_comparison_html
from relucid.report.comparison_rows import comparison_rows
from relucid.report.comparison_text import comparison_text
from relucid.report.files import check_writable, save_by_suffix
from relucid.report.html import render_html
from relucid.report.live import live_line, live_view
from relucid.report.receipt_html import render_receipt_html
from relucid.report.receipt_text import receipt_text
from relucid.report.text import render_text, show

__all__ = [
    "acceleration_text",
    "check_writable",
    "comparison_rows",
    "comparison_text",
    "live_line",
    "live_view",
    "receipt_text",
    "render_comparison_html",
    "render_html",
    "render_receipt_html",
    "render_text",
    "save_by_suffix",
    "show",
]
