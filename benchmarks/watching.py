"""What watching costs: a training step with ``relucid.watch`` beside the same step without it.

``python benchmarks/watching.py [--steps 60] [--threads 1] [--json watching.json]`` trains a small
CNN on images of 28 x 28 in batches of 128, and a transformer of 12 layers, each once without and
once under every way of watching. The sides take a step in turn, so that all see the same noise;
the cost is the median of the ratios of a side's step to the plain one beside it, less 1. ``again``
is a second plain side: what it costs is noise. ``hooks`` is what a forward hook on every
activation that counts in plain PyTorch takes. TorchLens, where installed, is another kind of tool:
it records every operation of one forward pass.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import relucid

SIDES: dict[str, dict[str, object] | None] = {
    "again": None,
    "counts": {"gradients": False},
    "with gradients": {"gradients": True},
    "every 10th step": {"gradients": False, "every": 10},
    "all values": {"gradients": False, "values": None},
}
WARM = 3


def cnn() -> nn.Module:
    """Two convolutions and two linear layers, with three ReLUs."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 12 * 12, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


class Transformer(nn.Module):
    """Twelve encoder layers of width 128 with GELU, on 64 tokens."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            128, 4, 512, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.embed = nn.Embedding(100, 128)
        self.encoder = nn.TransformerEncoder(layer, 12, enable_nested_tensor=False)
        self.head = nn.Linear(128, 10)

    def forward(self, tokens: Tensor) -> Tensor:
        """Classify sequences."""
        found: Tensor = self.head(self.encoder(self.embed(tokens)).mean(1))
        return found


@dataclass
class Side:
    """A model in training, watched in one way or not."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    seconds: list[float] = field(default_factory=list)

    def step(self, x: Tensor, target: Tensor) -> None:
        """Take one training step, and note how long it took."""
        begun = time.perf_counter()
        self.optimizer.zero_grad()
        cross_entropy(self.model(x), target).backward()
        self.optimizer.step()
        self.seconds.append(time.perf_counter() - begun)


def side(build: Callable[[], nn.Module]) -> Side:
    """Return a fresh side; all have the same weights."""
    torch.manual_seed(0)
    model = build()
    return Side(model, torch.optim.SGD(model.parameters(), 0.01))


def hooked(made: Side) -> Side:
    """Count in plain PyTorch what a simple hook on every activation would."""
    counts: dict[nn.Module, Tensor] = {}

    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        units = output.detach().flatten(2).transpose(1, 2) if output.ndim > 2 else output.detach()
        fired = (units > 0).flatten(0, -2).sum(0)
        counts[module] = counts.get(module, torch.zeros_like(fired)) + fired

    for module in made.model.modules():
        if isinstance(module, nn.ReLU | nn.GELU):
            module.register_forward_hook(hook)
    return made


def measure(
    build: Callable[[], nn.Module], x: Tensor, target: Tensor, steps: int
) -> tuple[dict[str, float], float]:
    """Return the cost of each side as a part of the plain step, and that step's milliseconds."""
    plain, sides, probes = side(build), {}, []
    for name, settings in SIDES.items():
        sides[name] = side(build)
        if settings is not None:
            probes.append(relucid.watch(sides[name].model, **settings).start())
    if any(isinstance(module, nn.ReLU) for module in plain.model.modules()):
        sides["hooks"] = hooked(side(build))
    for _ in track(range(WARM + steps), "Training", console=Console(stderr=True)):
        plain.step(x, target)
        for one in sides.values():
            one.step(x, target)
    for probe in probes:
        probe.remove()
    found = {}
    for name, one in sides.items():
        ratios = [a / b for a, b in zip(one.seconds[WARM:], plain.seconds[WARM:], strict=True)]
        # Of a side that reads every tenth step only, the mean holds what its median leaves out.
        mean = sum(one.seconds[WARM:]) / sum(plain.seconds[WARM:])
        found[name] = (mean if "every" in name else statistics.median(ratios)) - 1.0
    return found, 1e3 * statistics.median(plain.seconds[WARM:])


def torchlens(build: Callable[[], nn.Module], x: Tensor) -> float | None:
    """Return how many times a forward pass TorchLens takes to record one."""
    try:
        import torchlens
    except ImportError:
        return None
    model, times = build(), {"plain": [], "recorded": []}
    for _ in range(5):
        begun = time.perf_counter()
        model(x)
        times["plain"].append(time.perf_counter() - begun)
        begun = time.perf_counter()
        torchlens.trace(model, x)
        times["recorded"].append(time.perf_counter() - begun)
    return statistics.median(times["recorded"]) / statistics.median(times["plain"])


def main() -> None:
    """Measure both models and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    images, tokens = torch.rand(128, 1, 28, 28), torch.randint(0, 100, (32, 64))
    kinds = {"CNN": (cnn, images), "transformer": (Transformer, tokens)}
    table = Table("side", *kinds, title=f"Cost of watching a step, {asked.threads} thread(s)")
    found = {}
    for name, (build, x) in kinds.items():
        costs, milliseconds = measure(build, x, torch.randint(0, 10, (len(x),)), asked.steps)
        found[name] = {"step_ms": milliseconds, "costs": costs, "torchlens": torchlens(build, x)}
    for row in dict.fromkeys(row for kind in found.values() for row in kind["costs"]):
        shown = [kind["costs"].get(row) for kind in found.values()]
        table.add_row(row, *("" if cost is None else f"{cost:+.1%}" for cost in shown))
    lens = [kind["torchlens"] for kind in found.values()]
    shown = ["not installed" if t is None else f"{t:.0f} forwards" for t in lens]
    table.add_row("TorchLens", *shown)
    Console().print(table)
    if asked.json:
        with open(asked.json, "w") as file:
            json.dump(found, file, indent=1)


if __name__ == "__main__":
    main()
