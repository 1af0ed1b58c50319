"""The documentation's tables, and the table in the terminal, show what was measured."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from relucid.errors import RecordError
from relucid.records.accuracy import (
    Accuracy,
    Checks,
    FunctionAccuracy,
    Half,
    Library,
    Quantity,
    Special,
    Tally,
    TruthCheck,
    Worst,
    accuracy_json,
)
from relucid.verify import everything, judge, show
from relucid.verify.page import checks_table, float32_table, newest, specials_table

CHECKS = Checks(
    TruthCheck(4321, Worst(3e-9, 1.0), Worst()),
    (Half("float16", 17, 0, None), Half("bfloat16", 2048, 0, None)),
    Worst(2.5, -0.75),
)


def measured(name: str) -> FunctionAccuracy:
    tally = Tally(1 << 32, Worst(1.75, -8.5), (1234, 5, 0, 0), Worst(0.625, 1e-40))
    right = (Special(float("-inf"), 0.0, 0.0, True),)
    wrong = (Special(float("-inf"), 0.0, float("nan"), False),)
    lost = Quantity(replace(tally, normal=Worst(float("inf"), 88.0)), wrong)
    libraries = (
        Library("relucid", Quantity(tally, right), Quantity(tally, right)),
        Library("pytorch", lost, Quantity(tally, right)),
    )
    return FunctionAccuracy(name, {}, True, CHECKS, CHECKS, libraries)


def accuracy(*names: str, date: str = "2026-01-01") -> Accuracy:
    functions = tuple(measured(name) for name in names)
    return Accuracy(date, "a machine", {"torch": "9"}, "default", "standard", functions)


def test_the_float32_table_has_worst_counts_and_other_libraries() -> None:
    _, _, value, derivative = float32_table(accuracy("silu"))
    cells = [cell.strip() for cell in value.strip("|").split("|")]
    assert cells == [
        "`silu`", "value", "1.75 at -8.5", "1,234", "5", "0", "0", "0.62", "",
        "not finite at 88", "-",
    ]  # fmt: skip
    assert "1.75 at -8.5" in derivative


def test_the_checks_table_has_16_bits_float64_and_the_truth() -> None:
    _, _, value, _ = checks_table(accuracy("silu"))
    assert value == "| `silu` | value | 17 | 2,048 | 2.50 at -0.75 | 4,321 | 3.0e-09 |  |"


def test_the_specials_table_has_the_wrong_ones_only() -> None:
    rows = list(specials_table(accuracy("silu")))[2:]
    assert rows == ["| `silu` | value | -inf | 0 | right | nan | - |"]


def test_the_newest_complete_run_of_the_catalogue_is_shown(tmp_path: Path) -> None:
    names = [activation.name for activation in everything()]
    older, newer = accuracy(*names, date="2026-02-01"), accuracy(*names, date="2026-02-02")
    sampled = replace(older, functions=tuple(replace(f, complete=False) for f in older.functions))
    files = {
        "2026-02-01-a.json": older,
        "2026-02-02-a.json": newer,
        "2026-02-03-a.json": accuracy("silu"),
        "2026-02-04-a.json": sampled,
        "2026-02-05-a-plain.json": replace(newer, route="plain"),
    }
    assert newest(tmp_path) is None
    for name, run in files.items():
        (tmp_path / name).write_text(accuracy_json(run))
    found = newest(tmp_path)
    assert found is not None and found.date == "2026-02-02"


def test_a_file_that_is_no_run_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "2026-01-01-a.json").write_text("{}")
    with pytest.raises(RecordError):
        newest(tmp_path)


def test_the_terminal_shows_the_table_and_what_is_broken() -> None:
    run = accuracy("silu")
    (silu,) = run.functions
    spoiled = Quantity(replace(silu.libraries[0].value.tally, normal=Worst(9.5, 0.25)), ())
    own = replace(silu.libraries[0], value=spoiled)
    run = replace(run, functions=(replace(silu, libraries=(own, silu.libraries[1])),))
    console = Console(record=True, width=90, highlight=False)
    show(run, judge(run, {}), console)
    text = console.export_text()
    assert "9.50 at 0.25" in text and "not finite at 88" in text
    assert "broken: silu, value, float32: 9.50 at 0.25, contract 2" in text
    assert "is kept" not in text


def test_the_documentations_page_has_every_table() -> None:
    path = Path(__file__).parents[2] / "docs" / "accuracy.py"
    spec = importlib.util.spec_from_file_location("accuracy", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = "\n".join(module.page(accuracy("silu"), accuracy("elu")))
    assert "## float32, all 2³² inputs" in text
    for row in ("| `silu` | value | 1.75", "| `elu` | value | 1.75", "| `silu` | value | 17 |"):
        assert row in text
    assert "Measured on 2026-01-01 on a machine; torch 9." in text
