"""``relucid shrink`` in a terminal: its files and forms, and what it says of wrong use."""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from relucid.records import receipt_from_json
from relucid.records.receipt import Guarantee
from support.commands import Done

SUBJECTS = """
import torch
from torch import nn

X = torch.rand(60, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0.5).long()

def model():
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    with torch.no_grad():
        made[0].weight.clamp_(-0.5, 0.5)
        made[0].bias[:] = 0.1
        made[0].bias[2:4] = -9.0  # never fires on inputs in 0 to 1
    return made

def own():
    return model(), ((X[i : i + 20], Y[i : i + 20]) for i in range(0, 60, 20)), (
        nn.functional.cross_entropy)
"""


@pytest.fixture
def shrink(relucid: Callable[..., Done]) -> Callable[..., Done]:
    return partial(relucid, "shrink")


def test_a_receipt_and_files(shrink: Callable[..., Done], folder: Path) -> None:
    """The two dead units go, the program and the weights are those of the smaller model."""
    done = shrink("mine:own", "--domain", "0,1", "--out", "small.pt2", "--out",
                  "small.safetensors", "--html", "shrink.html")  # fmt: skip
    assert done.returncode == 0
    assert "2 of 10 units removed (20%): 2 proved over the domain." in done.stdout
    assert "small.pt2" in done.stdout and "Receipt with pictures: shrink.html" in done.stdout
    assert "mine:own" in (folder / "shrink.html").read_text("utf-8")
    program = torch.export.load(folder / "small.pt2").module()
    x = torch.rand(3, 6)
    namespace: dict[str, object] = {}
    exec(SUBJECTS, namespace)
    torch.testing.assert_close(program(x), namespace["model"]()(x))  # type: ignore[operator]
    assert sum(p.numel() for p in program.parameters()) == 6 * 7 + 2 * 7


def test_json_and_pruning(shrink: Callable[..., Done]) -> None:
    """Pruned units are said to be, with the loss before and after; nothing else is printed."""
    done = shrink("mine:own", "--domain", "0,1", "--keep", "0.5", "--json")
    receipt = receipt_from_json(done.stdout)
    assert receipt.title == "mine:own"
    assert receipt.count(Guarantee.DOMAIN) == 2 and receipt.count(Guarantee.PRUNED) == 2
    assert [q.metric for q in receipt.quality][:1] == ["loss"]
    assert json.loads(done.stdout)["format"] == "relucid.receipt"


def test_the_digits(
    shrink: Callable[..., Done], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """Without a subject a network is trained so that units die, and leaves in int8."""
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(sys.modules["relucid.cli.shrink"], "DIGITS_STEPS", 60)
    done = shrink("--onnx", "small.onnx", "--int8", "dynamic")
    assert done.returncode == 0 and "Digits, trained sparse" in done.stdout
    assert "weights of matrix products in int8" in done.stdout
    assert (folder / "small.onnx").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["mine:own", "--domain", "0"], "--domain takes LOW,HIGH"),
        (["mine:own", "--out", "small.bin"], r"end the name in .onnx, .pt2, .safetensors"),
        (["mine:own", "--out", "none/small.pt2"], "a folder that exists"),
        (
            ["mine:own", "--int8", "static", "--out", "small.pt2"],
            "--int8 quantises an ONNX file",
        ),
        (["--data", "x.npz"], "--data needs a subject"),
        (["mine:own", "--domain", "2,3"], "outside the domain"),
    ],
)
def test_wrong_use(
    shrink: Callable[..., Done], folder: Path, arguments: list[str], says: str
) -> None:
    """One line, status 2, and nothing was written."""
    done = shrink(*arguments)
    assert done.returncode == 2 and says in done.stderr.replace("\n", " ")
    assert sorted(p.name for p in folder.iterdir() if p.suffix != ".pyc") in (
        ["mine.py"], ["__pycache__", "mine.py"]
    )  # fmt: skip
