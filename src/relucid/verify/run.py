"""A whole run: plans in, measured blocks from all cores, records out."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing import get_context, parent_process
from typing import Any

import torch

from relucid.errors import ParameterError
from relucid.functions import Elementwise
from relucid.kernels.choose import Precision, Route
from relucid.records.accuracy import Accuracy, FunctionAccuracy, Library, Quantity
from relucid.verify.checks import measure_rest
from relucid.verify.libraries import has_jax
from relucid.verify.machine import machine, versions
from relucid.verify.plan import Plan
from relucid.verify.reference import WHICH
from relucid.verify.sides import PEERS
from relucid.verify.state import State, Store
from relucid.verify.sweep import measure_block

REST = -1
"""The number under which the checks beside the sweep are queued, before a plan's blocks."""
Task = tuple[Plan, int, tuple[str, ...]]
"""A plan, a block, and the libraries to measure there."""
Progress = Callable[[int], None]
Submit = Callable[[Task], "Future[Any]"]


def installed_peers() -> tuple[str, ...]:
    """The libraries that can be measured beside relucid."""
    return tuple(peer for peer in PEERS if peer != "jax" or has_jax())


def plans(
    activations: Sequence[Elementwise],
    *,
    peers: Sequence[str] | None = None,
    route: Route | None = None,
    precision: Precision = "standard",
    sample: int | None = None,
) -> list[Plan]:
    """What to measure: every activation, with the same peers (default: all installed).

    Raises :class:`~relucid.errors.ParameterError` for a peer that is unknown or not installed.
    """
    chosen = installed_peers() if peers is None else tuple(dict.fromkeys(peers))
    missing = [peer for peer in chosen if peer not in installed_peers()]
    if missing:
        raise ParameterError(
            f"cannot measure {missing[0]!r} beside relucid; here these can be: "
            f"{', '.join(installed_peers())}"
        )
    return [Plan(a, chosen, route, precision, sample) for a in dict.fromkeys(activations)]


def count(plans: Sequence[Plan]) -> int:
    """How many pieces of work the plans are."""
    return sum(plan.blocks + 1 for plan in plans)


def measure(
    plans: Sequence[Plan],
    store: Store,
    *,
    workers: int = 1,
    progress: Progress = lambda done: None,
) -> Accuracy:
    """Measure what is left of every plan, on ``workers`` processes of one thread each.

    What is measured is kept in ``store`` piece by piece, so that an interrupted run goes on where
    it was; ``progress`` is told how many of :func:`count` pieces are done.
    """
    states = {plan: store.load(plan) for plan in plans}
    tasks = list(_tasks(states))
    done = count(plans) - len(tasks)
    progress(done)
    with _pool(workers) as submit:
        for (plan, block, among), found in _completed(submit, tasks, 2 * workers):
            state = states[plan]
            changed = replace(state, rest=found) if block == REST else None
            states[plan] = changed or state.with_block(block, among, found)
            store.save(plan, states[plan])
            done += 1
            progress(done)
    return Accuracy(
        date=datetime.now(UTC).date().isoformat(),
        machine=machine(),
        versions=versions(),
        route=plans[0].route or "default",
        precision=plans[0].precision,
        functions=tuple(_record(plan, states[plan]) for plan in plans),
    )


def _tasks(states: dict[Plan, State]) -> Iterator[Task]:
    for plan, state in states.items():
        if state.rest is None:
            yield plan, REST, ()
        yield from ((plan, block, among) for block, among in state.left(plan.blocks))


def _measure(task: Task) -> Any:
    plan, block, among = task
    return measure_rest(plan) if block == REST else measure_block(plan, block, among)


def _end_with_parent() -> None:
    """A worker of a parent that was killed would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _pool(workers: int) -> Iterator[Submit]:
    """Give what runs a task in a process of its own; in this one for a single worker."""
    if workers == 1:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield _at_once
        finally:
            torch.set_num_threads(threads)
        return
    # Spawned, because a fork of a process with threads (PyTorch's, JAX's) can hang.
    with ProcessPoolExecutor(workers, get_context("spawn"), _start_worker) as pool:
        try:
            yield lambda task: pool.submit(_measure, task)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _at_once(task: Task) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(_measure(task))
    return future


def _start_worker() -> None:
    for request in (signal.SIGINT, signal.SIGTERM):
        signal.signal(request, signal.SIG_IGN)  # the parent ends the run
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()


def _completed(submit: Submit, tasks: Iterable[Task], waiting: int) -> Iterator[tuple[Task, Any]]:
    """Run the tasks, with at most ``waiting`` of them handed over, and yield as they complete."""
    running: dict[Future[Any], Task] = {}
    for task in tasks:
        running[submit(task)] = task
        if len(running) >= waiting:
            yield from _finished(running)
    while running:
        yield from _finished(running)


def _finished(running: dict[Future[Any], Task]) -> Iterator[tuple[Task, Any]]:
    for future in wait(running, return_when=FIRST_COMPLETED).done:
        yield running.pop(future), future.result()


def _record(plan: Plan, state: State) -> FunctionAccuracy:
    assert state.rest is not None
    rest = state.rest
    libraries = [
        Library(name, *(Quantity(swept.tallies[w], rest.specials[name][w]) for w in WHICH))
        for name, swept in state.libraries.items()
        if swept.tallies is not None
    ]
    return FunctionAccuracy(
        name=plan.activation.name,
        parameters=plan.activation.changed,
        complete=plan.sample is None,
        value=rest.value,
        derivative=rest.derivative,
        libraries=tuple(libraries),
    )
