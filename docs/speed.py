"""Write docs/speed.md from the newest benchmark in benchmarks/results."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from relucid.bench import Results, from_json
from relucid.bench.sheets import Sheet, conclusions, machine_line, row_sheets

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = Path(__file__).with_name("speed.md")
_HEAD = """\
# Speed

This page is generated: `make docs` writes it from the newest file in `benchmarks/results/`, which
`make bench` wrote. [How it is measured, and how to read it](bench.md).
"""
_NONE = "There is no such file yet."


def page(results: Results | None) -> str:
    """Return the text of docs/speed.md."""
    if results is None:
        return "\n".join([_HEAD, _NONE, ""])
    parts = [_HEAD, f"Measured on {machine_line(results)}", ""]
    for sheet in reversed(list(conclusions(results))):
        parts += _section(sheet)
    parts += ["## All rows", ""]
    for sheet in row_sheets(results.rows):
        parts += _section(sheet, level=3)
    return "\n".join(parts)


def newest() -> Results | None:
    """Return the results with the latest date, or None where there are none."""
    found = [from_json(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))]
    return max(found, key=lambda results: results.date, default=None)


def _section(sheet: Sheet, level: int = 2) -> Iterator[str]:
    yield from (f"{'#' * level} {sheet.title}", "")
    yield f"| {' | '.join(sheet.heads)} |"
    yield "|---|" + "---:|" * (len(sheet.heads) - 1)
    for row in sheet.rows:
        yield f"| {' | '.join(row)} |"
    yield ""
    for note in sheet.notes:
        yield from (note, "")


if __name__ == "__main__":
    PAGE.write_text(page(newest()), encoding="utf-8")
