"""Files of models: run by ONNX Runtime here too, compared, replaced as a whole or not at all."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import relucid
from relucid.errors import (
    DataError,
    ExportError,
    MissingDependencyError,
    OutputError,
    ParameterError,
)
from relucid.export import perform

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


class Net(nn.Module):
    """Convolutions, a norm with its buffers, and two inputs of which one is by keyword."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 16, 3)
        self.norm = nn.BatchNorm2d(16)
        self.act = nn.SiLU()
        self.head = nn.Linear(16 * 36, 128)
        self.last = nn.Linear(128, 5)

    def forward(self, x: Tensor, *, scale: Tensor) -> dict[str, Tensor]:
        h = self.act(self.norm(self.stem(x))).flatten(1)
        h = nn.functional.logsigmoid(self.head(h) * 9.0)
        return {"scores": self.last(h) * scale, "hidden": h}


class Fixed(nn.Module):
    """Its batch is written into forward."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.view(4, 12))


class Counts(nn.Module):
    """Never the same."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x * self.calls


def batch(size: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(size)
    return {"x": torch.randn(size, 3, 8, 8, generator=generator), "scale": torch.tensor(2.0)}


def run(path: Path, inputs: dict[str, Tensor]) -> list[Any]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {name: x.numpy() for name, x in inputs.items()})


@pytest.fixture(scope="module")
def net() -> Net:
    return Net()


def test_onnx_takes_any_batch_and_the_model_is_as_it_was(net: Net, tmp_path: Path) -> None:
    """From an example of one; outputs are the model's on another size; no path of ours inside."""
    path, state = tmp_path / "net.onnx", copy.deepcopy(net.state_dict())
    random, level = torch.get_rng_state(), logging.getLogger("torch").level
    found = relucid.export(net, path, batch(1))
    assert net.training and torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(x, state[name]) for name, x in net.state_dict().items())
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in net.modules())
    assert found.batch is None and found.samples == 1 + 3 and 0 < found.largest < 1e-5
    with torch.no_grad():
        expected = copy.deepcopy(net).eval()(**batch(5))
    for one, other in zip(run(path, batch(5)), expected.values(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    content = path.read_bytes()
    assert found.bytes == len(content) and str(Path(__file__).parent).encode() not in content
    assert logging.getLogger("torch").level == level
    assert "any size" in str(found) and "ONNX" in str(found)


def test_int8(net: Net, tmp_path: Path) -> None:
    """A quarter of the weights' bytes; the difference is told and that of int8."""
    data = [batch(8) for _ in range(3)]
    dynamic = relucid.export(net, tmp_path / "d.onnx", batch(2), int8="dynamic")
    static = relucid.export(net, tmp_path / "s.onnx", batch(2), int8="static", data=data)
    for found, kinds in ((dynamic, {"MatMulInteger"}), (static, {"QuantizeLinear"})):
        assert found.bytes < 0.35 * found.weights
        assert 1e-4 < found.rms < 0.05
        assert kinds <= operators(found.path)
    with torch.no_grad():
        expected = copy.deepcopy(net).eval()(**batch(8))["hidden"]
    hidden = run(static.path, batch(8))[1]
    # Where activations leave as formulas, what is inside of them is not rounded to int8.
    assert np.abs(hidden - expected.numpy()).max() < 0.05 * expected.abs().max()
    assert static.samples == 2 + 24 + 6


def operators(path: Path) -> set[str]:
    import onnx

    return {node.op_type for node in onnx.load(path).graph.node}


def test_a_program_of_torch_export_runs_without_the_models_code(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 8), relucid.nn.Mish(), nn.Linear(8, 2))
    found = relucid.export(model, tmp_path / "net.pt2", torch.randn(2, 4))
    loaded = torch.export.load(found.path).module()
    x = torch.randn(7, 4)
    torch.testing.assert_close(loaded(x), model(x))
    assert not [n for n in torch.export.load(found.path).graph.nodes if "relucid" in str(n.target)]


def test_weights(tmp_path: Path) -> None:
    """With a weight that two layers share, and one that is NaN; no example is needed."""
    from safetensors.torch import load_model

    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    with torch.no_grad():
        model[0].bias[0] = torch.nan
    found = relucid.export(model, tmp_path / "net.safetensors")
    twin = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    twin[2].weight = twin[0].weight
    load_model(twin, found.path)
    pairs = zip(model.parameters(), twin.parameters(), strict=True)
    assert all(torch.equal(a.nan_to_num(9.0), b.nan_to_num(9.0)) for a, b in pairs)
    assert found.samples == 0 and "to the last bit" in str(found)


def test_a_fixed_batch_is_told(tmp_path: Path) -> None:
    found = relucid.export(Fixed(), tmp_path / "net.pt2", torch.randn(4, 3, 4))
    assert found.batch == 4 and "batches of 4 alone" in str(found)


def test_a_file_that_is_not_the_model_is_not_left(tmp_path: Path) -> None:
    """What was at the path is still there, and nothing beside it."""
    path = tmp_path / "net.pt2"
    path.write_text("the one before")
    with pytest.raises(ExportError, match=r"differ from the model's by .* between calls"):
        relucid.export(Counts(), path, torch.randn(3, 4))
    assert path.read_text() == "the one before" and list(tmp_path.iterdir()) == [path]


class Branches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Decomposes(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.svdvals(x)


MODEL = nn.Linear(3, 2)
X = torch.randn(2, 3)


@pytest.mark.parametrize(
    ("model", "name", "options", "error", "says"),
    [
        (MODEL, "net.bin", {"example": X}, ParameterError, r"end the name in \.onnx, \.pt2"),
        (MODEL, "net.pt2", {"example": X, "int8": True}, ParameterError, "ONNX only"),
        (MODEL, "net.onnx", {"example": X, "int8": "static"}, ParameterError, "needs data="),
        (MODEL, "net.onnx", {"example": X, "int8": "4bit"}, ParameterError, "'dynamic'"),
        (MODEL, "net.onnx", {}, DataError, "needs an example"),
        (MODEL, "net.onnx", {"example": torch.randn(2, 4)}, DataError, "refuses batch 0"),
        (MODEL, "none/net.onnx", {"example": X}, OutputError, "a folder that exists"),
        (Branches(), "net.pt2", {"example": X}, ExportError, r"torch\.where"),
        (Decomposes(), "net.onnx", {"example": X}, ExportError, r"_linalg_svd.*\.pt2"),
    ],
)
def test_errors_name_the_cure(
    tmp_path: Path, model: nn.Module, name: str, options: Any, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        relucid.export(model, tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perform, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"onnxscript and .*relucid\[export\]"):
        relucid.export(MODEL, tmp_path / "net.onnx", X)
