"""Which blocks are found: whatever is claimed is tried, by zeroing all that is claimed to be free.

The oracle is the model itself: where a layer is said to be the first of a block, all of its outputs
up to the level are set to 0, and where one is said to be a partner, its outputs where the gate's
are at most the level; the model's outputs must not change by a bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import relucid
from relucid.probes.batches import Batch
from relucid.sparse.blocks import Block, Blocks
from relucid.sparse.find import find

pytestmark = pytest.mark.usefixtures("quick")
WIDTH, HIDDEN = 8, 32
PLACES = ("down", "first", "partner")
Hidden = Callable[[Tensor], Tensor]


@relucid.activation(kinks=[relucid.Kink(0.25, 0.0)], source="a test's")
def gap_relu(m: Any, x: Any) -> Any:
    """Pass what is above a quarter."""
    return m.where(x > 0.25, x, 0.0 * x)


class Plain(nn.Module):
    """``down(hidden(up(x)))`` with something else of z beside it."""

    def __init__(self, hidden: Hidden, beside: Hidden | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.up, self.down = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)
        self.hidden, self.beside = hidden, beside

    def forward(self, x: Tensor) -> Tensor:
        z = self.up(x)
        other = 0.0 if self.beside is None else self.beside(z)
        return self.down(self.hidden(z)) + other


class Gated(nn.Module):
    """``down(combine(gate(x), up(x)))``."""

    def __init__(self, combine: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.gate, self.up = nn.Linear(WIDTH, HIDDEN), nn.Linear(WIDTH, HIDDEN)
        self.down, self.combine = nn.Linear(HIDDEN, WIDTH), combine
        self.act = relucid.nn.make("squared_relu")

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.combine(self, x))


class Side(nn.Module):
    """Models side by side, so that one graph shows them all."""

    def __init__(self, models: Iterable[nn.Module]) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(model(x) for model in self.models)


def blocks_of(model: nn.Module, x: Tensor) -> Blocks:
    return find(model.eval(), Batch((x,), {}, None))


Searched = dict[str, tuple[nn.Module, Blocks]]


def searched(models: Mapping[str, nn.Module]) -> Searched:
    """Search models of one kind in one graph; return each with what was found in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("relucid.sparse.unfit.LEAST", 1)
        found = blocks_of(Side(models.values()), torch.randn(64, WIDTH))
    return {name: (model, _part(found, f"models.{i}."))
            for i, (name, model) in enumerate(models.items())}  # fmt: skip


def _part(found: Blocks, prefix: str) -> Blocks:
    """Return what was found in one of the models, by its own paths."""
    blocks = [
        replace(one, **{name: getattr(one, name).removeprefix(prefix) for name in PLACES})
        for one in found.found if any(path.startswith(prefix) for path in one.layers)
    ]  # fmt: skip
    refused = {path: why for path, why in found.refused.items() if path.startswith(prefix)}
    return Blocks(blocks, {path.removeprefix(prefix): why for path, why in refused.items()})


def is_unchanged(model: nn.Module, blocks: list[Block], x: Tensor) -> bool:
    """Whether all that is claimed to be free can be 0."""
    with torch.no_grad():
        before = model(x)
        with ExitStack() as stack:
            shut: dict[str, Tensor] = {}

            def first(block: Block) -> Any:
                def hook(module: nn.Module, args: Any, z: Tensor) -> Tensor:
                    shut[block.first] = z <= block.level
                    return torch.where(shut[block.first], 0.0, z)

                return hook

            def partner(block: Block) -> Any:
                return lambda module, args, u: torch.where(shut[block.first], 0.0, u)

            for block in blocks:
                for path, make in ((block.first, first), (block.partner, partner)):
                    if path:
                        handle = model.get_submodule(path).register_forward_hook(make(block))
                        stack.callback(handle.remove)
            after = model(x)
    return torch.equal(before, after)


RECTIFIERS: dict[str, tuple[Hidden, float]] = {
    "relu": (F.relu, 0.0),
    "relu_": (lambda z: z.relu_(), 0.0),
    "clamp": (lambda z: z.clamp(min=0), 0.0),
    "clamp_min": (lambda z: torch.clamp_min(z, 0.0), 0.0),
    "clamp to 5": (lambda z: z.clamp(0, 5), 0.0),
    "maximum": (lambda z: torch.maximum(z, torch.zeros_like(z)), 0.0),
    "maximum of a number": (lambda z: torch.maximum(torch.tensor(0.0), z), 0.0),
    "where": (lambda z: torch.where(z > 0, z, 0.0), 0.0),
    "where not": (lambda z: torch.where(z <= 0, torch.zeros_like(z), z), 0.0),
    "where squared": (lambda z: torch.where(z > 0, z * z, 0.0), 0.0),
    "mask": (lambda z: z * (z > 0), 0.0),
    "float mask": (lambda z: (z > 0).to(z.dtype) * z, 0.0),
    "threshold": (lambda z: F.threshold(z, 0.25, 0.0), 0.25),
    "threshold by a mask": (lambda z: z * (z > 0.25), 0.25),
    "relu6": (F.relu6, 0.0),
    "hardtanh": (lambda z: F.hardtanh(z, 0.0, 2.0), 0.0),
    "power": (lambda z: F.relu(z) ** 2, 0.0),
    "square": (lambda z: F.relu(z).square(), 0.0),
    "relu times relu": (lambda z: F.relu(z) * F.relu(z), 0.0),
    "z times relu": (lambda z: z * F.relu(z), 0.0),
    "two thresholds": (lambda z: F.relu(z) * F.threshold(z, 0.25, 0.0), 0.0),
    "reshaped": (lambda z: F.relu(z.view(-1, 4, 8)).flatten(1), 0.0),
    "dropout": (lambda z: F.dropout(F.relu(z), training=False), 0.0),
    "nn.ReLU": (nn.ReLU(inplace=True), 0.0),
    "relucid.nn": (relucid.nn.make("squared_relu"), 0.0),
    "relucid.nn, a threshold": (relucid.nn.make("thresholded_relu"), 1.0),
    "declared": (relucid.nn.make(gap_relu), 0.25),
}


@pytest.fixture(scope="module")
def rectifiers() -> Searched:
    return searched({form: Plain(hidden) for form, (hidden, _) in RECTIFIERS.items()})


@pytest.mark.parametrize("form", RECTIFIERS)
def test_all_forms_of_rectifiers(form: str, rectifiers: Searched) -> None:
    (model, found), level, x = rectifiers[form], RECTIFIERS[form][1], torch.randn(64, WIDTH)
    (first,) = {block.first for block in found.found}
    assert first == "up" and not found.refused
    assert {block.level for block in found.found} == {level}
    assert {block.down for block in found.found} == {"down"}
    assert is_unchanged(model, found.found, x)


READ_OTHERWISE: dict[str, tuple[Hidden, Hidden | None]] = {
    "no exact zeros": (F.leaky_relu, None),
    "two-sided": (F.hardshrink, None),
    "zero below minus 3 only": (F.hardsigmoid, None),
    "shifted": (lambda z: F.relu(z + 0.5), None),
    "scaled": (lambda z: F.relu(-z), None),
    "minus its absolute": (lambda z: F.relu(z) - z.abs(), None),
    "another mask": (lambda z: z * (z > -0.5), None),
    "a moved mask": (lambda z: z * (z > 0).flip(-1), None),
    "a mask of other places": (
        lambda z: z * (z > 0).view(-1, 4, 8).transpose(1, 2).reshape(z.shape), None),
    "where with the rest": (lambda z: torch.where(z > 0, z, 0.1 * z), None),
    "beside: a sum": (F.relu, lambda z: z.sum(-1, keepdim=True)),
    "beside: another activation": (F.relu, lambda z: F.gelu(z).sum(-1, keepdim=True)),
    "beside: a slice": (F.relu, lambda z: z[..., :1]),
    "beside: a sign": (F.relu, lambda z: z.sign().sum(-1, keepdim=True)),
}  # fmt: skip


@pytest.fixture(scope="module")
def read_otherwise() -> Searched:
    return searched({form: Plain(*both) for form, both in READ_OTHERWISE.items()})


@pytest.mark.parametrize("form", READ_OTHERWISE)
def test_what_is_read_otherwise_stays_whole(form: str, read_otherwise: Searched) -> None:
    """Each is a real danger: zeroing its outputs does change the model's."""
    (model, found), beside = read_otherwise[form], READ_OTHERWISE[form][1]
    x = torch.randn(64, WIDTH)
    assert not any(block.first for block in found.found)
    assert not is_unchanged(model, [Block("down", "relu", "up", 0.0)], x)
    if beside is not None:
        assert [block.down for block in found.found] == ["down"]
        assert "read by" in found.refused["up"] and "test_accelerate_find.py" in found.refused["up"]


STEPS: list[Callable[..., Tensor]] = [
    lambda a, b: F.relu(a),
    lambda a, b: a * b,
    lambda a, b: torch.where(a > 0, b, 0.0),
    lambda a, b: torch.where(a <= 0.25, torch.zeros_like(b), b),
    lambda a, b: torch.where(a > 0, 0.0, b),
    lambda a, b: torch.maximum(a, torch.zeros_like(b)),
    lambda a, b: torch.maximum(a, b),
    lambda a, b: a.square(),
    lambda a, b: F.threshold(a, 0.25, 0.0),
    lambda a, b: (a > 0).to(b.dtype) * b,
    lambda a, b: (~(a > 0)).to(b.dtype) * b,
    lambda a, b: a.flip(-1),
    lambda a, b: a.view(-1, 4, 8).transpose(1, 2).reshape(b.shape),
    lambda a, b: a.view(-1, 8, 4).transpose(1, 2).reshape(b.shape),
    lambda a, b: a + b,
    lambda a, b: F.hardtanh(a, 0.0, 1.0),
    lambda a, b: F.dropout(a, training=False),
    lambda a, b: a.clamp(max=0.5),
]


def drawn(seed: int) -> Hidden:
    """Draw a function of z from steps that may or may not leave parts of it unread."""
    generator = torch.Generator().manual_seed(seed)

    def number(below: int) -> int:
        return int(torch.randint(below, (), generator=generator))

    count = 2 + number(4)
    plan = [(number(len(STEPS)), number(i + 1), number(i + 1)) for i in range(count)]

    def hidden(z: Tensor) -> Tensor:
        made = [z]
        for step, a, b in plan:
            made.append(STEPS[step](made[a], made[b]))
        return made[-1]

    return hidden


PROGRAMS, CLAIMS = 60, 10


def test_whatever_is_claimed_to_be_free_is_free() -> None:
    """Of functions drawn at random, and some claims are made at all."""
    x, claims = torch.randn(256, WIDTH), 0
    models = {str(seed): Plain(drawn(seed)) for seed in range(PROGRAMS)}
    for seed, (model, found) in searched(models).items():
        claims += any(block.first for block in found.found)
        assert is_unchanged(model, found.found, x), seed
    assert claims >= CLAIMS


def test_an_output_of_the_model_stays_whole() -> None:
    class Both(Plain):
        def forward(self, x: Tensor) -> Any:
            z = self.up(x)
            return self.down(F.relu(z)), {"z": z}

    found = blocks_of(Both(F.relu), torch.randn(2, WIDTH))
    assert "output of the model" in found.refused["up"]


PRODUCTS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "act first": lambda m, x: F.relu(m.gate(x)) * m.up(x),
    "act last": lambda m, x: (lambda g: m.up(x) * F.relu(g))(m.gate(x)),
    "squared": lambda m, x: F.relu(m.gate(x)).square() * m.up(x),
    "relucid.nn": lambda m, x: m.act(m.gate(x)) * m.up(x),
    "inputs dropped out": lambda m, x: F.relu(m.gate(F.dropout(x, training=False))) * m.up(x),
    "with dropout": lambda m, x: F.dropout(F.relu(m.gate(x)), training=False) * m.up(x),
    "both moved": lambda m, x: (F.relu(m.gate(x).unflatten(-1, (4, 8)))
                                * m.up(x).unflatten(-1, (4, 8))).flatten(-2),
}  # fmt: skip


@pytest.fixture(scope="module")
def products() -> Searched:
    dense = {form: combine for form, (combine, _) in DENSE_PARTNERS.items()}
    return searched({form: Gated(combine) for form, combine in (PRODUCTS | dense).items()})


@pytest.mark.parametrize("form", PRODUCTS)
def test_gated_blocks(form: str, products: Searched) -> None:
    (model, found), x = products[form], torch.randn(64, WIDTH)
    function = "squared_relu" if form == "relucid.nn" else "relu"
    assert found.found == [Block("down", function, "gate", 0.0, "up")] and not found.refused
    assert is_unchanged(model, found.found, x)


DENSE_PARTNERS: dict[str, tuple[Callable[[Any, Tensor], Tensor], str]] = {
    "called before": (lambda m, x: m.up(x) * F.relu(m.gate(x)), "before the gate"),
    "another input": (lambda m, x: F.relu(m.gate(x)) * m.up(x + 1), "not given what the gate is"),
    "read twice": (lambda m, x: (lambda g, u: F.relu(g) * u * u.mean())(m.gate(x), m.up(x)),
                   "also read by mean"),
    "a function of it": (lambda m, x: F.relu(m.gate(x)) * m.up(x).sigmoid(), ""),
    "other places": (lambda m, x: F.relu(m.gate(x)) * m.up(x).unflatten(-1, (4, 8))
                     .transpose(1, 2).reshape(-1, HIDDEN), ""),
}  # fmt: skip


@pytest.mark.parametrize("form", DENSE_PARTNERS)
def test_partners_that_a_gate_cannot_tell(form: str, products: Searched) -> None:
    (model, found), why, x = products[form], DENSE_PARTNERS[form][1], torch.randn(64, WIDTH)
    assert found.found == [Block("down", "relu", "gate")]
    assert why in found.refused.get("up", "")
    assert is_unchanged(model, found.found, x)


def test_zeros_through_a_normalisation_and_pools_are_read() -> None:
    """Before the activation stands no linear layer; after it one reads zeros all the same."""
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(2),
        nn.Flatten(), nn.Linear(16, 16), nn.LayerNorm(16), nn.ReLU(), nn.Linear(16, 4),
    )  # fmt: skip
    x = torch.randn(2, 1, 8, 8)
    expected = [Block("6", "relu"), Block("9", "relu")]
    assert blocks_of(model, x).found == expected
    assert find(model, None).found == expected


def test_without_an_example_only_what_is_certain() -> None:
    """A forward of the model's own may go through an nn.Sequential by itself."""
    body = nn.Sequential(nn.Linear(8, 16), nn.Sequential(nn.ReLU(), nn.Dropout(0.1)),
                         nn.Linear(16, 8))  # fmt: skip
    assert find(body, None).found == [Block("2", "relu", "0", 0.0)]
    assert find(nn.Sequential(body), None).found == [Block("0.2", "relu", "0.0", 0.0)]

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = body

        def forward(self, x: Tensor) -> Tensor:
            for layer in self.body:
                x = layer(x)
            return x

    found = find(Own(), None)
    assert found.found == [Block("body.2", "relu")]
    assert "pass example=" in found.notes[0]


@pytest.mark.parametrize(
    ("hidden", "path"),
    [
        (nn.ReLU(), "hidden"),
        (relucid.nn.make("squared_relu"), "hidden"),
        (nn.Sequential(nn.Identity(), nn.ReLU()), "hidden.0"),
    ],
    ids=["one operator", "several", "none"],
)
def test_hooks_that_are_given_z_count_as_readers(hidden: nn.Module, path: str) -> None:
    model, x = Plain(hidden), torch.randn(2, WIDTH)
    handle = model.get_submodule(path).register_forward_hook(lambda module, args, h: None)
    assert f"hooks of {path!r}" in blocks_of(model, x).refused["up"]
    handle.remove()
    handle = model.register_forward_hook(lambda module, args, h: None)
    assert not blocks_of(model, x).refused
    handle.remove()


def test_a_model_that_cannot_be_captured_is_searched_by_its_structure() -> None:
    class Chooses(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8))

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x) if x.sum() > 0 else x

    found = blocks_of(Chooses(), torch.ones(2, 8))
    assert found.found == [Block("body.2", "relu")] and "cannot be captured" in found.notes[0]


def test_what_it_has_is_told_where_nothing_is_found() -> None:
    found = blocks_of(Plain(F.gelu), torch.randn(2, WIDTH))
    assert not found.found and "it has gelu (1)" in found.notes[0]
