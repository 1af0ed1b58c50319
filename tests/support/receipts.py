"""Receipts of shrinks to render, with all that a real one may hold."""

from __future__ import annotations

import math
from dataclasses import replace

from relucid.records.receipt import (
    Agreement,
    Guarantee,
    Kind,
    Latency,
    Quality,
    Receipt,
    Refusal,
    Removal,
    ShrunkLayer,
    Size,
)

HOSTILE = "</script><img src=x onerror=alert(1)>{{ 7*7 }}[red]\x1b[31m\u202e\n"
MACHINE = "x86_64, 2 threads, PyTorch 2.13.0"


def receipt(name: str = "features.0") -> Receipt:
    """A convolutional network that lost units by every guarantee but pruning."""
    layers = (
        ShrunkLayer(
            name,
            "Conv2d",
            "relu",
            32,
            22,
            (
                Removal(Kind.CONSTANT, Guarantee.EVERY, (0, 1, 2)),
                Removal(Kind.CONSTANT, Guarantee.DOMAIN, (5, 9, 10, 11)),
                Removal(Kind.ALWAYS_ON, Guarantee.DOMAIN, (20,)),
                Removal(Kind.CONSTANT, Guarantee.OBSERVED, (30, 31)),
            ),
        ),
        ShrunkLayer("features.3", "Conv2d", "relu", 64, 64),
        ShrunkLayer(
            "classifier.0", "Linear", "silu", 128, 0,
            (Removal(Kind.ALWAYS_ON, Guarantee.DOMAIN, tuple(range(128))),),
            "merged with classifier.2",
        ),
        ShrunkLayer("classifier.2", "Linear", "", 10, 10),
    )  # fmt: skip
    return Receipt(
        title="LeNet",
        example="float32 tensor of shape (1, 1, 28, 28)",
        domain="input: float32 (1, 28, 28) in 0 to 1",
        data="1,400 samples in 22 batches",
        dtype="float32",
        layers=layers,
        refused=(
            Refusal("features.3", 6, "x.view(-1, 400) at net.py:31 fixes it; use `flatten(1)`"),
            Refusal("classifier.2", 2, "it is an output of the model"),
            Refusal("features.0", 1, "it is an output of the model"),
        ),
        before=Size(61_706, 246_824, 416_520),
        after=Size(20_194, 80_776, 181_004),
        agreements=(
            Agreement("random", 10_000, 3.1e-7),
            Agreement("adversarial", 1_000, 4.4e-7),
            Agreement("given", 1_400, 2.9e-7),
        ),
        tolerance=1e-6,
        latency=Latency(8.41e-5, 6.2e-5, 1.36, 1.31, 1.4, 0.95, 201, "cpu, 2 threads"),
        notes=("Proofs are of numbers in float32.",),
        machine=MACHINE,
        seconds=3.21,
    )


def pruned() -> Receipt:
    """Units that did little were taken out, and it was trained further."""
    found = receipt()
    removal = Removal(Kind.CONSTANT, Guarantee.PRUNED, tuple(range(12)))
    first = replace(found.layers[0], after=20, removed=(removal,))
    accuracy = Quality("accuracy", 397, 0.9773, 0.9521, 0.9748, 200)
    return replace(
        found,
        layers=(first, *found.layers[1:]),
        quality=(Quality("loss", 397, 0.112, 0.18), accuracy),
    )


def nothing() -> Receipt:
    """Nothing went, and little was measured."""
    found = receipt()
    layers = tuple(
        replace(layer, after=layer.before, removed=(), note="") for layer in found.layers
    )
    return replace(
        found, layers=layers, refused=(), after=replace(found.before, macs=None), agreements=(),
        latency=None, domain="", data="", notes=(),
    )  # fmt: skip


def broken() -> Receipt:
    """Numbers that are none."""
    found = receipt()
    time = Latency(math.nan, math.inf, math.nan, math.nan, math.inf, 0.95, 3, "")
    return replace(
        found, agreements=(Agreement("random", 0, math.nan),), latency=time, tolerance=math.inf
    )


def hostile(name: str = HOSTILE) -> Receipt:
    """Names that are code where they are not escaped."""
    found = receipt(name)
    first = replace(found.layers[0], layer=name, function=name, note=name)
    return replace(
        found,
        title=name,
        example=name,
        domain=name,
        data=name,
        layers=(first, *found.layers[1:]),
        refused=(Refusal(name, 3, name),),
        notes=(name,),
        machine=name,
    )


def large() -> Receipt:
    """A deep model."""
    layer = receipt().layers[0]
    many = (replace(layer, path=f"model.decoder.layers.{i}.self_attn.fc1") for i in range(72))
    why = [Refusal(f"layers.{i}", i, f"because of line {i}") for i in range(50)]
    return replace(receipt(), title="OPT", layers=tuple(many), refused=tuple(why))
