"""The report for a terminal."""

from __future__ import annotations

import dataclasses
import io
import unicodedata

import pytest
from rich.cells import cell_len
from rich.console import Console

from relucid.errors import RecordError
from relucid.records import Checkup
from relucid.report import render_text, show
from support import checkups as make

ALL = [make.healthy(), make.sick(), make.convolutional(), make.with_births(), make.hostile(),
       make.deep(30, 300)]  # fmt: skip


def printed(
    checkups: Checkup | list[Checkup],
    encoding: str = "utf-8",
    width: int = 80,
    colour: bool = False,
) -> str:
    """Return what a terminal of this encoding and width receives."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="\n")
    console = Console(file=stream, width=width, force_terminal=colour, no_color=not colour)
    show(checkups, console)
    stream.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize("width", [80, 100, 40])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_no_line_is_longer_than_the_terminal(width: int, encoding: str) -> None:
    """A longer line wraps by itself and breaks the tables."""
    lines = printed(ALL, encoding, width).splitlines()
    assert len(lines) > 100
    assert max(map(cell_len, lines)) <= width


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_a_terminal_without_unicode_gets_ascii(encoding: str) -> None:
    """No letter is lost to an error; the usual signs keep a readable form."""
    text = printed(ALL, encoding)
    assert text.isascii()
    assert "x ILL  17 of 64 units are dead at site relu1" in text
    assert "units 0-16" in text and "8x8 pixels" in " ".join(text.split())


def test_names_in_other_alphabets() -> None:
    """They are shown where the terminal can, and by code where it cannot."""
    assert "слой" in printed(make.site_only("слой"))
    assert "\\u0441" in printed(make.site_only("слой"), "ascii")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_no_control_code_reaches_the_terminal(encoding: str) -> None:
    """A model's name cannot move the cursor, ring, change the title or reverse the text."""
    name = "a\x1b]0;title\x07\x1b[2J\r\x08\x9b5m\u202e\u2028\u200b\ud800\tb\nc"
    for checkup in (make.hostile(name), make.site_only(name)):
        text = printed([checkup, checkup], encoding)
        hidden = {c for c in text if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}
        assert hidden == {"\n"}
        assert "\\x1b[2J" in text.replace("\n", "")


def test_markup_is_shown_not_obeyed() -> None:
    """Rich's brackets in a name stay brackets."""
    text = printed(make.site_only("[bold red]x[/]"), colour=True)
    assert "[bold red]x[/]" in text


def test_colour_only_adds() -> None:
    """Without colour the same words and signs are there."""
    coloured = Console(width=80, force_terminal=True, color_system="truecolor", record=True,
                       file=io.StringIO())  # fmt: skip
    show(make.sick(), coloured)
    assert coloured.export_text().split() == printed(make.sick()).split()


def test_findings_come_before_the_sites() -> None:
    """What is wrong stands first, worst first, with its numbers and its code."""
    text = printed(make.sick())
    order = ["✗ ILL  17 of 64 units are dead at site relu1", "share of dead units 26.6%",
             "(threshold 5%)", "n = 1,797", "Try: Train again", "lr=0.01", "Gradients fade",
             "! TIP", "? NOT SEEN", "✓ WELL", "site    function", "Not observed: encoder.fused",
             ]  # fmt: skip
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_the_same_code_is_printed_once() -> None:
    """A remedy that several findings name is told in full the first time only."""
    finding = make.dead_finding("relu1", range(3), 32)
    other = dataclasses.replace(finding, site="relu2", meaning="Otherwise the same.")
    checkup = dataclasses.replace(make.healthy(), findings=(finding, other))
    text = printed(checkup)
    assert text.count("relucid.swap(model") == 1
    assert text.count("Use a function with a slope") == 2
    assert text.count("(code above)") == 2


def test_the_strip_counts_every_unit_of_a_small_layer() -> None:
    """With ten units there are ten signs: three dead, one always on, six between."""
    record = make.site_record("act", units=10, dead=[0, 4, 5], always_on=[9])
    row = next(line for line in printed(make.site_only(record)).splitlines() if "act" in line)
    strip = row.split()[-2]
    assert len(strip) == 10
    assert strip.startswith("×××") and strip.count("×") == 3 and strip.endswith("█")


def test_several_are_compared_in_the_first_line() -> None:
    """The reader learns at once how many there are and how each came out."""
    text = " ".join(printed([make.healthy(), make.sick()]).split())
    assert text.startswith(
        "Two networks were examined: “Trained well” has only tips and “Learning rate too high” "
        "is ill."
    )


def test_births_gaps_and_missing_gradients_are_told() -> None:
    """What could not be measured is said in words."""
    births = " ".join(printed(make.with_births()).split())
    assert "NaN was born in block.norm, operation div (net.py:44), in the forward" in births
    assert "Infinity was born in head, operation exp, in the backward pass of batch 7" in births
    assert "Pass a loss" in printed(make.convolutional())
    assert "Pass a loss" not in printed(make.sick())


def test_it_is_a_renderable() -> None:
    """`render_text` can stand inside another Rich layout."""
    console = Console(file=io.StringIO(), width=80)
    console.print(render_text([make.healthy()]))
    assert "Trained well" in console.file.getvalue()  # a StringIO


def test_no_checkup_is_an_error() -> None:
    """An empty report would look like good health."""
    with pytest.raises(RecordError, match="at least one"):
        render_text([])
