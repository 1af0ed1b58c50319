"""Every activation, as ONNX Runtime computes it from the file, against its declaration.

All of them leave in one file, since the exporter takes seconds to begin.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import relucid

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

USUAL = [-100.0, -50.0, -20.0, -17.0, -9.0, -5.0, -1.0, -1e-3, -1e-8, -1e-20, 0.0,
         1e-20, 1e-8, 1e-3, 1.0, 5.0, 9.0, 17.0, 20.0, 88.8, 100.0]  # fmt: skip
FAR = [-1e30, -1e4, 1e4, 1e30]
ODD = [np.nan, np.inf, -np.inf]
POINTS = np.array(USUAL + FAR + ODD, dtype=np.float32)

TORCH: dict[str, nn.Module] = {
    name: getattr(nn, name)()
    for name in (
        "LogSigmoid", "SiLU", "Mish", "RReLU", "Softplus", "Sigmoid", "GELU", "ELU",
    )
} | {"Softplus(2, 3)": nn.Softplus(2.0, 3.0), "GELU(tanh)": nn.GELU("tanh")}  # fmt: skip
OWN: dict[str, nn.Module] = {
    f"relucid.{name}": relucid.nn.make(name)
    for name, function in relucid.catalogue().items()
    if function.kind == "elementwise"
} | {
    "relucid.silu(beta=3)": relucid.nn.make("silu", beta=3.0),
    "relucid.silu(learned)": relucid.nn.make("silu", learn="beta"),
    "relucid.elu(alpha=0.5)": relucid.nn.make("elu", alpha=0.5),
    "relucid.softplus(2, 3)": relucid.nn.make("softplus", beta=2.0, threshold=3.0),
}
CALLS = {
    "F.silu": (F.silu, relucid.get("silu")),
    "F.logsigmoid": (F.logsigmoid, relucid.get("logsigmoid")),
    "F.glu": (lambda x: F.glu(torch.cat([torch.ones_like(x), x], -1)), relucid.get("sigmoid")),
    "relucid.get": (relucid.get("mish"), relucid.get("mish")),
    "expm1": (torch.expm1, np.expm1),
    "log1p": (torch.log1p, np.log1p),
    "erfc": (torch.erfc, None),
}
ABSOLUTE = {
    # ONNX's Gelu and Elu are accurate to an absolute error, as PyTorch's GELU is.
    **dict.fromkeys(("GELU", "GELU(tanh)", "relucid.gelu", "relucid.gelu_tanh"), 2e-7),
    "ELU": 1e-7,
}


class Every(nn.Module):
    """All of them beside each other."""

    def __init__(self) -> None:
        super().__init__()
        self.every = nn.ModuleList([*TORCH.values(), *OWN.values()])

    def forward(self, x: Tensor) -> list[Tensor]:
        return [m(x) for m in self.every] + [call(x) for call, _ in CALLS.values()]


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What ONNX Runtime computes at the points, for a batch of one more row than exported."""
    path = tmp_path_factory.mktemp("every") / "every.onnx"
    relucid.export(Every(), path, torch.linspace(-3.0, 3.0, 2 * len(POINTS)).reshape(2, -1))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (name,) = (x.name for x in session.get_inputs())
    values = session.run(None, {name: np.stack([POINTS] * 3)})
    assert all(np.array_equal(y[0], y[2], equal_nan=True) for y in values)
    return dict(zip([*TORCH, *OWN, *CALLS], (y[2] for y in values), strict=True))


def truth(name: str) -> Any:
    """The declared function in float64."""
    x = POINTS.astype(np.float64)
    if name == "erfc":
        from scipy.special import erfc

        return erfc(x)
    if name in CALLS:
        with np.errstate(all="ignore"):
            return np.asarray(CALLS[name][1](x))
    module = {**TORCH, **OWN}[name]
    values = (p.item() for p in module.parameters())
    learned = dict(zip(getattr(module, "learn", ()), values, strict=True))
    function = relucid.get(getattr(module, "_function", module))
    return function.with_parameters(**learned)(x) if learned else function(x)


@pytest.mark.parametrize("name", [*TORCH, *OWN, *CALLS])
def test_the_file_computes_the_declared_function(computed: dict[str, Any], name: str) -> None:
    """At ordinary and far points, at infinity and NaN, to the digits that float32 has."""
    found, expected = computed[name], truth(name)
    with np.errstate(over="ignore"):
        rounded = expected.astype(np.float32)
    reach = 8e-6 * np.abs(expected) + ABSOLUTE.get(name, 1e-36)
    with np.errstate(invalid="ignore"):
        near = np.abs(found - expected) <= reach
    same = (found == rounded) | (np.isnan(found) & np.isnan(expected))
    wrong = ~(near | same)
    assert not wrong.any(), list(zip(POINTS[wrong], found[wrong], expected[wrong], strict=True))
