"""Bars that tell how far a long work is."""

from __future__ import annotations

import pytest

from relucid.report.progress import stages


@pytest.mark.parametrize(
    ("terminal", "after", "shown"), [(True, 0.0, True), (True, 1e9, False), (False, 0.0, False)]
)
def test_stages_are_shown_in_a_terminal_when_the_work_is_long(
    terminal: bool,
    after: float,
    shown: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On standard error, with how much is done of what is known to be done."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TTY_COMPATIBLE", "1" if terminal else "0")
    with stages(after) as tell:
        tell("Looking", 0, None)
        tell("Proving", 3, 4)
    told = capsys.readouterr()
    assert told.out == ""
    assert ("Looking" in told.err, "Proving" in told.err, "75%" in told.err) == (shown,) * 3
