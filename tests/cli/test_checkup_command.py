"""The command as a user types it: output, files, exit status, and every wrong use."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

SUBJECTS = """
import torch
from torch import nn
from torch.nn.functional import cross_entropy

def _model(bias=0.0):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    with torch.no_grad():
        model[0].bias += bias
    return model

def _data():
    return [(torch.randn(150, 4), torch.randint(2, (150,))) for _ in range(3)]

def well():
    return _model(), _data(), cross_entropy

def dead():
    return _model(-1e3), _data(), cross_entropy

def model():
    return _model()

def pair():
    return _model(), _data()

def nothing():
    return None

def four():
    return _model(), _data(), cross_entropy, 1

def five():
    return _model(), _data(), cross_entropy, None, 1

def trained():
    model = _model(-1e3)
    return model, _data(), cross_entropy, torch.optim.SGD(model.parameters(), lr=0.1)

def data():
    return _data()

def refused():
    return _model(), [torch.randn(3, 5)]

def empty():
    return _model(), []

def linear():
    return nn.Linear(4, 2), _data()

def many():
    return _model(), _data(), lambda output, target: output

def number():
    return _model(), _data(), 3

attribute = 3
"""


@pytest.fixture
def folder(folder: Path) -> Path:
    (folder / "broken.py").write_text("import a_package_that_is_not_there\n")
    return folder


def test_digits_without_a_subject_in_a_process_of_its_own(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "relucid", "checkup", "--html", "checkup.html", "--fail-on", "ill"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    assert "healthy" in done.stdout
    assert "learning rate too high" in done.stdout
    assert "Training" in done.stderr
    assert (tmp_path / "checkup.html").stat().st_size > 20_000


@pytest.mark.parametrize(
    ("subject", "limit", "status"), [("well", "ill", 0), ("dead", "ill", 1), ("dead", "tip", 1)]
)
def test_fail_on(relucid, subject: str, limit: str, status: int) -> None:
    assert relucid("checkup", f"mine:{subject}", "--fail-on", limit).returncode == status


def test_units_dead_for_every_input_of_a_domain(relucid) -> None:
    found = relucid("checkup", "mine:dead", "--domain", "-10,10", "--json")
    (record,) = json.loads(found.stdout)["checkups"]
    assert record["observation"]["sites"][0]["bounds"]["dead"] == [True] * 16
    assert "provably, for every input" in found.stdout
    assert "Bounding every input" in found.stderr and "100%" in found.stderr


def test_a_threshold_of_ones_own(relucid) -> None:
    """A layer that is dead on 450 samples is a tip where a million are asked for."""
    given = ("mine:dead", "--fail-on", "ill", "--threshold")
    assert relucid("checkup", *given, "dead_layer.minimum_samples=1e6").returncode == 0
    assert relucid("checkup", *given, "dead_layer.minimum_samples=450").returncode == 1


def test_json_is_all_that_is_printed(relucid) -> None:
    done = relucid("checkup", "mine:dead", "--json", "--steps", "2")
    assert done.returncode == 0, done.stderr
    (checkup,) = json.loads(done.stdout)["checkups"]
    assert checkup["observation"]["samples"] == 300
    assert any(f["rule"] == "dead_layer" for f in checkup["findings"])


def test_a_trial_says_what_helped(relucid, folder: Path) -> None:
    budget = ("--trial-steps", "30", "--seeds", "2", "--trial-seconds", "60")
    done = relucid("checkup", "mine:trained", "--trial", *budget, "--html", "a.html", "--json")
    assert done.returncode == 0, done.stderr
    assert "Trying" in done.stderr
    trials = json.loads(done.stdout)["checkups"][0]["trials"]
    assert (trials["steps"], trials["seeds"], trials["optimizer"]) == (
        30,
        2,
        "SGD at learning rate 0.1",
    )
    names = {tried["name"] for tried in trials["tried"]}
    assert names == {"lower_learning_rate", "reinitialise_dead", "swap_activation"}
    assert "What helped when it was tried" in (folder / "a.html").read_text()
    without = relucid("checkup", "mine:dead", "--trial", *budget)
    assert "the trial does not know" in " ".join(without.stdout.split())


def test_data_from_files_and_functions(relucid, folder: Path) -> None:
    arrays = {"inputs": np.ones((120, 4), np.float32), "targets": np.zeros(120, np.int64)}
    np.savez(folder / "a.npz", **arrays)
    np.save(folder / "a.npy", arrays["inputs"])
    torch.save({n: torch.from_numpy(a) for n, a in arrays.items()}, folder / "a.pt")
    for data in ("a.npz", "a.npy", "a.pt", "mine:data"):
        done = relucid("checkup", "mine:model", "--data", data, "--json")
        assert done.returncode == 0, done.stderr
        samples = json.loads(done.stdout)["checkups"][0]["observation"]["samples"]
        assert samples == (450 if data == "mine:data" else 120)


WRONG = [
    (["mine"], "module:function"),
    (["absent:f"], "no module 'absent'"),
    (["broken:f"], "a_package_that_is_not_there"),
    (["mine:absent"], "it offers"),
    (["mine:attribute"], "no function"),
    (["mine:nothing"], "NoneType"),
    (["mine:model"], "--data"),
    (["mine:four"], "the optimizer that mine:four returned is a int"),
    (["mine:five"], "5 values"),
    (["mine:pair", "--trial"], "needs a loss"),
    (["mine:trained", "--trial", "--seeds", "0"], "equal to 1"),
    (["mine:number"], "function of"),
    (["mine:refused"], "3, 5"),
    (["mine:empty"], "no batch"),
    (["mine:linear"], "no activation"),
    (["mine:many"], "shape"),
    (["mine:pair", "--data", "absent.npz"], "no data file"),
    (["mine:pair", "--html", "absent/x.html"], "absent"),
    (["--data", "x.npz"], "needs a subject"),
    (["mine:pair", "--fail-on", "death"], "death"),
    (["mine:pair", "--steps", "0"], "equal to 1"),
    (["mine:pair", "--domain", "0..1"], "LOW,HIGH"),
    (["mine:pair", "--domain", "1,0"], "swap the two"),
    (["mine:pair", "--domain", "-0.1,0.1"], "outside the domain"),
    (["mine:pair", "--threshold", "dead_units.shear=0.2"], "did you mean 'dead_units.share'"),
    (["mine:pair", "--threshold", "dead_units.share"], "dead_units.share=0.2"),
    (["mine:pair", "--threshold", "dead_units.share=nan"], "must be a number"),
]


@pytest.mark.parametrize(("arguments", "says"), WRONG, ids=[" ".join(w) for w, _ in WRONG])
def test_wrong_use_is_status_2_and_says_the_cure(relucid, arguments: list[str], says: str) -> None:
    done = relucid("checkup", *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert says in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_pickles_are_not_run(relucid, folder: Path) -> None:
    np.save(folder / "evil.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    done = relucid("checkup", "mine:model", "--data", "evil.npy")
    assert done.returncode == 2
    assert "allow_pickle" in done.stderr or "Object arrays" in " ".join(done.stderr.split())
