"""``relucid compare`` in a terminal: its forms, its status, and what it says of wrong use."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from support.commands import Done

SUBJECTS = """
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

def taking(activation):
    made = nn.Sequential(nn.Linear(6, 8), activation(), nn.Linear(8, 2))
    return made, (X, Y), nn.functional.cross_entropy

def deaf(activation):
    return model(), (X, Y), nn.functional.cross_entropy

def bare():
    return nn.Linear(6, 2), (X, Y), nn.functional.cross_entropy

def lossless():
    return model(), (X, Y)

def optimised():
    made = model()
    return made, (X, Y), nn.functional.cross_entropy, torch.optim.SGD(made.parameters(), lr=0.1)
"""
SHORT = ("--among", "relu,tanh", "--seeds", "2", "--steps", "5", "--engine", "sequential")


@pytest.fixture
def compare(relucid: Callable[..., Done]) -> Callable[..., Done]:
    return partial(relucid, "compare")


def test_a_subject_is_compared_shown_saved_and_kept(compare: Callable[..., Done]) -> None:
    done = compare("mine:own", *SHORT, "--html", "page.html", "--metric", "accuracy")
    assert done.returncode == 0, done.stderr
    assert "tanh" in done.stdout and "baseline" in done.stdout
    assert "Report with pictures: page.html" in done.stdout
    assert "<html" in Path("page.html").read_text()
    again = json.loads(compare("mine:own", *SHORT, "--metric", "accuracy", "--json").stdout)
    assert len(again["comparison"]["runs"]) == 4


def test_the_recommendation_is_one_line(compare: Callable[..., Done]) -> None:
    done = compare("mine:own", *SHORT, "--recommend")
    assert done.returncode == 0 and len(done.stdout.strip().splitlines()) == 1


def test_a_function_that_takes_the_activation_is_given_it(compare: Callable[..., Done]) -> None:
    done = compare("mine:taking", *SHORT, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["comparison"]
    assert {c["name"]: c["swapped"] for c in found["candidates"]} == {"relu": 1, "tanh": 1}


def test_options_of_a_task_are_its_own(compare: Callable[..., Done]) -> None:
    rows = "".join(f"{i % 4},{i * i % 9 / 2},{i % 7 / 2}\n" for i in range(90))
    Path("table.csv").write_text(f"a,b,c\n{rows}")
    options = ("--target", "b", "--samples", "80", "--predict", "number", "--header")
    done = compare("table.csv", *options, *SHORT)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "table.csv: b (number) from 2 columns, MLP" in said
    assert "on 64 samples" in said and "16 held-out samples" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("mine:lossless", *SHORT), "(model, data, loss)"),
        (("mine:optimised", *SHORT), "function of parameters"),
        (("mine:own", "--among", "relu,gelo"), "gelu"),
        (("mine:deaf", *SHORT), "no site changed; use the argument"),
        (("mine:bare", *SHORT), "calls no elementwise activation that could be another; let its"),
        (("mine:own", *SHORT, "--budget", "soon"), "--budget"),
        (("mine:own", *SHORT, "--store", "mysql://x"), "mysql"),
        (("no/such/folder", *SHORT), "no/such/folder"),
        (("--data", "x.npz"), "needs a subject"),
        (("mine:own", *SHORT, "--model", "cnn"), "--model is for built-in tasks; let mine:own"),
        (("digits", "--no-header"), "take no 'header'; their options are model, samples"),
        (("mine:own", *SHORT, "--gpus", "1"), "what a run takes on a Ray cluster"),
        (("mine:own", *SHORT, "--html", "no/such/page.html"), "no/such"),
    ],
)
def test_wrong_use_ends_with_2_and_the_cure(
    compare: Callable[..., Done], arguments: tuple, said: str
) -> None:
    done = compare(*arguments)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
