"""Soundness of linear bounds, by brute force on random small networks.

``python benchmarks/shrink_soundness.py [--networks 100000] [--first 0] [--processes 1]`` bounds
networks of width at most 8 (linear layers, convolutions, batch norm, residual sums,
concatenations, pooling; ReLU and six like it), then evaluates each in float32 on the corners of
its domain, a fine grid, random points and points moved along gradients. Biases are moved so that
many units have their largest or smallest value at 0, give or take a few roundings.

Printed is how many units are proved to be never on (dead) or always on, by intervals alone and
with linear bounds, and how many are so at all points that were searched: no proof can find more.
Violations, values outside their bounds, must be 0. ``--first`` goes on where a search that was
interrupted says that it stopped.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.stacked_networks import ARCHITECTURES, examined, searched, units

TOGETHER = (48, 48, 48, 12)
"""Networks of a stack, by architecture; convolutions take longer."""
SINGLE = 20
"""Each 20th stack of an architecture is one network: its sums have no more terms than its own."""
DTYPES = ("float32", "float64", "bfloat16", "float16")
COUNTS = """networks units intervals:dead intervals:on linear:dead linear:on searched:dead
searched:on violations""".split()


def networks_of(stack: int) -> int:
    """Return how many networks a stack holds."""
    single = stack // len(ARCHITECTURES) % SINGLE == SINGLE - 1
    return 1 if single else TOGETHER[stack % len(ARCHITECTURES)]


def stack_counts(stack: int, dtype: str) -> Counter[str]:
    """Bound and search one stack of networks."""
    torch.set_num_threads(1)
    count = networks_of(stack)
    one, sites, _ = examined(stack % len(ARCHITECTURES), count, stack, getattr(torch, dtype))
    counts = Counter(networks=count)
    for site, (z, _) in zip(sites, searched(one, stack), strict=True):
        values = z.double()
        outside = (values < site.after.low) | (values > site.after.high)
        counts["violations"] += int(outside.sum())
        lowest, highest = values.amin(0, keepdim=True), values.amax(0, keepdim=True)
        found = site.before.but(low=lowest, high=highest)
        for name, known in (
            ("intervals", site.before),
            ("linear", site.after),
            ("searched", found),
        ):
            low, high = units(known)
            counts[f"{name}:dead"] += int((high <= 0).sum())
            counts[f"{name}:on"] += int(((low >= 0) & (high > 0)).sum())
        counts["units"] += len(units(found)[0])
    return counts


def search(stacks: list[int], dtype: str, processes: int) -> tuple[Counter[str], int]:
    """Add up the counts of these stacks; also return the first that was not searched."""
    counts: Counter[str] = Counter()
    console = Console(stderr=True)
    done: set[int] = set()
    pool = ProcessPoolExecutor(processes)
    try:
        with Progress(console=console) as progress:
            task = progress.add_task("Searching", total=len(stacks))
            rest, running = iter(stacks), dict[Future[Counter[str]], int]()
            while len(done) < len(stacks):
                for stack in rest:
                    running[pool.submit(stack_counts, stack, dtype)] = stack
                    if len(running) >= 2 * processes:
                        break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    stack = running.pop(future)
                    found = future.result()
                    done.add(stack)
                    counts += found
                    progress.advance(task)
                    if found["violations"]:
                        console.print(f"stack {stack}: {found['violations']} values outside")
    except KeyboardInterrupt:
        pool.shutdown(cancel_futures=True)
    return counts, next((stack for stack in stacks if stack not in done), stacks[-1] + 1)


def main() -> int:
    """Run the search and print its counts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first stack")
    parser.add_argument("--processes", type=int, default=1, help=f"of {os.cpu_count()} cores")
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    given = parser.parse_args()
    stacks, networks = [], 0
    while networks < given.networks:
        stacks.append(given.first + len(stacks))
        networks += networks_of(stacks[-1])
    counts, following = search(stacks, given.dtype, given.processes)
    for name in COUNTS:
        print(f"{name}: {counts[name]:,}")
    print(f"go on with --first {following}")
    return int(counts["violations"] > 0)


if __name__ == "__main__":
    raise SystemExit(main())
