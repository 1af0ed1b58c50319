"""What importing the room costs."""

from __future__ import annotations

from support import fresh


def test_heavy_libraries_wait_for_their_use() -> None:
    """Importing `relucid.report` loads none of the libraries that draw and print."""
    code = (
        "import sys, relucid.report; "
        "print(*sorted({'altair', 'jinja2', 'rich', 'vl_convert'} & set(sys.modules)))"
    )
    done = fresh.run(code)
    assert (done.returncode, done.stdout) == (0, "\n")
