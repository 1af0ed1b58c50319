"""A comparison in words and in the terminal, whatever came of it."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from relucid.records import Difference
from relucid.records.comparison import Comparison, Ending, Metric, Verdict
from relucid.report import comparison_rows, comparison_text
from relucid.report.comparison_differences import difference
from relucid.report.comparison_words import duration, facts, metric, rows
from relucid.report.words import size
from support import comparisons as make

ALL = {
    name: getattr(make, name)
    for name in ("comparison", "lossy", "broken", "one_seed", "nothing", "unbegun", "hostile")
}


def printed(comparison: Comparison, width: int = 80, encoding: str = "utf-8") -> str:
    """Return what a terminal of this width and encoding receives."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="\n")
    Console(file=stream, width=width, no_color=True).print(comparison_text(comparison))
    stream.flush()
    return raw.getvalue().decode(encoding)


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("width", [80, 140])
def test_no_line_is_longer_than_the_terminal(name: str, width: int) -> None:
    lines = printed(ALL[name](), width).splitlines()
    assert max(map(cell_len, lines)) <= width


@pytest.mark.parametrize("name", ALL)
def test_the_advice_comes_first(name: str) -> None:
    found = ALL[name]()
    text = flat(printed(found))
    assert text.index(flat(found.advice)[:20]) < text.index("candidate")


def test_a_row_says_who_stands_where() -> None:
    """At 80 columns: number, name, quality, difference, verdict; then what it costs."""
    lines = printed(make.comparison()).splitlines()
    (first,) = [line for line in lines if line.startswith(" 1 relu")]
    standing = make.comparison().standings[0]
    assert standing.difference is not None
    mean, low, high = (
        f"{100 * v:+.2f}"
        for v in (standing.difference.mean, standing.difference.low, standing.difference.high)
    )
    assert f"{100 * standing.quality:.1f}% ± {100 * standing.spread:.1f}" in first
    assert f"{mean} ({low} to {high})" in first
    assert first.rstrip().endswith("? no difference shown with")
    cost = next(line for line in lines if line.startswith("relu "))
    assert flat(cost).endswith("2 200 kB 5% 40% 0.8 5 of 5")
    assert any(line.startswith(" 4 mish") and "· baseline" in line for line in lines)


def test_what_was_not_shown_says_how_many_seeds_would() -> None:
    text = flat(printed(make.comparison(), 140))
    assert "no difference shown with 5 seeds; about 14 would show one of this size" in text


def test_lost_runs_are_told_with_their_reason() -> None:
    text = flat(printed(make.broken()))
    assert "gelu, seed 1: diverged: the loss was nan after 90 steps" in text
    assert "mish, seed 0: failed: the model raised ValueError: no such shape" in text
    assert "selu, seed 2: pruned: given up after 90 steps" in text
    assert "0 of 5; 4 diverged; 1 not run" in flat(rows(make.broken())[10].ends)
    assert "59 of 60 runs done: the time of 60 s was over." in text
    assert "successive halving" in text


def test_a_candidate_of_which_a_run_was_given_up_has_no_mean() -> None:
    """The runs that went on are its lucky ones: a mean over them would flatter it."""
    found = {row.name: row for row in rows(make.broken())}
    for name, seeds in (("selu", "with 1 of 5 seeds"), ("tanh", "with 5 of 5 seeds")):
        row = found[name]
        assert (row.verdict, row.seeds) == ("given up early", seeds)
        assert {row.quality, row.difference, row.area} == {"–"} and row.loss is None
    assert found["selu"].ends == "4 of 5; 1 pruned"
    text = flat(printed(make.broken(), 140))
    assert "selu – – – given up early with 1 of 5 seeds" in text


def test_many_lost_runs_are_counted() -> None:
    lost = {("gelu", seed): Ending.DIVERGED for seed in range(25)}
    text = printed(make.comparison(make.TWELVE[:4], 25, lost=lost))
    assert text.count("gelu, seed") == 20 and "and 5 more" in text


def test_refused_sites_are_told_once() -> None:
    text = flat(printed(make.comparison()))
    assert text.count("head.act#1: its input has 3 dimensions") == 1
    assert "kept the model's own activation with silu and gelu:" in text


def test_one_seed_has_no_interval() -> None:
    text = flat(printed(make.one_seed()))
    assert "+1.67 (no interval)" in text and "no difference shown with 1 seed" in text
    assert "A single seed gives no interval" in text and "Intervals are at" not in text


def test_nothing_to_tell() -> None:
    text = flat(printed(make.unbegun()))
    assert "0 of 6 runs done: it was interrupted." in text
    assert text.count("– not run to an end") == 2 and "nan" not in text.lower()


def test_a_terminal_without_unicode_gets_ascii() -> None:
    text = printed(make.broken(), encoding="ascii")
    assert text.isascii()
    assert "97.0% +/- 0.1" in text and "x worse" in text


def test_a_hostile_name_is_text() -> None:
    """No control code reaches the terminal and no markup is obeyed."""
    text = printed(make.hostile())
    assert not {"\x1b", "\x07", "\u202e"} & set(text)
    assert "\\x1b[31m" in text and "[bold]" in text


@pytest.mark.parametrize(
    ("kind", "scale", "mean", "low", "high", "says"),
    [
        ("accuracy", "difference", 0.013, 0.0042, 0.0218, "+1.30 (+0.42 to +2.18)"),
        ("accuracy", "difference", -0.5, -math.inf, math.inf, "-50.00 (no interval)"),
        ("loss", "ratio", 0.88, 0.851, 0.909, "-12.0% (-14.9% to -9.1%)"),
        ("loss", "ratio", 1.0, 1.0, 1.0, "+0.0% (+0.0% to +0.0%)"),
        ("loss", "ratio", math.inf, 3.0, math.inf, "infinite (+200.0% to infinite)"),
        ("loss", "ratio", 50.0, 20.0, 1e9, "+4,900% (+1,900% to +1e11%)"),
        ("loss", "ratio", 0.7, 0.0, math.inf, "-30.0% (no interval)"),
        ("loss", "difference", -0.25, -0.5, 0.0, "-0.25 (-0.5 to 0)"),
        ("loss", "difference", math.nan, -math.inf, math.inf, "not known (no interval)"),
    ],
)  # fmt: skip
def test_differences_in_words(
    kind: Metric, scale: str, mean: float, low: float, high: float, says: str
) -> None:
    found = Difference(scale, 5, mean, low, high, 0.95)  # type: ignore[arg-type] - one of the two
    assert difference(found, kind) == says


@pytest.mark.parametrize(
    ("held_out", "says"), [(10, "95.1%"), (360, "95.1%"), (1797, "95.12%"), (100_000, "95.123%")]
)
def test_accuracy_is_as_fine_as_the_data(held_out: int, says: str) -> None:
    """To the digit that one sample changes, and no finer."""
    assert metric(0.951234, replace(make.comparison(), held_out=held_out)) == says


@pytest.mark.parametrize(
    ("seconds", "says"),
    [(0.42, "0.42 s"), (12.3, "12.3 s"), (200.0, "3 min 20 s"), (7500.0, "2 h 5 min")],
)
def test_durations(seconds: float, says: str) -> None:
    assert duration(seconds) == says


@pytest.mark.parametrize(
    ("count", "says"),
    [
        (0, "0 B"),
        (512, "512 B"),
        (34_500, "34.5 kB"),
        (1_234_567, "1.23 MB"),
        (10**16, "10,000 TB"),
    ],
)
def test_sizes(count: int, says: str) -> None:
    assert size(count) == says


def test_how_it_was_measured() -> None:
    told = dict(facts(make.comparison()))
    assert told["training"] == (
        "300 steps by Adam at learning rate 0.001, on 1,437 samples, 100 a step"
    )
    assert told["activations"] == "put in at 3 sites"
    assert told["initial weights"].startswith("scaled for relu by 1.25, mish by 1.25,")
    own = replace(make.comparison(), batch=0, pruned="halving")
    own = replace(own, candidates=tuple(replace(c, swapped=0, gain=1.0) for c in own.candidates))
    told = dict(facts(own))
    assert told["training"].endswith("in batches as given")
    assert told["activations"] == "put in by the model's builder"
    assert told["stopped early"] == "halving" and "initial weights" not in told


def test_a_row_a_run_for_data_frames() -> None:
    """In the order of the ranking; unknown numbers are NaN, so that columns have one type."""
    found = make.broken()
    table = comparison_rows(found)
    assert len(table) == len(found.runs) == 59
    assert [row["candidate"] for row in table] == [run.candidate for run in found.runs]
    complete = [row for row in table if row["candidate"] == "relu"]
    standing = found.standings[0]
    assert np.mean([row["quality"] for row in complete]) == pytest.approx(standing.quality)
    (lost,) = [row for row in table if (row["candidate"], row["seed"]) == ("mish", 0)]
    assert lost["ending"] == "failed" and lost["steps"] == 0 and lost["baseline"] is True
    assert math.isnan(float(lost["loss"])) and "no such shape" in str(lost["why"])
    for column in table[0]:
        assert len({type(row[column]) for row in table}) == 1, column


def test_a_row_a_point_for_data_frames() -> None:
    found = make.broken()
    table = comparison_rows(found, points=True)
    assert len(table) == sum(len(run.curve) for run in found.runs)
    first = [row for row in table if (row["candidate"], row["seed"]) == ("relu", 0)]
    assert [row["step"] for row in first] == list(range(0, 301, 15))
    assert first[-1]["loss"] == found.runs[0].curve[-1].loss


def test_every_verdict_has_a_sign_and_words() -> None:
    found = make.comparison(make.TWELVE[: len(Verdict)])
    standings = tuple(
        replace(s, verdict=verdict) for s, verdict in zip(found.standings, Verdict, strict=True)
    )
    text = flat(printed(replace(found, standings=standings), 140))
    signs = ("· baseline", "✓ better", "✗ worse", "= no difference worth a change",
             "? no difference shown", "– given up early", "– not run to an end")  # fmt: skip
    assert all(sign in text for sign in signs)
