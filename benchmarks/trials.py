"""Trials of prescriptions on planted illnesses: how often the right one ranks first.

``python benchmarks/trials.py [--networks 10] [--json trials.json]`` plants four illnesses of
different kinds in small networks on the shipped digits, 10 networks of different weights each,
and tries what the checkup prescribes, five seeds a trial. It prints for each illness how often
the right prescription ranks first with an interval that excludes no difference. Healthy networks
go through the same twice: with what is prescribed to them, and with every prescription there is,
though none is ill: what that finds are differences that no illness causes. A network takes 3 to
50 seconds on one thread.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import relucid
from relucid.compare import try_prescriptions
from relucid.demo import load_digits
from relucid.records import Finding, Observation, Prescription, Severity, Trials

Batches = list[tuple[Tensor, Tensor]]
Planted = tuple[nn.Module, torch.optim.Optimizer]

WIDTH = 64
RATE = 0.02
"""At which the network learns well by plain SGD; a hundred times of it kills units."""


def digits() -> Batches:
    """All 1,797 digits, standardised, in batches of 100."""
    stored = load_digits()
    images = torch.cat([stored.train_images, stored.test_images])
    labels = torch.cat([stored.train_labels, stored.test_labels])
    images = (images - images.mean()) / images.std()
    return list(zip(images.split(100), labels.split(100), strict=True))


def network(depth: int, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """A plain network at PyTorch's own start."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise([64] + [WIDTH] * depth):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers, nn.Linear(WIDTH, 10))


def trained(model: nn.Module, optimizer: torch.optim.Optimizer, epochs: int) -> Planted:
    """Train and return both."""
    for _ in range(epochs):
        for images, labels in digits():
            optimizer.zero_grad()
            cross_entropy(model(images), labels).backward()
            optimizer.step()
    return model, optimizer


def with_gain(model: nn.Module, gain: float) -> nn.Module:
    """Draw all weights with this gain."""
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=gain * layer.in_features**-0.5)
    return model


def rate_too_high() -> Planted:
    """Three epochs at a hundred times the right learning rate."""
    model = network(3)
    return trained(model, torch.optim.SGD(model.parameters(), lr=100 * RATE), 3)


def wrong_gain() -> Planted:
    """Twenty ReLU layers whose weights have gain 0.5 in place of 1.41."""
    model = with_gain(network(20), 0.5)
    return model, torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)


def sigmoids() -> Planted:
    """Twenty sigmoid layers: no gain carries a gradient through them."""
    model = with_gain(network(20, nn.Sigmoid), 1.0)
    return model, torch.optim.Adam(model.parameters(), lr=1e-3)


def dead_layer() -> Planted:
    """The biases of the second of four layers are far below zero."""
    model = network(4)
    nn.init.constant_(model[2].get_parameter("bias"), -1e3)
    return model, torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)


def healthy() -> Planted:
    """Six epochs at a rate that suits."""
    model = network(3)
    return trained(model, torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9), 6)


ILLNESSES: dict[str, tuple[Callable[[], Planted], str]] = {
    "learning rate 100 times too high": (rate_too_high, "lower_learning_rate"),
    "20 layers of gain 0.5": (wrong_gain, "right_gain"),
    "20 sigmoid layers": (sigmoids, "swap_activation"),
    "biases of a layer at -1000": (dead_layer, "reinitialise_dead"),
}
EVERYTHING = [
    *("lower_learning_rate", "right_gain", "reinitialise_dead", "add_normalisation"),
    *("clip_gradients", "swap_activation"),
]


def prescribed(seed: int, plant: Callable[[], Planted]) -> Trials:
    """Check up a network and try what is prescribed."""
    torch.manual_seed(seed)
    model, optimizer = plant()
    trial = relucid.Trial(optimizer=optimizer, seconds=None)
    found = relucid.checkup(model, digits(), cross_entropy, trial=trial).checkups[0].trials
    assert found is not None
    return found


def everything(seed: int) -> Trials:
    """Try every prescription there is on a healthy network."""
    torch.manual_seed(seed)
    model, optimizer = healthy()
    observation: Observation = relucid.checkup(model, digits(), cross_entropy).observation
    asked = tuple(
        Prescription("", None, name, ("relu", "leaky_relu") if name.startswith("swap") else ())
        for name in EVERYTHING
    )
    return try_prescriptions(
        model,
        digits(),
        cross_entropy,
        observation=observation,
        findings=[Finding("", Severity.ILL, "", "", prescriptions=asked)],
        plan=relucid.Trial(optimizer=optimizer, seconds=None),
    )


def subjects() -> dict[str, tuple[Callable[[int], Trials], str | None]]:
    """What is tried for a seed, and the right prescription, by title."""
    found: dict[str, tuple[Callable[[int], Trials], str | None]] = {
        title: (partial(prescribed, plant=plant), right)
        for title, (plant, right) in ILLNESSES.items()
    }
    found["healthy"] = partial(prescribed, plant=healthy), None
    found["healthy, everything tried"] = everything, None
    return found


def shown(trials: Trials, console: Console) -> Trials:
    """Print what ranked first, and return the trials."""
    for tried in trials.tried[:1]:
        ends = tried.difference and (
            round(tried.difference.low, 3),
            round(tried.difference.high, 3),
        )
        console.print(f"{tried.outcome.value}: {tried.change} {ends} {trials.seconds:.0f} s")
    return trials


def summary(trials: list[Trials], right: str | None) -> dict[str, Any]:
    """Count what ranked first, what was recommended, and the seconds."""
    firsts = [t.tried[0] for t in trials if t.tried]
    sure = [t for t in firsts if t.difference is not None and t.difference.excludes_no_difference]
    return {
        "networks": len(trials),
        "right": right,
        "right first, interval excludes 1": sum(t.name == right for t in sure),
        "first": dict(Counter(t.change for t in firsts)),
        "recommended": dict(Counter(t.change for trial in trials for t in trial.recommended)),
        "tried": sum(len(t.tried) for t in trials),
        "worst interval of the first": max(
            (t.difference.high for t in firsts if t.difference is not None), default=None
        ),
        "median seconds": sorted(t.seconds for t in trials)[len(trials) // 2],
    }


def main() -> None:
    """Plant, try, count and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=10)
    parser.add_argument("--only", default="", help="those whose title holds this text")
    given = parser.parse_args()
    torch.set_num_threads(1)
    console, results = Console(stderr=True), {}
    for title, (attempt, right) in subjects().items():
        if given.only in title:
            seeds = track(range(given.networks), title, console=console)
            results[title] = summary([shown(attempt(seed), console) for seed in seeds], right)
    print(json.dumps({"torch": torch.__version__, "results": results}, indent=2))


if __name__ == "__main__":
    main()
