"""The command as a user types it: output, files, exit status, and every wrong use."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(SUBJECTS)
    (tmp_path / "broken.py").write_text("import a_package_that_is_not_there\n")
    return tmp_path


def relucid(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "relucid", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "80", "OMP_NUM_THREADS": "1"},
    )


def test_digits_without_a_subject(folder: Path) -> None:
    done = relucid(folder, "checkup", "--html", "checkup.html", "--fail-on", "ill")
    assert done.returncode == 1, done.stderr
    assert "healthy" in done.stdout
    assert "learning rate too high" in done.stdout
    assert "Training" in done.stderr
    assert (folder / "checkup.html").stat().st_size > 20_000


@pytest.mark.parametrize(
    ("subject", "limit", "status"), [("well", "ill", 0), ("dead", "ill", 1), ("dead", "tip", 1)]
)
def test_fail_on(folder: Path, subject: str, limit: str, status: int) -> None:
    assert relucid(folder, "checkup", f"mine:{subject}", "--fail-on", limit).returncode == status


def test_json_is_all_that_is_printed(folder: Path) -> None:
    done = relucid(folder, "checkup", "mine:dead", "--json", "--steps", "2")
    assert done.returncode == 0, done.stderr
    (checkup,) = json.loads(done.stdout)["checkups"]
    assert checkup["observation"]["samples"] == 300
    assert any(f["rule"] == "dead_layer" for f in checkup["findings"])


def test_data_from_files_and_functions(folder: Path) -> None:
    import numpy as np
    import torch

    arrays = {"inputs": np.ones((120, 4), np.float32), "targets": np.zeros(120, np.int64)}
    np.savez(folder / "a.npz", **arrays)
    np.save(folder / "a.npy", arrays["inputs"])
    torch.save({n: torch.from_numpy(a) for n, a in arrays.items()}, folder / "a.pt")
    for data in ("a.npz", "a.npy", "a.pt", "mine:data"):
        done = relucid(folder, "checkup", "mine:model", "--data", data, "--json")
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
    (["mine:four"], "4 values"),
    (["mine:number"], "function of"),
    (["mine:refused"], "3, 5"),
    (["mine:empty"], "no batch"),
    (["mine:linear"], "no activation"),
    (["mine:many"], "shape"),
    (["mine:pair", "--data", "absent.npz"], "no data file"),
    (["mine:pair", "--html", "absent/x.html"], "absent"),
    (["--data", "x.npz"], "needs a subject"),
    (["mine:pair", "--fail-on", "death"], "death"),
    (["mine:pair", "--steps", "0"], "0"),
]


@pytest.mark.parametrize(("arguments", "says"), WRONG, ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_wrong_use_is_status_2_and_says_the_cure(folder: Path, arguments: list[str], says: str) -> None:
    done = relucid(folder, "checkup", *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert says in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_pickles_are_not_run(folder: Path) -> None:
    import numpy as np

    np.save(folder / "evil.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    done = relucid(folder, "checkup", "mine:model", "--data", "evil.npy")
    assert done.returncode == 2
    assert "allow_pickle" in done.stderr or "Object arrays" in " ".join(done.stderr.split())
