"""Soundness of the bounds over a domain, by brute force on random small networks.

``python benchmarks/bounds.py [--networks 100000] [--first 0]`` proves bounds for networks of
width at most 8 with all elementwise functions, then evaluates each in float32 on the corners of
its domain, a dense grid, random points and points moved along gradients. It prints how many
values were outside their bounds and how many units called dead fired; both must be 0.
It takes 20 to 100 ms a network on one thread, and can be interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.progress import track

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.small_networks import examined, violations

AT_ONCE = 100


def search(first: int, networks: int, counts: Counter[str]) -> None:
    """Count networks, units, proofs and violations."""
    console = Console(stderr=True)
    for start in track(range(first, first + networks, AT_ONCE), "Searching", console=console):
        seeds = range(start, min(start + AT_ONCE, first + networks))
        for seed, (network, low, high, sites, gaps) in zip(seeds, examined(seeds), strict=True):
            found = violations(network, low, high, sites, seed)
            counts.update(networks=1, gaps=len(gaps), violations=len(found))
            for site in sites:
                counts["units"] += site.site.units
                counts["provably dead"] += int(site.bounds.dead.sum())
                counts["provably on"] += int(site.bounds.on.sum())
            for name, activation in found:
                console.print(f"seed {seed}: {activation} at {name}", markup=False)


def main() -> int:
    """Run the search and print its counts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, help="seed of the first network")
    given = parser.parse_args()
    counts: Counter[str] = Counter()
    with contextlib.suppress(KeyboardInterrupt):  # what was searched until then is printed
        search(given.first, given.networks, counts)
    for name in ("networks", "units", "provably dead", "provably on", "gaps", "violations"):
        print(f"{name}: {counts[name]:,}")
    return int(counts["violations"] > 0)


if __name__ == "__main__":
    raise SystemExit(main())
