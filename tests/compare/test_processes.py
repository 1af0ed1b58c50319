"""Runs in processes: the sequential engine's results, through deaths, errors and interrupts."""

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

import pytest
import torch
from torch import nn

from relucid.compare.engines import processes
from relucid.compare.engines.processes import run
from relucid.compare.engines.sequential import run as sequential
from relucid.compare.engines.workers.answers import Failure
from relucid.compare.experiment import Job
from relucid.compare.subject import Subject
from relucid.errors import EngineError, ParameterError
from relucid.machine import cores
from relucid.records.comparison import Ending, Point
from support.engines import PATIENCE, MakeModule, Telling, Waiting, build, experiment, table
from support.networks import LOSS, digits


@pytest.fixture
def threads() -> Iterator[None]:
    """Compute here with the threads that each of two workers has."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, cores() // 2))
    yield
    torch.set_num_threads(before)


def test_the_table_is_the_sequential_engines_to_the_last_bit(
    threads: None, capfd: pytest.CaptureFixture[str]
) -> None:
    width = 12

    def local(activation: MakeModule) -> nn.Module:  # a function that no other process can import
        print("built")
        return nn.Sequential(nn.Flatten(), nn.Linear(64, width), activation(), nn.Linear(width, 10))

    def hopeless(job: Job, point: Point) -> bool:
        return job == Job("gelu", 1) and point.step == 2

    data = [(inputs.double(), targets) for inputs, targets in digits(200)]
    asked = experiment("relu", "gelu", "mish", build=local, data=data)
    torch.set_default_dtype(torch.float64)  # a setting of this process that workers must have
    try:
        expected = table(sequential(asked, asked.jobs(), report=hopeless))
        capfd.readouterr()
        runs = list(run(asked, asked.jobs(), workers=2, report=hopeless))
    finally:
        torch.set_default_dtype(torch.float32)
    assert table(runs) == expected
    assert Counter(r.ending for r in runs) == {Ending.COMPLETE: 5, Ending.PRUNED: 1}
    assert capfd.readouterr() == ("", "built\n" * 6)


def test_a_killed_worker_costs_retries_of_its_run_only(
    threads: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "RETRIES", 1)
    builder, told = Telling(tmp_path), Counter[tuple[Job, int]]()

    def kill(job: Job, point: Point) -> bool:
        told[job, point.step] += 1
        once = job.candidate == "elu" and point.step == 1
        if once or job.candidate == "mish":
            os.kill(builder.process(job.candidate), signal.SIGKILL)
        return False

    asked = experiment("relu", "elu", "mish", seeds=[0], build=builder)
    runs = {r.candidate: r for r in run(asked, asked.jobs(), workers=2, report=kill)}
    failed = runs.pop("mish")
    assert failed.ending is Ending.FAILED
    assert "its worker died 2 times: it was killed by SIGKILL" in failed.why
    others = [job for job in asked.jobs() if job.candidate != "mish"]
    assert table(runs.values()) == table(sequential(asked, others))
    assert set(told.values()) == {1}  # though points were passed again
    assert sum(job.candidate == "mish" for job, _ in told) == 2


class _Refused(Exception):
    """An error that cannot be made from its message alone, as pickle would."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")


def test_an_error_of_the_users_code_arrives_once_with_the_workers_traceback(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def broken(activation: MakeModule) -> nn.Module:
        raise FloatingPointError("no such width")

    asked = experiment("relu", "elu", build=broken)
    with pytest.raises(FloatingPointError, match="no such width") as caught:
        list(run(asked, asked.jobs(), workers=1))
    assert str(caught.value) == "no such width"
    (note,) = caught.value.__notes__
    assert note.startswith("In a worker process:")
    assert "in broken" in note
    assert capfd.readouterr() == ("", "")


def test_an_error_that_cannot_be_sent_is_told_in_words() -> None:
    error = Failure.of(_Refused("this", "because")).error()
    assert isinstance(error, EngineError)
    assert str(error) == "a run ended with _Refused: this: because"
    assert "_Refused: this: because" in error.__notes__[0]


def test_what_cannot_be_sent_is_refused_before_anything_starts() -> None:
    lock = threading.Lock()

    def locked(activation: MakeModule) -> nn.Module:
        with lock:
            return build(activation)

    asked = experiment("relu", "elu", build=locked)
    with pytest.raises(EngineError, match=r"cannot be sent.*lock.*engine='sequential'"):
        run(asked, asked.jobs())


def test_at_least_one_worker_is_asked_for() -> None:
    with pytest.raises(ParameterError, match="workers must be at least 1, not 0"):
        run(experiment("relu"), [], workers=0)


def test_nothing_to_do_is_nothing_done() -> None:
    assert list(run(experiment("relu"), [])) == []


def test_workers_load_the_data_with_the_modules_and_files_that_are_here(
    threads: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "only_here.py").write_text("TITLE = 'digits of 1998'")
    (tmp_path / "title.txt").write_text("digits of 1998")
    monkeypatch.syspath_prepend(tmp_path / "modules")
    monkeypatch.chdir(tmp_path)

    def source() -> Subject:
        from only_here import TITLE

        assert Path("title.txt").read_text() == TITLE
        Path("loaded_by").write_text(str(os.getpid()))
        return Subject(TITLE, build, digits(200, batch=20), LOSS, metric="accuracy")

    asked = experiment("relu", "elu", seeds=[0], source=source)
    found = table(run(asked, asked.jobs(), workers=1))
    torch.set_num_threads(cores())
    assert found == table(sequential(asked, asked.jobs()))
    assert int((tmp_path / "loaded_by").read_text()) != os.getpid()


def test_workers_that_die_at_once_are_not_started_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processes, "RETRIES", 1)

    def dying() -> Subject:
        os._exit(3)

    asked = experiment("relu", source=dying)
    with pytest.raises(EngineError, match="the last exited with status 3"):
        list(run(asked, asked.jobs(), workers=1))


def test_closing_early_ends_every_worker(tmp_path: Path) -> None:
    builder = Waiting(tmp_path, "elu")
    asked = experiment("relu", "elu", seeds=[0], build=builder)
    with closing(run(asked, asked.jobs(), workers=2)) as runs:
        assert next(runs).candidate == "relu"
        pids = [builder.process(name) for name in ("relu", "elu")]
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


SCRIPT = """
import signal, time, torch
from relucid.compare.engines.processes import run
from relucid.compare.experiment import Choice, Experiment
from relucid.compare.subject import Subject
import relucid

@relucid.activation(parameters={"a": relucid.Parameter(1.0)}, source="this test")
def own(m, x, a):
    return a * x / (1.0 + m.abs(x))

def build(activation):
    if isinstance(activation(), relucid.nn.ELU):
        time.sleep(3600)
    return torch.nn.Sequential(torch.nn.Linear(3, 3), activation())

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
data = [(torch.randn(100, 3), torch.randn(100, 3))]
subject = Subject("script", build, data, torch.nn.functional.mse_loss)
choices = (Choice("own", own.with_parameters(a=2.0)), Choice("elu", relucid.get("elu")))
experiment, kept = Experiment(subject, choices, "own", None, (0,), 2), []
try:
    for trained in run(experiment, experiment.jobs(), workers=1):
        kept.append(trained)
        print(trained.candidate, trained.ending, flush=True)
except KeyboardInterrupt:
    print("kept", len(kept), flush=True)
"""


@pytest.mark.parametrize(
    ("number", "status", "said"), [(signal.SIGINT, 0, "kept 1\n"), (signal.SIGKILL, -9, "")]
)
def test_no_worker_outlives_the_one_that_began_it(
    number: signal.Signals, status: int, said: str, tmp_path: Path
) -> None:
    """The script has no guard for its main part, and nothing in it can be imported."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    began = subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with began:
        assert began.stdout is not None
        assert began.stdout.readline() == "own complete\n"
        os.killpg(began.pid, number)  # as Ctrl-C in a terminal does
        # Standard error is at its end only when no worker holds it any more.
        assert began.communicate(timeout=PATIENCE) == (said, "")
        assert began.returncode == status
