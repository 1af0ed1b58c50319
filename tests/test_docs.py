"""The Python of the documentation runs as it stands, page by page in one namespace."""

import linecache
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


def code_of(page: Path) -> list[str]:
    return CODE.findall(page.read_text())


@pytest.mark.parametrize("page", [p for p in PAGES if code_of(p)], ids=lambda p: p.name)
def test_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "example"}
    for number, block in enumerate(code_of(page), 1):
        name = f"{page.name} block {number}"
        # As of a file, or of a cell of a notebook, its source can be looked up.
        lines = block.splitlines(keepends=True)
        monkeypatch.setitem(linecache.cache, name, (len(block), None, lines, name))
        exec(compile(block, name, "exec"), namespace)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    local = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    missing = [link for link in local if not (page.parent / link).exists()]
    assert not missing
