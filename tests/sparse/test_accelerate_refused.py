"""Layers and models that have to stay as they are, each with the reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import relucid
from relucid.errors import DataError, ModelError
from support.sparse_models import outputs, sequence

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


class Own(nn.Module):
    """A plain block whose layers can be spoiled."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(8, 32), nn.Linear(32, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.relu(self.up(x)))


class Twice(Own):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(super().forward(x))


class Keeps(Own):
    def forward(self, x: Tensor) -> Tensor:
        self.last = self.up(x)
        return self.down(F.relu(self.last))


class ByHand(Own):
    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.relu(self.up(x)), self.down.weight, self.down.bias)


class Lora(nn.Linear):
    pass


def tied() -> nn.Module:
    model = Own()
    model.other = nn.Linear(32, 8)
    model.other.weight = model.down.weight
    return model


def viewed() -> nn.Module:
    """Both weights in one piece of memory, as some optimizers lay them."""
    model, flat = Own(), torch.randn(512)
    for i, layer in enumerate((model.up, model.down)):
        layer.weight.data = flat[256 * i : 256 * (i + 1)].view_as(layer.weight)
    return model


def in_two_places() -> nn.Module:
    model = Own()
    model.again = model.down
    return model


def changed(change: Callable[[Any], Any]) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        model = Own()
        change(model)
        return model

    return build


def lora(model: Any) -> None:
    model.down = Lora(32, 8)


def not_finite(model: Any) -> None:
    model.down.weight.data[0, 0] = float("nan")


REFUSED: dict[str, tuple[Callable[[], nn.Module], str, str]] = {
    "tied": (tied, "down", "shared with 'other.weight'"),
    "in one memory": (viewed, "down", "shared with 'up.weight'"),
    "in two places": (in_two_places, "down", "also as 'again'"),
    "called twice": (Twice, "down", "2 times"),
    "kept aside": (Keeps, "up", "kept after the pass"),
    "by hand": (ByHand, "", "not that of an nn.Linear"),
    "forward hook": (changed(lambda m: m.down.register_forward_hook(lambda *_: None)), "down",
                     "hooks"),
    "backward hook": (changed(lambda m: m.up.register_full_backward_hook(lambda *_: None)), "up",
                      "hooks"),
    "forward of its own": (changed(lambda m: setattr(m.up, "forward", m.up.forward)), "up",
                           "replaced on the instance"),
    "parametrised": (changed(lambda m: nn.utils.parametrizations.weight_norm(m.down)), "down",
                     "remove_parametrizations"),
    "LoRA": (changed(lora), "down", "Lora is another kind"),
    "NaN": (changed(not_finite), "down", "NaN or infinity"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_layers_that_have_to_stay_are_told_with_the_reason(name: str) -> None:
    build, path, why = REFUSED[name]
    model, x = build().eval(), torch.randn(2, 8)
    modules = dict(model.named_modules())
    before = outputs(model, x)
    accelerated = relucid.accelerate(model, x)
    kept = {one.path: one.why for one in accelerated.report.kept}
    assert why in kept[path]
    assert path not in accelerated.layers
    torch.testing.assert_close(outputs(model, x), before, equal_nan=True)
    accelerated.undo()
    assert dict(model.named_modules()) == modules


@pytest.mark.parametrize(("dtype", "why"), [(torch.float64, "float64"), (torch.float16, "float16")])
def test_other_dtypes_stay(dtype: torch.dtype, why: str) -> None:
    model = sequence(8, 32, 8).to(dtype)
    accelerated = relucid.accelerate(model, torch.randn(2, 8).to(dtype))
    assert not accelerated.layers and why in accelerated.report.kept[0].why


def test_small_layers_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relucid.sparse.unfit.LEAST", 1 << 16)
    kept = relucid.accelerate(sequence(8, 32, 8)).report.kept
    assert ["too small" in one.why for one in kept] == [True, True]


def test_layers_that_do_not_pay_stay() -> None:
    model, x = sequence(8, 32, 8), torch.randn(2, 8)
    with torch.no_grad():
        model[0].bias += 5.0  # no zeros
    accelerated = relucid.accelerate(model, x)
    assert (
        not accelerated.layers and type(model[2]) is nn.Linear and model[2].weight.is_contiguous()
    )
    assert ["as fast in full from" in one.why for one in accelerated.report.kept] == [True, True]


@pytest.mark.parametrize(
    ("wrap", "why"),
    [
        (nn.DataParallel, "accelerate model.module"),
        (lambda m: torch.compile(m, backend="eager"), "accelerate model._orig_mod"),
        (lambda m: torch.jit.trace(m, torch.randn(1, 8)), "TorchScript"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_wrappers_are_refused(wrap: Callable[[nn.Module], nn.Module], why: str) -> None:
    with pytest.raises(ModelError, match=why):
        relucid.accelerate(wrap(sequence(8, 32, 8)))


def test_what_is_no_model_or_no_example_is_refused() -> None:
    with pytest.raises(ModelError, match=r"2\.weight has no shape yet; run the model once"):
        relucid.accelerate(nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.LazyLinear(8)))
    with pytest.raises(ModelError):
        relucid.accelerate(nn.Linear)  # type: ignore[arg-type]
    with pytest.raises(DataError):
        relucid.accelerate(sequence(8, 32, 8), torch.randn(2, 9))
    with pytest.raises(DataError):
        relucid.accelerate(sequence(8, 32, 8), [])
