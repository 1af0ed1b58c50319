"""A whole benchmark: every task measured or taken from the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import date
from pathlib import Path

import torch

from relucid.bench.choices import Peer
from relucid.bench.first_use import measure_first_use
from relucid.bench.machine import this_machine
from relucid.bench.measure import effort_for, measure
from relucid.bench.plan import Task
from relucid.bench.record import Machine, Results, Row, Setting
from relucid.bench.serialise import to_json
from relucid.bench.sides import Cell, Lineup
from relucid.bench.sides.compiled import inductor
from relucid.bench.store import Store
from relucid.interleave import Clock
from relucid.report.files import write_atomically
from relucid.verify.machine import slug

Advance = Callable[[float], None]
"""Told the cost of every task that is done."""


def bench(
    tasks: Sequence[Task],
    target: Path | None = None,
    *,
    quick: bool = False,
    first_use: str | None = None,
    advance: Advance = lambda cost: None,
) -> Results:
    """Measure the tasks and, with a target, write the results to it as JSON.

    ``target`` is a file, or a folder in which ``<date>-<cpu>.json`` is written. Finished rows are
    kept beside it until then, and a rerun goes on after them. ``first_use`` names a function
    whose first use in a new process is measured too. PyTorch's number of threads is left as it
    was. Raises :class:`~relucid.errors.OutputError`.
    """
    machine, today = this_machine(), date.today().isoformat()
    path = None if target is None else _file(target, machine, today)
    store = Store(_partial(target, path), machine, quick)
    rows = measure_all(tasks, store, machine.cache, quick=quick, advance=advance)
    first = None if first_use is None else measure_first_use(first_use)
    results = Results(today, machine, tuple(rows), first)
    if path is not None:
        write_atomically(path, to_json(results))
        store.discard()
    return results


def measure_all(
    tasks: Sequence[Task],
    store: Store,
    cache: int,
    *,
    quick: bool = False,
    advance: Advance = lambda cost: None,
    clock: Clock = time.perf_counter_ns,
) -> list[Row]:
    """The row of each task, measured unless the store has it. ``cache`` is in bytes."""
    open_tasks = [task for task in tasks if store.finished(task) is None]
    compiles = any(Peer.COMPILE in task.peers for task in open_tasks)
    rows, lineup = [], None
    with _threads_restored(), inductor() if compiles else nullcontext():
        for task in tasks:
            row = store.finished(task)
            if row is None:
                lineup = _lineup(lineup, task, cache)
                row = measure(task.setting, lineup, effort_for(task.setting, quick), clock)
                store.add(task, row)
            rows.append(row)
            advance(task.cost)
    return rows


def _lineup(last: Lineup | None, task: Task, cache: int) -> Lineup:
    """The contenders of the task's cell: those of the last task where it is the same."""
    cell = _cell(task.setting)
    if last is not None and (last.cell, last.peers) == (cell, task.peers):
        return last
    return Lineup(cell, task.peers, cache)


def _cell(setting: Setting) -> Cell:
    return Cell(setting.function, setting.dtype, setting.size, setting.threads)


def _file(target: Path, machine: Machine, today: str) -> Path:
    return target / f"{today}-{slug(machine.cpu)}.json" if _is_folder(target) else target


def _is_folder(target: Path) -> bool:
    return target.is_dir() or target.suffix == ""


def _partial(target: Path | None, path: Path | None) -> Path | None:
    """Where finished rows are kept: under a name that does not change at midnight."""
    if target is None or path is None:
        return None
    if not _is_folder(target):
        return path.with_name(path.name + ".partial")
    target.mkdir(parents=True, exist_ok=True)
    return target / "unfinished.partial"


@contextmanager
def _threads_restored() -> Iterator[None]:
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
