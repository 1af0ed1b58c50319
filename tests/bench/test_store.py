"""An interrupted run goes on where it stopped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.fakes import machine, row, setting, side
from relucid.bench import run
from relucid.bench.choices import Peer
from relucid.bench.plan import Task
from relucid.bench.record import Row, Setting
from relucid.bench.store import Store
from relucid.errors import OutputError

TASKS = [Task(setting(name), (Peer.EAGER,)) for name in ("elu", "silu", "gelu", "mish")]


class Bench:
    """Stands in for measuring: notes what is asked of it, and stops before ``until``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.measured: list[str] = []
        self.until = ""
        monkeypatch.setattr(run, "measure", self._measure)
        monkeypatch.setattr(run, "Lineup", lambda cell, peers, cache: self)
        self.cell = self.peers = None

    def _measure(self, where: Setting, *rest: Any) -> Row:
        if where.function == self.until:
            raise KeyboardInterrupt
        self.measured.append(where.function)
        return row(where, side("eager", 2.0), control=1.0 / 3.0)

    def __call__(self, store: Store, tasks: Sequence[Task] = TASKS) -> list[Row]:
        self.measured.clear()
        return run.measure_all(tasks, store, cache=1 << 20)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_finished_rows_are_not_repeated(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    bench.until = "gelu"
    with pytest.raises(KeyboardInterrupt):
        bench(Store(path, machine(), quick=False))
    assert bench.measured == ["elu", "silu"]

    bench.until = ""
    rows = bench(Store(path, machine(), quick=False))
    assert bench.measured == ["gelu", "mish"]
    assert [r.setting for r in rows] == [task.setting for task in TASKS]
    assert rows[0] == row(TASKS[0].setting, side("eager", 2.0), control=1.0 / 3.0)


def test_a_line_that_was_cut_short_is_measured_again(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    bench(Store(path, machine(), quick=False))
    path.write_text(path.read_text()[:-30])
    bench(Store(path, machine(), quick=False))
    assert bench.measured == ["mish"]
    bench(Store(path, machine(), quick=False))
    assert bench.measured == []


@pytest.mark.parametrize(
    "other", [{"source": "changed"}, {"cpu": "another"}, {"versions": {"torch": "3"}}]
)
def test_rows_of_other_code_or_machines_are_not_taken_over(
    bench: Bench, tmp_path: Path, other: dict[str, Any]
) -> None:
    path = tmp_path / "rows"
    bench(Store(path, machine(), quick=False))
    bench(Store(path, machine(**other), quick=False))
    assert len(bench.measured) == len(TASKS)


def test_nor_rows_measured_quickly_or_beside_others(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    bench(Store(path, machine(), quick=True))
    bench(Store(path, machine(), quick=False))
    assert len(bench.measured) == len(TASKS)
    more = [Task(task.setting, (Peer.EAGER, Peer.NUMPY)) for task in TASKS]
    bench(Store(path, machine(), quick=False), more)
    assert len(bench.measured) == len(TASKS)


def test_progress_counts_rows_that_were_there_too(bench: Bench, tmp_path: Path) -> None:
    store, told = Store(tmp_path / "rows", machine(), quick=False), []
    bench(store)
    run.measure_all(TASKS, store, cache=1 << 20, advance=told.append)
    assert told == [task.cost for task in TASKS]


def test_a_folder_that_is_missing_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        Store(tmp_path / "missing" / "rows", machine(), quick=False)


def test_the_whole_result_takes_the_place_of_the_rows(bench: Bench, tmp_path: Path) -> None:
    found = run.bench(TASKS, tmp_path)
    (written,) = tmp_path.iterdir()
    assert written.name.startswith(found.date) and written.suffix == ".json"
    assert run.bench(TASKS, tmp_path / "mine.json").rows == found.rows
    assert len(list(tmp_path.iterdir())) == 2
