"""What is shown: every figure where it belongs, within 100 columns."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from bench.fakes import at, results, row, setting, side
from relucid.bench import FirstUse, Results
from relucid.bench.choices import Peer
from relucid.bench.plan import standard
from relucid.bench.render import show
from relucid.bench.sheets import conclusions, duration, machine_line, row_sheets


def shown(found: Results) -> str:
    stream = StringIO()
    show(found, Console(file=stream, width=100))
    return stream.getvalue()


def test_a_row_shows_its_figures() -> None:
    found = row(
        setting("elu", work="both", policy="fresh", size=16_777_216),
        side("eager", 2.345), side("relu", 0.8),
    )  # fmt: skip
    (sheet,) = row_sheets([found])
    title = "float32, 16,777,216 elements, forward and backward, fresh outputs, 1 thread"
    assert sheet.title == title
    cells = dict(zip(sheet.heads, sheet.rows[0], strict=True))
    assert cells == {
        "function": "elu", "time": "1 us", "copies": "3.00", "eager": "2.35", "ReLUs": "1.25",
        "ULP": "0.5 / 0.5", "IQR": "0%", "control": "1.000",
    }  # fmt: skip


def test_discarded_rows_show_no_times() -> None:
    (sheet,) = row_sheets([row(setting("elu"), side("eager", 2.345), control=1.2)])
    assert "discarded" in sheet.rows[0] and "1.200" in sheet.rows[0]
    assert not any("2.3" in cell for cell in sheet.rows[0])
    assert any("Discarded" in note for note in sheet.notes)


def test_wrong_rows_and_notes_are_told() -> None:
    noted = side("eager", note="composed of abs")
    wrong = row(setting("elu"), wrong="its value is off")
    (sheet,) = row_sheets([wrong, row(setting("silu"), noted)])
    assert sheet.rows[0][0] == "elu (wrong)"
    assert sheet.notes == ("elu is wrong: its value is off.", "silu, eager: composed of abs.")


def test_means_name_the_worst_function_and_peer() -> None:
    found = results(
        row(setting("elu"), side("eager", 2.0), side("compile", 1.5)),
        row(setting("silu"), side("eager", 8.0), side("compile", 6.0)),
    )
    means = next(s for s in conclusions(found) if "geometric mean" in s.title)
    assert means.heads == ("rows", "eager", "compile", "worst function")
    assert means.rows == (("float32 65,536 both out x1", "4.00", "3.00", "elu 1.50, compile"),)


def test_the_standard_set_fits_100_columns() -> None:
    rows = [
        row(task.setting, *(side(peer.value, 123.456) for peer in task.peers), side("relu"))
        for task in standard((), tuple(Peer), quick=False)
    ]
    text = shown(results(*rows, first_use=FirstUse("gelu", at(1.2), at(0.055))))
    assert max(map(len, text.splitlines())) <= 100
    assert "First use of gelu: 1.20 s, in later processes 55 ms." in text
    # No title, head or figure is broken over two lines.
    title = "float32, 65,536 elements, forward and backward, given buffers, 1 thread"
    assert text.count(title) == 1
    assert text.count("16,777,216 both fresh x1") >= 3


def test_the_machine_is_named() -> None:
    assert machine_line(results()) == (
        "2030-01-02, Test CPU, 2 cores, 32 MiB of last-level cache, Linux. torch 2 at commit abc."
    )


def test_durations() -> None:
    times = [3.21, 32.1, 1000.0, 45_600.0, 7.89e6, 2.5e9]
    expected = ["3.21 ns", "32.1 ns", "1 us", "45.6 us", "7.89 ms", "2.5 s"]
    assert list(map(duration, times)) == expected
