"""Running the command in this process, in the ``folder`` of the tests' own subjects."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from relucid.cli import main
from support.commands import Done


@pytest.fixture
def relucid(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """Run the command in this process, which saves two seconds of imports a call."""

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["relucid", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        return Done(stopped.value.code or 0, *capfd.readouterr())

    return run
