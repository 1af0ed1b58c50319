"""``relucid compare`` in a terminal: its forms, its status, and what it says of wrong use."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from support.commands import Done

SUBJECT = """
import torch
from torch import nn

torch.manual_seed(0)
X = torch.randn(120, 6)
Y = (X[:, 0] > 0).long()
PAIRS = [(X, Y)]

def model():
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))

def own():
    return model(), (X, Y), nn.functional.cross_entropy, lambda p: torch.optim.SGD(p, lr=0.1)

def lossless():
    return model(), (X, Y)

def optimised():
    made = model()
    return made, (X, Y), nn.functional.cross_entropy, torch.optim.SGD(made.parameters(), lr=0.1)
"""
SHORT = ("--among", "relu,tanh", "--seeds", "2", "--steps", "5", "--engine", "sequential")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a subject and a store of its own, made the current one."""
    (tmp_path / "ours.py").write_text(SUBJECT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.fixture
def compare(relucid: Callable[..., Done]) -> Callable[..., Done]:
    return partial(relucid, "compare")


def test_a_subject_is_compared_shown_saved_and_kept(compare: Callable[..., Done]) -> None:
    done = compare("ours:own", *SHORT, "--html", "page.html", "--metric", "accuracy")
    assert done.returncode == 0, done.stderr
    assert "tanh" in done.stdout and "baseline" in done.stdout
    assert "Report with pictures: page.html" in done.stdout
    assert "<html" in Path("page.html").read_text()
    again = json.loads(compare("ours:own", *SHORT, "--metric", "accuracy", "--json").stdout)
    runs = (
        again["comparisons"][0]["runs"] if "comparisons" in again else again["comparison"]["runs"]
    )
    assert len(runs) == 4


def test_the_recommendation_is_one_line(compare: Callable[..., Done]) -> None:
    done = compare("ours:own", *SHORT, "--recommend")
    assert done.returncode == 0 and len(done.stdout.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ours:lossless", *SHORT), "(model, data, loss)"),
        (("ours:optimised", *SHORT), "function of parameters"),
        (("ours:own", "--among", "relu,gelo"), "gelu"),
        (("ours:own", *SHORT, "--budget", "soon"), "--budget"),
        (("ours:own", *SHORT, "--store", "mysql://x"), "mysql"),
        (("no/such/folder", *SHORT), "no/such/folder"),
        (("--data", "x.npz"), "needs a subject"),
        (("ours:own", *SHORT, "--html", "no/such/page.html"), "no/such"),
    ],
)
def test_wrong_use_ends_with_2_and_the_cure(
    compare: Callable[..., Done], arguments: tuple, said: str
) -> None:
    done = compare(*arguments)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
