"""Soundness of skipped zeros: blocks with adversarial weights and inputs, and exact sums.

``python benchmarks/zeros_soundness.py [--blocks 10000] [--first 0]`` draws feed-forward blocks, of
width 1 to 300 and hidden width 1 to 24, some much wider (two threads share those), in float32 and
(every fourth) bfloat16. Numbers are huge, tiny, denormal, cancelling, with outliers, or such that
rounding errs as far as it can; half of the biases put the pre-activation within a few roundings of
the level. The same blocks, fewer, are in the tests.

No unit whose exact pre-activation is above the level may be skipped, nor one that the dense product
puts there; printed is how many units that are zero are found. Errors are relative to the sum of
the absolute values of the terms, and those of the dense product are taken off; in float32 at most
1e-6 may be left.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.adversarial_blocks import ALLOWED, checked, drawn

SIZES: dict[int, tuple[int | None, int | None]] = {
    97: (4096, None), 193: (8, 4096), 251: (300, 1024), 2503: (70_000, None)
}  # fmt: skip
"""Width and hidden width of each N-th block, if not drawn; N are odd: every fourth is bfloat16."""


def sizes_of(seed: int) -> tuple[int | None, int | None]:
    """The sizes of a block."""
    rare = [sizes for every, sizes in SIZES.items() if seed % every == every - 1]
    return rare[-1] if rare else (None, None)


def main() -> int:
    """Draw the blocks; 1 where one is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--blocks", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(2)
    counts, worst = Counter[str](), dict[tuple[str, torch.dtype], float]()
    seeds, console = range(given.first, given.first + given.blocks), Console(stderr=True)
    for seed in track(seeds, "Searching", console=console):
        block = drawn(seed, *sizes_of(seed))
        found, dtype = checked(block), block.x.dtype
        for name in ("units", "zero", "skipped", "wrong", "denied", "sparse"):
            counts[name] += getattr(found, name)
        for name, excess in found.excess.items():
            worst[name, dtype] = max(worst.get((name, dtype), -1.0), excess)
        far = sum(not excess <= ALLOWED[dtype] for excess in found.excess.values())  # NaN is
        counts["far"] += far
        if found.wrong or found.denied or far:
            console.print(f"block {seed} ({block.kind}): {found}")
    print(f"{given.blocks} blocks, {counts['sparse']} of them computed with work left out")
    print(f"units: {counts['units']:,}, zero: {counts['zero']:,}, skipped: {counts['skipped']:,}")
    print(
        f"skipped but above the level: {counts['wrong']} exactly, {counts['denied']} in the dense"
    )
    for (name, dtype), excess in sorted(worst.items(), key=str):
        print(f"largest error beyond the dense one, {name}, {dtype}: {excess:.1e}")
    return int(counts["wrong"] + counts["denied"] + counts["far"] > 0)


if __name__ == "__main__":
    raise SystemExit(main())
