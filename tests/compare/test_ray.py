"""Runs on a Ray cluster: the sequential engine's results, and through deaths of workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from relucid.compare.engines import ray as engine
from relucid.compare.engines.ray import run
from relucid.compare.engines.sequential import run as sequential
from relucid.compare.engines.workers.cluster import import_ray, shared_out
from relucid.compare.experiment import Job
from relucid.compare.subject import Subject
from relucid.errors import EngineError, MissingDependencyError
from relucid.records.comparison import Ending, Point
from support.engines import (
    PATIENCE,
    MakeModule,
    Telling,
    Waiting,
    experiment,
    table,
    wait_until_gone,
)

ray = import_ray()

NO_WAITING = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
"""Ray's workers give way to all else (niceness 15): here that is the other half of the tests."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Start a cluster of two workers, and return its address."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in NO_WAITING.items():
            patch.setenv(name, value)
        context = ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=100 * 2**20,
        )
    yield context.address_info["gcs_address"]
    ray.shutdown()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Compute here with the threads that each of two workers has."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_sixty_runs_and_a_killed_worker_make_the_same_table(cluster: str, tmp_path: Path) -> None:
    builder = Waiting(tmp_path, "elu")

    def kill() -> None:
        os.kill(builder.process("elu"), signal.SIGKILL)
        (tmp_path / "go").touch()

    names = ("relu", "elu", "gelu", "silu", "mish", "softplus")
    asked = experiment(*names, seeds=range(10), build=builder)
    killer = threading.Thread(target=kill)
    killer.start()
    runs = list(run(asked, asked.jobs()))
    killer.join()
    assert len(runs) == 60
    assert table(runs) == table(sequential(asked, asked.jobs()))
    assert ray.is_initialized()  # a cluster that ran before goes on


def test_reports_are_answered_here_and_a_run_that_always_dies_has_failed(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "RETRIES", 1)
    builder, told = Telling(tmp_path), Counter[tuple[Job, int]]()

    def report(job: Job, point: Point) -> bool:
        told[job, point.step] += 1
        if job.candidate == "mish":
            os.kill(builder.process("mish"), signal.SIGKILL)
        return job.candidate == "silu" and point.step == 2

    asked = experiment("relu", "mish", "silu", seeds=[0], build=builder)
    runs = {r.candidate: r for r in run(asked, asked.jobs(), report=report)}
    failed = runs.pop("mish")
    assert failed.ending is Ending.FAILED
    assert "died 2 times" in failed.why
    assert set(told.values()) == {1}
    assert sum(job.candidate == "mish" for job, _ in told) == 2
    others = [job for job in asked.jobs() if job.candidate != "mish"]
    assert table(runs.values()) == table(sequential(asked, others, report=report))
    assert runs["silu"].ending is Ending.PRUNED


def test_an_error_of_the_users_code_is_raised_as_it_was(cluster: str) -> None:
    def broken(activation: MakeModule) -> nn.Module:
        raise FloatingPointError("no such width")

    asked = experiment("relu", "elu", build=broken)
    with pytest.raises(FloatingPointError, match="no such width") as caught:
        list(run(asked, asked.jobs()))
    assert str(caught.value) == "no such width"
    assert "in broken" in caught.value.__notes__[0]


def test_closing_early_takes_back_what_is_under_way(cluster: str, tmp_path: Path) -> None:
    builder = Waiting(tmp_path, "elu")
    asked = experiment("relu", "elu", seeds=[0], build=builder)
    with closing(run(asked, asked.jobs())) as runs:
        assert next(runs).candidate == "relu"
        pid = builder.process("elu")
    wait_until_gone(pid)


def test_workers_of_another_version_are_refused(
    cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = {"Python": "3.11", "torch": "1.0", "relucid": "0.0"}
    monkeypatch.setattr(engine, "versions", lambda: here)
    asked = experiment("relu", "elu")
    with pytest.raises(EngineError, match=r"has torch .* and not 1\.0, relucid .* and not 0\.0"):
        list(run(asked, asked.jobs()))


def test_a_module_that_workers_lack_is_named(cluster: str) -> None:
    def source() -> Subject:
        import only_on_the_laptop

        raise AssertionError(only_on_the_laptop)

    asked = experiment("relu", "elu", source=source)
    with pytest.raises(EngineError, match=r"cannot import 'only_on_the_laptop'.*working_dir"):
        list(run(asked, asked.jobs()))


def test_without_ray_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match="pip install ray"):
        run(experiment("relu"), [])


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_where_nothing_listens_the_address_is_named(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    asked = experiment("relu")
    with pytest.raises(EngineError, match=rf"cannot be reached at '{address}'.*refused"):
        list(run(asked, asked.jobs(), address=address))


@pytest.mark.parametrize(
    ("cpus", "jobs", "threads", "at_once"),
    [
        ([2], 60, 1, 2),
        ([16], 4, 4, 4),
        ([4, 4], 1, 4, 2),  # a run has its processors on one machine
        ([8, 2], 2, 2, 5),
        ([0, 4], 4, 1, 4),  # a head that computes nothing
        ([], 3, 1, 1),  # a cluster that is still to grow
    ],
)
def test_processors_are_shared_out(cpus: list[int], jobs: int, threads: int, at_once: int) -> None:
    nodes: list[dict[str, Any]] = [{"Alive": True, "Resources": {"CPU": n}} for n in cpus]
    gone = {"Alive": False, "Resources": {}}
    assert shared_out([*nodes, gone], jobs) == (threads, at_once)


def test_runs_that_take_graphics_processors_go_where_these_are() -> None:
    """Two such machines of 8 processors: of two runs at a time on each, each run gets 4."""
    nodes = [{"Alive": True, "Resources": r} for r in ({"CPU": 64}, *2 * ({"CPU": 8, "GPU": 1},))]
    assert shared_out(nodes, 60, 0.5) == (4, 4)
    with pytest.raises(EngineError, match=r"to take 2 graphics .* has more than 1; give gpus="):
        shared_out(nodes, 60, 2.0)


SCRIPT = """
import os, signal, sys, torch
from relucid.compare.engines.ray import run
from relucid.compare.experiment import Choice, Experiment
from relucid.compare.subject import Subject
import relucid

def build(activation):
    print("built")
    if not os.path.exists("died"):
        open("died", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return torch.nn.Sequential(torch.nn.Linear(3, 3), activation())

data = [(torch.randn(100, 3), torch.randn(100, 3))]
subject = Subject("script", build, data, torch.nn.functional.mse_loss)
choices = (Choice("relu", relucid.get("relu")),)
experiment = Experiment(subject, choices, "relu", None, (0,), 2)
for address in (None, *sys.argv[1:]):
    runs = run(experiment, experiment.jobs(), report=lambda *_: False, address=address)
    print(sorted(trained.candidate for trained in runs))
    print(sys.modules["ray"].is_initialized())
"""


def test_a_cluster_of_its_own_is_ended_and_another_is_left(cluster: str, tmp_path: Path) -> None:
    """Nothing but what the script prints is on the terminal, though a worker is killed."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, script, cluster],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=tmp_path,
        env={**os.environ, **NO_WAITING},
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout == "['relu']\nFalse\n" * 2
    assert ray.cluster_resources()["CPU"] == 2
