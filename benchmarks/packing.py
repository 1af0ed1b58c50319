"""What packing saved activations costs and gains, on networks in training.

``python benchmarks/packing.py [--threads 1] [--seconds 60] [NETWORK ...]`` trains each network
for a while on real data (``../shared/data``), so that its zeros are those of training. Then come:

- gradients of one step, with and without packing: bit-equal or not;
- the most bytes of activations that a graph held: of the plain step by counting the storages that
  saved-tensor hooks are given, of the packed one by its record;
- time of a step (forward, loss, backward): plain and packed in turn, with plain against plain;
- peak resident memory: one step of each kind in a process of its own.
"""

from __future__ import annotations

import argparse
import gzip
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F

import relucid
from relucid.interleave import Effort, interleave

DATA = Path(__file__).parents[2] / "shared" / "data"
MIB = 1 << 20


class SquaredReLU(nn.Module):
    """The square of ReLU, as trained in So et al. 2021."""

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(x) ** 2."""
        return F.relu(x).square()


class Attention(nn.Module):
    """Causal self-attention with dropout."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.into, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the attended values, (batch, length, width)."""
        batch, length, width = x.shape
        parts = self.into(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(*parts, is_causal=True, dropout_p=self.dropout)
        return self.out(mixed.transpose(1, 2).reshape(batch, length, width))


class Block(nn.Module):
    """One layer of a transformer, with squared ReLU."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention, self.dropout = Attention(width, heads, dropout), nn.Dropout(dropout)
        self.dense = nn.Sequential(
            nn.Linear(width, 4 * width), SquaredReLU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the next state of the residual stream."""
        x = x + self.dropout(self.attention(self.before(x)))
        return x + self.dropout(self.dense(self.between(x)))


class Characters(nn.Module):
    """A language model of single characters: heads of 64, and 4 times the width between."""

    def __init__(
        self, dropout: float, width: int = 256, layers: int = 6, length: int = 256
    ) -> None:
        super().__init__()
        self.letters, self.places = nn.Embedding(65, width), nn.Embedding(length, width)
        self.blocks = nn.Sequential(*(Block(width, width // 64, dropout) for _ in range(layers)))
        self.last, self.head = nn.LayerNorm(width), nn.Linear(width, 65)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits of the next character, (batch, 65, length)."""
        places = self.places.weight[: tokens.shape[1]]
        return self.head(self.last(self.blocks(self.letters(tokens) + places))).transpose(1, 2)


def convolutions(*widths: int, deep: int) -> nn.Module:
    """So many 3x3 convolutions a width, each with ReLU; max-pooling before the next width."""
    layers: list[nn.Module] = []
    before = 1
    for width in widths:
        for inputs in (before, *[width] * (deep - 1)):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
            nn.init.kaiming_normal_(layers[-2].weight)
        layers.append(nn.MaxPool2d(2))
        before = width
    side = 28 >> len(widths)
    dense = [nn.Flatten(), nn.Linear(before * side**2, 128), nn.ReLU(), nn.Linear(128, 10)]
    return nn.Sequential(*layers, *dense)


def example_network() -> nn.Module:
    """The network of PyTorch's own MNIST example, with its dropout."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Dropout(0.25), nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(128, 10),
    )  # fmt: skip


def images() -> Callable[[int], tuple[Tensor, Tensor]]:
    """Batches of MNIST-10k."""

    def read(name: str, skipped: int) -> Tensor:
        with gzip.open(DATA / "mnist-10k" / name) as file:
            return torch.frombuffer(bytearray(file.read()[skipped:]), dtype=torch.uint8)

    (pictures,), (labels,) = (
        [p.name for p in (DATA / "mnist-10k").glob(pattern)] for pattern in ("*idx3*", "*idx1*")
    )
    x = read(pictures, 16).view(-1, 1, 28, 28).float() / 255
    y = read(labels, 8).long()

    def batch(size: int) -> tuple[Tensor, Tensor]:
        chosen = torch.randint(len(x), (size,))
        return (x[chosen] - 0.1307) / 0.3081, y[chosen]

    return batch


def text(length: int = 256) -> Callable[[int], tuple[Tensor, Tensor]]:
    """Batches of tiny-shakespeare: characters and those that follow."""
    (path,) = (DATA / "tiny-shakespeare").glob("*.txt")
    written = path.read_text()
    letters = {letter: number for number, letter in enumerate(sorted(set(written)))}
    tokens = torch.tensor([letters[letter] for letter in written])

    def batch(size: int) -> tuple[Tensor, Tensor]:
        starts = torch.randint(len(tokens) - length - 1, (size, 1))
        places = starts + torch.arange(length + 1)
        chosen = tokens[places]
        return chosen[:, :-1], chosen[:, 1:]

    return batch


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[..., Any], int, int, float]] = {
    # how it is built, its data, batch of training, batch of measuring, learning rate
    "cnn": (lambda: convolutions(32, 64, 128, deep=4), images, 64, 256, 1e-3),
    "shallow cnn": (lambda: convolutions(32, 64, 128, deep=2), images, 64, 256, 1e-3),
    "example": (example_network, images, 64, 256, 1e-3),
    "transformer": (lambda: Characters(0.1), text, 8, 16, 1e-3),
    "without dropout": (lambda: Characters(0.0), text, 8, 16, 1e-3),
}


def trained(name: str, steps: int) -> nn.Module:
    """The network after some steps of Adam."""
    build, data, size, _, rate = NETWORKS[name]
    torch.manual_seed(0)
    model, batches = build(), data()
    optimizer = torch.optim.Adam(model.parameters(), rate)
    for _ in range(steps):
        x, y = batches(size)
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model


def large_batch(name: str) -> tuple[Tensor, Tensor]:
    """The batch to measure on."""
    _, data, _, size, _ = NETWORKS[name]
    torch.manual_seed(2)
    return data()(size)


def step(model: nn.Module, batch: tuple[Tensor, Tensor], around: Any) -> Tensor:
    """Forward, loss and backward; gradients are new each time."""
    for parameter in model.parameters():
        parameter.grad = None
    torch.manual_seed(1)  # of dropout
    with around:
        loss = F.cross_entropy(model(batch[0]), batch[1])
        loss.backward()
    return loss.detach()


class Meter:
    """Counts, by saved-tensor hooks, the bytes of the storages that graphs hold; no parameters."""

    def __init__(self, model: nn.Module) -> None:
        self._left_out = {p.untyped_storage().data_ptr() for p in model.parameters()}
        self._held: dict[int, int] = {}
        self.now = self.peak = 0

    def hooks(self) -> saved_tensors_hooks:
        """What to put around a forward."""
        return saved_tensors_hooks(self._save, lambda saved: saved.tensor)

    def _save(self, tensor: Tensor) -> _Saved:
        return _Saved(tensor.detach(), self)

    def hold(self, storage: torch.UntypedStorage, by: int) -> None:
        """One more, or one less, holds a storage."""
        place = storage.data_ptr()
        if place in self._left_out:
            return
        before = self._held.get(place, 0)
        self._held[place] = before + by
        self.now += storage.nbytes() * (bool(before + by) - bool(before))
        self.peak = max(self.peak, self.now)


class _Saved:
    def __init__(self, tensor: Tensor, meter: Meter) -> None:
        self.tensor, self._meter = tensor, meter
        meter.hold(tensor.untyped_storage(), 1)

    def __del__(self) -> None:
        self._meter.hold(self.tensor.untyped_storage(), -1)


def zeros(model: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, float]:
    """The share of zeros of each activation."""
    found: dict[str, float] = {}

    def hook(name: str) -> Callable[..., None]:
        return lambda module, args, out: found.update({name: (out == 0).double().mean().item()})

    handles = [
        module.register_forward_hook(hook(name))
        for name, module in model.named_modules()
        if isinstance(module, nn.ReLU | SquaredReLU)
    ]
    with torch.no_grad():
        model(batch[0])
    for handle in handles:
        handle.remove()
    return found


def equal(model: nn.Module, batch: tuple[Tensor, Tensor]) -> bool:
    """Whether loss and gradients of a packed step are the plain one's, to the last bit."""
    sides = []
    for around in (nullcontext(), relucid.pack()):
        loss = step(model, batch, around)
        sides.append([loss, *(p.grad for p in model.parameters())])
    return all(torch.equal(a, b) for a, b in zip(*sides, strict=True))


def resident(name: str, weights: Path, threads: int, kind: str, direct: bool) -> float:
    """MiB by which three steps raise the peak of a process of its own.

    ``direct`` has the C library take each block of a MiB or more from the system and give it
    back: then no holes between blocks count.
    """
    command = [sys.executable, __file__, name, "--child", kind, "--weights", str(weights)]
    command += ["--threads", str(threads)]
    told = {"MALLOC_MMAP_THRESHOLD_": str(MIB)} if direct else {}
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, env={**os.environ, **told})
    return float(run.stdout)


def child(name: str, kind: str, weights: Path) -> None:
    """Print how much the peak of resident memory grows by three steps."""
    model, batch = NETWORKS[name][0](), large_batch(name)
    model.load_state_dict(torch.load(weights, weights_only=True))
    with relucid.pack():  # loads the loops, which is told apart
        warm = torch.randn(1 << 16, requires_grad=True).relu().exp().sum()
    warm.backward()
    before, packing = most_resident(), relucid.pack()
    for _ in range(3):
        step(model, batch, packing if kind == "packed" else nullcontext())
    print((most_resident() - before) / 1024)


def most_resident() -> int:
    """KiB that were resident at most; that of getrusage begins with the parent's."""
    (line,) = (w for w in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in w)
    return int(line.split()[1])


def measure(name: str, given: argparse.Namespace) -> None:
    """Print the figures of one network."""
    model, batch = trained(name, given.steps), large_batch(name)
    print(f"\n{name}: {sum(p.numel() for p in model.parameters())} parameters, batch "
          f"{len(batch[0])}, after {given.steps} steps")  # fmt: skip
    print(
        "zeros:", ", ".join(f"{where} {share:.2f}" for where, share in zeros(model, batch).items())
    )
    print("loss and gradients bit-equal:", equal(model, batch))
    meter, packing = Meter(model), relucid.pack()
    step(model, batch, meter.hooks())
    step(model, batch, packing)
    packing.show()
    record = packing.record()
    plain, packed = meter.peak / MIB, record.peak_after / MIB
    print(f"peak of saved activations: {plain:.1f} MiB plain, {packed:.1f} packed: "
          f"{plain / packed:.2f} times less")  # fmt: skip
    runs = [
        lambda _: step(model, batch, nullcontext()),
        lambda _: step(model, batch, nullcontext()),
        lambda _: step(model, batch, packing),
    ]
    clock = time.process_time_ns if given.cpu_time else time.perf_counter_ns
    took = interleave(runs, 1, Effort(given.seconds), clock, warm=False)
    for what, column in (("plain against itself", 1), ("packed", 2)):
        low, middle, high = np.quantile(took[:, column] / took[:, 0], (0.25, 0.5, 0.75))
        print(f"time of a step, {what}: {middle:.3f} ({low:.3f} to {high:.3f}) of "
              f"{np.median(took[:, 0]) / 1e6:.0f} ms, {len(took)} rounds")  # fmt: skip
    with TemporaryDirectory() as folder:
        weights = Path(folder) / "weights"
        torch.save(model.state_dict(), weights)
        for direct in (False, True):
            memory = [
                resident(name, weights, given.threads, k, direct) for k in ("plain", "packed")
            ]
            print(f"peak resident memory of steps{', blocks given back' * direct}: "
                  f"{memory[0]:.0f} MiB plain, {memory[1]:.0f} packed: "
                  f"{memory[0] / memory[1]:.2f} times less", flush=True)  # fmt: skip


def main() -> None:
    """Measure the networks asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="*", help=", ".join(NETWORKS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=200, help="of training before")
    parser.add_argument("--seconds", type=float, default=60, help="of timing a network")
    parser.add_argument("--cpu-time", action="store_true", help="for a machine that is not idle")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--weights", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    for name in given.networks or NETWORKS:
        if given.child:
            child(name, given.child, given.weights)
        else:
            measure(name, given)


if __name__ == "__main__":
    main()
