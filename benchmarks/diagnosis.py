"""The golden set over many seeds: each planted illness at its site, and none in healthy networks.

``python benchmarks/diagnosis.py [--seeds 20] [--json diagnosis.json]`` builds every sick and every
healthy network of ``tests/support/golden_set.py`` once a seed, with weights and an order of the
digits of its own, and counts the diagnoses that are right in all: each planted finding there,
with its rule, site and units, and no other illness. Healthy networks are diagnosed at their start,
by what a watch saw while they were trained, and trained. 20 seeds take half an hour on a core.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.golden_set import HEALTHY, SICK, healthy

Complaints = Callable[[int], list[str]]


def cases() -> dict[str, Complaints]:
    """What is wrong with the diagnosis of each network, by its name, for a seed."""
    sick = {f"sick: {name}": partial(_of_sick, name) for name in SICK}
    return sick | {f"healthy: {name}": partial(_of_healthy, name) for name in HEALTHY}


def _of_sick(name: str, seed: int) -> list[str]:
    return SICK[name](seed).complaints()


def _of_healthy(name: str, seed: int) -> list[str]:
    stages = healthy(name, seed).items()
    return [f"{stage}: {wrong}" for stage, patient in stages for wrong in patient.complaints()]


def main() -> None:
    """Run the set and print a table; exit with 1 if a diagnosis was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", default="", help="networks whose name holds this")
    given = parser.parse_args()
    torch.set_num_threads(1)
    chosen = {name: of_seed for name, of_seed in cases().items() if given.only in name}
    start, rows = time.perf_counter(), {}
    progress = Console(stderr=True)
    for name, complaints in track(chosen.items(), "Diagnosing", console=progress):
        found = {seed: complaints(seed) for seed in range(given.seeds)}
        rows[name] = {seed: wrong for seed, wrong in found.items() if wrong}
    show(rows, given.seeds)
    progress.print(f"{time.perf_counter() - start:.0f} s")
    if given.json is not None:
        document = {"seeds": given.seeds, "wrong": rows}
        given.json.write_text(json.dumps(document, indent=1), encoding="utf-8")
    sys.exit(any(rows.values()))


def show(rows: dict[str, dict[int, list[str]]], seeds: int) -> None:
    """Print how many diagnoses were right, and what was wrong with the others."""
    table = Table("network", "right", "wrong")
    for name, wrong in rows.items():
        said = "\n".join(f"seed {seed}: {'; '.join(what)}" for seed, what in wrong.items())
        table.add_row(name, f"{seeds - len(wrong)} of {seeds}", said)
    console = Console()
    console.print(table)
    right = sum(seeds - len(wrong) for wrong in rows.values())
    console.print(f"{right} of {seeds * len(rows)} diagnoses are right.")


if __name__ == "__main__":
    main()
