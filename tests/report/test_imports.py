"""What importing the room costs."""

from __future__ import annotations

import subprocess
import sys


def test_heavy_libraries_wait_for_their_use() -> None:
    """Importing `relucid.report` loads none of the libraries that draw and print."""
    code = (
        "import sys, relucid.report; "
        "print(*sorted({'altair', 'jinja2', 'rich', 'vl_convert'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
