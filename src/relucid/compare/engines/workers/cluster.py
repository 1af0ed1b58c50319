"""A Ray cluster: one that is running, or one on this machine for as long as it is needed."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from relucid.errors import EngineError, MissingDependencyError
from relucid.machine import cores

HERE = "local"
"""Ray's address of a cluster that is started for this process alone."""
_ROOM = 100 * 2**20
"""Bytes of shared memory beyond the experiment; Ray itself would take 30% of all memory."""
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Runs see the graphics processors of this machine, as they do in the other engines.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_SILENT = {
    # Ray prints these on standard output, and relucid says in a run's record what came of it. Ray
    # reads this when it is imported.
    "RAY_DEDUP_LOGS_SKIP_REGEX": "worker died or was killed|killed due to memory",
}


def import_ray() -> Any:
    """Return Ray's module, loaded on first use."""
    try:
        with _environment({} if "ray" in sys.modules else _SILENT):
            import ray
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "engine='ray' needs Ray, which is not installed: pip install ray; or compare with "
            "engine='processes'"
        ) from error
    return ray


@contextmanager
def connected(where: str, size: int) -> Iterator[None]:
    """Be connected for a while; a connection that there is already is used, and kept.

    ``size`` is that of what is sent, in bytes. Raises :class:`~relucid.errors.EngineError`.
    """
    ray = import_ray()
    if ray.is_initialized():
        yield
        return
    options: dict[str, Any] = {}
    if where == HERE:
        options = {
            "num_cpus": cores(),
            "include_dashboard": False,
            "object_store_memory": _ROOM + 2 * size,
        }
    elif where.startswith("ray://"):
        options = {"runtime_env": {"working_dir": os.getcwd()}}
    try:
        with _environment(_QUIET if where == HERE else {}):
            _check_answers(where)
            ray.init(where, log_to_driver=False, logging_level=logging.ERROR, **options)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise EngineError(
            f"Ray cannot be reached at {where!r}, or refuses: {error}. Give the address of a "
            "running cluster, or none for one on this machine; one that asks for a token needs "
            "Ray's RAY_AUTH_MODE=token and that token here"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()  # of a cluster that ran before, it ends the connection only


def _check_answers(where: str) -> None:
    """Raise OSError where nothing listens; Ray itself tries for more than two minutes."""
    host, colon, port = where.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


@contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def shared_out(nodes: Sequence[dict[str, Any]], jobs: int, gpus: float = 0.0) -> tuple[int, int]:
    """Return the threads of a run, and how many runs go on at once.

    A run has its processors on one machine, so no more than the smallest of them has. Raises
    :class:`~relucid.errors.EngineError` where no machine has the graphics processors that a run
    takes: Ray would wait for one without end.
    """
    has = [node["Resources"] for node in nodes if node["Alive"] and node["Resources"].get("CPU")]
    able = [one for one in has if one.get("GPU", 0.0) >= gpus]
    if has and not able:
        raise EngineError(
            f"a run is to take {gpus:g} graphics processors, and no machine of the Ray cluster has "
            f"more than {max(one.get('GPU', 0.0) for one in has):g}; give gpus= at most that, or "
            "add a machine that has them"
        )
    cpus = [int(one["CPU"]) for one in able] or [1]
    room = [int(one["GPU"] / gpus) if gpus else jobs for one in able] or [jobs]
    threads = min(*cpus, max(1, sum(cpus) // max(1, min(jobs, sum(room)))))
    return threads, sum(n // threads for n in cpus)
