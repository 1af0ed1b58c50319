"""A character model writes text, dense and accelerated by ``relucid.accelerate``.

``python benchmarks/generating.py [--characters 3072] [--threads 1]`` takes the model that
``benchmarks/characters.py`` trained, and goes on with pieces of held-out text at temperature 0, one
character at a time (batch 1, keys and values kept). Both sides, and the dense one a second time as
a control, write each piece in turn; reading the piece counts. The texts have to be the same.
Printed is how often faster the accelerated model writes, from beginning to end, and by layer the
share of the hidden units that are zero and the share that is proved to be so without their weights.
The target is 1.5 times.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from characters import FOLDER, TEXT, Characters, Corpus, Past, judged, trained
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

import relucid
from relucid.bench.statistics import Spread, held, paired
from relucid.records.serialise import encode

TARGET = 1.5
READ, WRITTEN = 32, 128
"""Characters of a piece that are given, and that are written."""
DENSE, AGAIN, ACCELERATED = "dense", "dense again", "accelerated"


@torch.inference_mode()
def written(model: Characters, piece: Tensor, count: int = WRITTEN) -> Tensor:
    """Go on with a piece, (1, length) int64; returns the ``count`` likeliest next characters."""
    past, text = Past(model.sizes), torch.empty(1, count, dtype=torch.int64)
    following = piece
    for place in range(count):
        following = model(following, past)[:, -1:].argmax(-1)
        text[:, place : place + 1] = following
    return text


def pieces_of(corpus: Corpus, count: int) -> list[Tensor]:
    """Pieces of held-out text, evenly spread."""
    starts = torch.linspace(0, len(corpus.held_out) - READ - 1, count).long().tolist()
    return [corpus.held_out[None, start : start + READ] for start in starts]


def race(
    sides: dict[str, Characters], pieces: list[Tensor]
) -> tuple[dict[str, list[float]], dict[str, list[Tensor]]]:
    """Let all sides write all pieces in turn; seconds a piece, and the texts."""
    draw, order = random.Random(0), list(sides)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    texts: dict[str, list[Tensor]] = {name: [] for name in sides}
    for name in order:  # what is done once: calibration, and code that is compiled
        written(sides[name], pieces[0])
    for piece in track(pieces, "Writing", console=Console(stderr=True)):
        draw.shuffle(order)
        for name in order:
            begun = time.perf_counter()
            text = written(sides[name], piece)
            seconds[name].append(time.perf_counter() - begun)
            texts[name].append(text)
    return seconds, texts


def zeros_by_layer(model: Characters, pieces: list[Tensor]) -> list[float]:
    """By layer the share of hidden units that are zero, of the characters that are written."""
    zeros: list[list[float]] = [[] for _ in model.blocks]

    def count(layer: int) -> object:
        def hook(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
            if inputs[0].shape[1] == 1:
                zeros[layer].append((inputs[0] == 0).float().mean().item())

        return hook

    downs = [block.feedforward.down for block in model.blocks]
    handles = [down.register_forward_hook(count(layer)) for layer, down in enumerate(downs)]
    for piece in pieces:
        written(model, piece)
    for handle in handles:
        handle.remove()
    return [float(np.mean(shares)) for shares in zeros]


def main() -> int:
    """Race, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--characters", type=int, default=3072)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--text", type=Path, default=TEXT)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    corpus = Corpus.read(given.text)
    dense = trained(corpus, given.folder)
    pieces = pieces_of(corpus, max(given.characters // WRITTEN, 1))
    begun = time.perf_counter()
    accelerated = deepcopy(dense)
    report = relucid.accelerate(accelerated, pieces[0])
    taken = time.perf_counter() - begun
    sides = {DENSE: dense, AGAIN: dense, ACCELERATED: accelerated}
    seconds, texts = race(sides, pieces)
    times = {name: np.array(column) / WRITTEN for name, column in seconds.items()}
    gain, control = paired(times[DENSE], times[ACCELERATED]), paired(times[DENSE], times[AGAIN])
    pairs = zip(texts[DENSE], texts[ACCELERATED], strict=True)
    same = sum(torch.equal(one, other) for one, other in pairs)
    zeros = zeros_by_layer(dense, pieces[:4])
    certified = [1.0 - (block.feedforward.up.seen.share or 1.0) for block in accelerated.blocks]
    report.show()
    show(gain, control, times, zeros, certified)
    print(
        f"loss on held-out text {judged(dense, corpus)[0]:.3f} nats; accelerate took {taken:.1f} s"
    )
    print(f"{same} of {len(pieces)} texts are the same; one of them:\n")
    print(corpus.text(pieces[1 % len(pieces)]) + corpus.text(texts[ACCELERATED][1 % len(pieces)]))
    if given.json:
        milliseconds = {name: 1e3 * float(np.median(column)) for name, column in times.items()}
        found = {"gain": gain, "control": control, "milliseconds": milliseconds, "zeros": zeros}
        found |= {"certified": certified, "same": same, "pieces": len(pieces)}
        given.json.write_text(json.dumps(encode(found), indent=1))
    return int(same < len(pieces) or gain.median < TARGET)


def show(
    gain: Spread,
    control: Spread,
    times: dict[str, np.ndarray],
    zeros: list[float],
    certified: list[float],
) -> None:
    """Print the figures."""
    dense, fast = (1e3 * float(np.median(times[name])) for name in (DENSE, ACCELERATED))
    print(f"dense {dense:.2f} ms a character, accelerated {fast:.2f} ms")
    print(
        f"{gain.median:.2f} times as fast ({gain.low:.2f} to {gain.high:.2f}), target {TARGET}; "
        f"dense again {control.median:.3f}" + ("" if held(control) else ": NO STEADY MACHINE")
    )
    for layer, (zero, proved) in enumerate(zip(zeros, certified, strict=True)):
        print(f"layer {layer}: {zero:.1%} of units are zero, {proved:.1%} proved")


if __name__ == "__main__":
    raise SystemExit(main())
