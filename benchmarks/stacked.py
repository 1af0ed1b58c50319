"""How much faster the stacked engine is than a plain loop: 12 activations x 5 seeds of digits.

``python benchmarks/stacked.py [--steps 350] [--rounds 3]`` trains the networks on one thread, by
both engines in turn, and prints seconds of processor time, their ratio, and how far curves differ
after the first epoch and at the end. The targets are 4 for the MLP and 1.5 for the CNN.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import nn
from torch.nn import functional

import relucid
from relucid.compare.engines import sequential, stacked
from relucid.compare.experiment import Choice, Experiment
from relucid.compare.subject import Subject
from relucid.compare.tasks.networks.dense import mlp
from relucid.compare.tasks.networks.images import cnn
from relucid.demo import load_digits
from relucid.records.comparison import Trained

ACTIVATIONS = (
    "relu", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "hardswish",
    "tanh", "sigmoid",
)  # fmt: skip
SEEDS = tuple(range(5))
NETWORKS: dict[str, tuple[Callable[..., nn.Module], float]] = {
    "MLP 64-32-10": (partial(mlp, inputs=64, outputs=10, widths=(32,)), 4.0),
    "MLP 64-64-32-10": (partial(mlp, inputs=64, outputs=10, widths=(64, 32)), 4.0),
    "CNN of the digits": (partial(cnn, shape=(8, 8), outputs=10), 1.5),
}
Runs = dict[tuple[str, int], Trained]


def experiment(build: Callable[..., nn.Module], steps: int) -> Experiment:
    """Compare the activations on all digits, in batches of 64, by Adam."""
    digits = load_digits()
    images = torch.cat([digits.train_images, digits.test_images]).reshape(-1, 1, 8, 8)
    labels = torch.cat([digits.train_labels, digits.test_labels])
    adam = partial(torch.optim.Adam, lr=0.003)
    subject = Subject("digits", build, (images, labels), functional.cross_entropy, adam, "accuracy")
    choices = tuple(Choice(name, relucid.get(name)) for name in ACTIVATIONS)
    return Experiment(subject, choices, "relu", None, SEEDS, steps)


def timed(engine: Any, asked: Experiment) -> tuple[float, Runs]:
    """Run all jobs; seconds of processor time."""
    begun = time.process_time()
    runs = {(r.candidate, r.seed): r for r in engine.run(asked, asked.jobs())}
    return time.process_time() - begun, runs


def apart(some: Runs, others: Runs, last: int) -> float:
    """Return the largest relative difference of held-out losses up to a step."""
    return max(
        abs(a.loss - b.loss) / b.loss
        for key, run in some.items()
        for a, b in zip(run.curve, others[key].curve, strict=True)
        if a.step <= last
    )


def compare(name: str, steps: int, rounds: int) -> bool:
    """Print the figures of one network; whether it is as fast as it has to be."""
    build, target = NETWORKS[name]
    asked = experiment(build, steps)
    epoch = asked.samples.training_size // asked.samples.batch
    timed(stacked, experiment(build, 1))  # kernels are compiled on first use
    pairs = [(timed(sequential, asked), timed(stacked, asked)) for _ in range(rounds)]
    (_, plain), (_, together) = pairs[0]
    times = [median(side[0] for side in sides) for sides in zip(*pairs, strict=True)]
    ratio = median(one[0] / other[0] for one, other in pairs)
    print(
        f"{name}: sequential {times[0]:.2f} s, stacked {times[1]:.2f} s, ratio {ratio:.2f} "
        f"(target {target:g}); losses differ by {apart(together, plain, epoch):.1e} after the "
        f"first epoch ({epoch} steps), {apart(together, plain, steps):.1e} after {steps} steps",
        flush=True,
    )
    return ratio >= target


def main() -> int:
    """Measure all networks."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=350, help="of each of the 60 runs")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    reached = [compare(name, given.steps, given.rounds) for name in NETWORKS]
    return int(not all(reached))


if __name__ == "__main__":
    raise SystemExit(main())
