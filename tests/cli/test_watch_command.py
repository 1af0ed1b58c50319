"""``relucid watch`` as a user types it."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from relucid.cli import main
from support.commands import Done

SUBJECTS = """
import time
import torch
from torch import nn
from torch.nn.functional import cross_entropy

def _model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))

def _data():
    return [(torch.randn(20, 4), torch.randint(2, (20,))) for _ in range(5)]

def plain():
    return _model(), _data(), cross_entropy

def optimised():
    model = _model()
    return model, _data(), cross_entropy, torch.optim.SGD(model.parameters(), lr=0.0)

def _training(model, passes=7, pause=0.0, stop=None):
    def train():
        for step in range(passes):
            if step == stop:
                raise KeyboardInterrupt
            model(torch.randn(8, 4)).sum().backward()
            time.sleep(pause)
    return train

def own():
    model = _model()
    return model, _training(model)

def stopped():
    model = _model()
    return model, _training(model, stop=3)

def long():
    model = _model()
    return model, _training(model, 4000, 0.02)

def other():
    return _model(), _training(_model())

def lossless():
    return _model(), _data()

def once():
    return _model(), iter(_data()), cross_entropy

def frozen():
    other = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    return _model().requires_grad_(False), _data(), cross_entropy, other

def fails():
    model = _model()
    def train():
        model(torch.randn(8, 4))
        raise RuntimeError("the user's own")
    return model, train
"""


@pytest.fixture
def watch(relucid: Callable[..., Done]) -> Callable[..., Done]:
    return partial(relucid, "watch")


def records(done: Done) -> dict:
    """The one observation of --json."""
    (checkup,) = json.loads(done.stdout)["checkups"]
    return checkup["observation"]


def test_without_a_subject_the_digits_are_learned(watch: Callable[..., Done]) -> None:
    done = watch("--steps", "40", "--html", "seen.html")
    assert done.returncode == 0, done.stderr
    assert "rate too high" in done.stdout and "in 40 passes" in " ".join(done.stdout.split())
    assert "step 40 of 40, loss" in done.stderr and "3 sites" in done.stderr
    assert Path("seen.html").stat().st_size > 20_000


@pytest.mark.parametrize(
    ("arguments", "passes"),
    [
        (("mine:own",), 7),
        (("mine:plain",), 5),
        (("mine:plain", "--epochs", "3"), 15),
        (("mine:plain", "--steps", "12"), 12),
        (("mine:plain", "--epochs", "1", "--steps", "12"), 5),
        (("mine:once",), 5),
        (("mine:optimised", "--every", "2"), 3),
    ],
)
def test_each_kind_of_subject(watch: Callable[..., Done], arguments: tuple, passes: int) -> None:
    done = watch(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    seen = records(done)
    (site,) = seen["sites"]
    assert seen["batches"] == passes and site["history"]["passes"] == [1] * passes
    assert site["gradient"]["batches"] == passes and seen["mode"] == "train"


def test_the_optimizer_is_the_subjects_own_else_adam(watch: Callable[..., Done]) -> None:
    """At learning rate 0 the weights stay; without an optimizer the report says what trained."""
    layers = [
        records(watch(f"mine:{name}", "--json"))["sites"][0] for name in ("optimised", "plain")
    ]
    first, second = (layer["layer"]["weight_rms"] for layer in layers)
    assert first != second
    assert "Trained by Adam" in watch("mine:plain").stdout
    assert "Trained by" not in watch("mine:optimised").stdout


def test_ctrl_c_keeps_what_was_counted(watch: Callable[..., Done]) -> None:
    done = watch("mine:stopped", "--html", "seen.html")
    assert done.returncode == 130
    assert "in 3 passes" in done.stdout and "Ended by Ctrl-C." in done.stdout
    assert Path("seen.html").exists()


COLOUR = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
ROW = r"1 +relu +\S*[█░]{8} +\d"
"""The line of the site in the live view."""


def test_a_live_view_in_a_terminal_and_a_real_interrupt(folder: Path) -> None:
    """A pseudo-terminal for standard error; the signal comes once the view is there."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "relucid", "watch", "mine:long", "--json"]
    environment = {**os.environ, "COLUMNS": "80", "LINES": "24", "TERM": "xterm"}
    run = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=theirs, text=True, env=environment
    )
    os.close(theirs)
    seen = ""
    try:
        while not re.search(ROW, COLOUR.sub("", seen)):  # the first view may come before a pass
            seen += os.read(ours, 4096).decode(errors="replace")
        run.send_signal(signal.SIGINT)
        told, _ = run.communicate(timeout=300)
    finally:
        run.kill()
        os.close(ours)
    assert run.returncode == 130
    passes = records(Done(0, told, ""))["batches"]
    assert 0 < passes < 4000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("mine:lossless",), "(model, train)"),
        (("mine:own", "--steps", "3"), "--epochs and --steps"),
        (("mine:other",), "did not call the model that was returned"),
        (("mine:once", "--epochs", "2"), "used up after one pass"),
        (("mine:frozen",), "no parameter that can be trained"),
        (("--data", "x.npz"), "need a subject"),
        (("mine:nothing_there",), "no function"),
        (("mine:own", "--html", "no/such/folder.html"), "no/such"),
        (("mine:own", "--every", "0"), "--every"),
    ],
)
def test_wrong_use_ends_with_2_and_the_cure(
    watch: Callable[..., Done], arguments: tuple, said: str
) -> None:
    done = watch(*arguments)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_an_error_of_the_users_training_is_their_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["relucid", "watch", "mine:fails"])
    with pytest.raises(RuntimeError, match="the user's own"):
        main()
    assert "1 pass watched" in capfd.readouterr().err
