"""How much of a network goes that was trained to lose units, at equal accuracy.

``python benchmarks/shrink_digits.py [--seeds 5] [--mnist FOLDER] [--only-mnist]`` trains the digits
MLP (64, 128, 64, 32, 10) and, given a folder of MNIST's files, a small CNN, each with and without
``relucid.nn.sparsify_``, on one thread, and shrinks both over the domain of their pixels. It prints
for each seed the accuracy on held-out images, which units were removed by which guarantee, and how
much faster the smaller network is. At most 0.3 points of accuracy may be lost in the mean; at least
half of the units of the MLP and a quarter of those of the CNN must go, proved over the domain.
The strengths of the penalty were chosen on a few of the seeds, by the same held-out images.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean, median

import torch
from torch import Tensor, nn
from torch.nn import functional

import relucid
from relucid.compare.tasks import task
from relucid.compare.tasks.networks.dense import mlp
from relucid.compare.tasks.networks.images import cnn
from relucid.demo import load_digits
from relucid.probes.batches import read_batches
from relucid.records.receipt import Guarantee
from relucid.shrink import shrink
from relucid.shrink.measures import latency

BATCH = 64
LOST = 0.3
"""Points of accuracy that may be lost."""


@dataclass(frozen=True)
class Subject:
    """A network with its data, and how it is trained."""

    name: str
    build: Callable[[], nn.Module]
    images: Tensor
    labels: Tensor
    held_out: int
    epochs: int
    rate: float
    strength: float
    pull: float
    share: float
    """Of the units, which must go."""


@dataclass(frozen=True)
class Result:
    """What one seed gave."""

    plain: float
    """Accuracies on held-out images, in percent."""
    sparse: float
    smaller: float
    proved: float
    """Shares of the units that went."""
    observed: float
    parameters: float
    """Shares of the parameters that stay."""
    faster: tuple[float, float, float]
    difference: float


def digits() -> Subject:
    """Return the shipped digits, pixels in 0 to 1."""
    stored = load_digits()
    images = torch.cat([stored.train_images, stored.test_images])
    labels = torch.cat([stored.train_labels, stored.test_labels])
    build = partial(mlp, inputs=64, outputs=10, widths=(128, 64, 32))
    held_out = len(stored.test_labels)
    return Subject("digits, MLP", build, images, labels, held_out, 100, 2e-3, 6e-3, 0.03, 0.5)


def mnist(folder: Path) -> Subject:
    """Return images of MNIST, with mean 0 and variance 1."""
    images, labels = task(folder).data
    build = partial(cnn, shape=(28, 28), outputs=10)
    return Subject("MNIST-10k, CNN", build, images, labels, 2000, 8, 1e-3, 4e-3, 0.03, 0.25)


def train(subject: Subject, seed: int, sparse: bool) -> nn.Module:
    """Train with Adam, with or without what makes units die."""
    torch.manual_seed(seed)
    model = subject.build()
    if sparse:
        relucid.nn.sparsify_(model, strength=subject.strength, pull=subject.pull)
    optimizer = torch.optim.Adam(model.parameters(), lr=subject.rate)
    count = len(subject.labels) - subject.held_out
    steps = -(-count // BATCH) * subject.epochs
    falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, steps)
    for _ in range(subject.epochs):
        for rows in torch.randperm(count).split(BATCH):
            optimizer.zero_grad()
            functional.cross_entropy(model(subject.images[rows]), subject.labels[rows]).backward()
            optimizer.step()
            falling.step()
    return copy.deepcopy(model).eval()


@torch.no_grad()
def accuracy(subject: Subject, model: nn.Module) -> float:
    """Return the accuracy on held-out images, in percent."""
    images, labels = (x[-subject.held_out :] for x in (subject.images, subject.labels))
    return 100.0 * float((model(images).argmax(1) == labels).double().mean())


def measured(subject: Subject, seed: int) -> Result:
    """Train twice, shrink, and time."""
    plain, sparse = train(subject, seed, False), train(subject, seed, True)
    domain = (float(subject.images.min()), float(subject.images.max()))
    known = subject.images[: -subject.held_out]
    exact = shrink(sparse, subject.images[:2], domain)
    seen = shrink(sparse, subject.images[:2], domain, data=list(known.split(1000)))
    units = sum(layer.before for layer in exact.receipt.layers[:-1])
    batch = next(read_batches(subject.images[:BATCH]))
    ratio = latency(sparse, exact.model, batch)
    return Result(
        accuracy(subject, plain), accuracy(subject, sparse), accuracy(subject, exact.model),
        exact.receipt.removed / units, seen.receipt.count(Guarantee.OBSERVED) / units,
        exact.receipt.after.parameters / exact.receipt.before.parameters,
        (ratio.faster, ratio.low, ratio.high),
        max(one.largest for one in exact.receipt.agreements),
    )  # fmt: skip


def report(subject: Subject, seeds: int) -> bool:
    """Print a row for each seed and the means; whether the targets are met."""
    print(
        f"{subject.name}: accuracy without, with, shrunk; units removed: proved over the domain, "
        "besides observed on the training data; parameters that stay; times as fast; difference"
    )
    results = []
    for seed in range(seeds):
        one = measured(subject, seed)
        results.append(one)
        faster, low, high = one.faster
        accuracies = f"{one.plain:.2f} {one.sparse:.2f} {one.smaller:.2f}"
        print(f"  seed {seed}: {accuracies}  {one.proved:.1%} "
              f"+{one.observed:.1%}  {one.parameters:.1%}  {faster:.2f} ({low:.2f} to {high:.2f})  "
              f"{one.difference:.1e}", flush=True)  # fmt: skip
    lost = mean(one.plain - one.smaller for one in results)
    least = min(one.proved for one in results)
    print(f"  lost {lost:.2f} points in the mean; proved and removed: at least {least:.1%}, median "
          f"{median(one.proved for one in results):.1%}", flush=True)  # fmt: skip
    return lost <= LOST and least >= subject.share


def main() -> int:
    """Measure and print; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--mnist", type=Path, help="folder with MNIST's images and labels")
    parser.add_argument("--only-mnist", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    subjects = [] if given.only_mnist else [digits()]
    if given.mnist is not None:
        subjects.append(mnist(given.mnist))
    return int(not all([report(subject, given.seeds) for subject in subjects]))


if __name__ == "__main__":
    raise SystemExit(main())
