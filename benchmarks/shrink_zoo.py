"""Exactness on the zoo: planted units gone, outputs equal on many random and adversarial inputs.

``python benchmarks/shrink_zoo.py [--random 10000] [--adversarial 1000] [--dtypes float32 float64]
[NAME ...]`` shrinks real architectures with planted units, and prints for each the units that went,
the largest output difference relative to the largest output for the same input, and whatever is
wrong: planted units that stayed, gradients that differ, a model that was touched. Adversarial are
corners of the domain and the same after gradient ascent on the difference; of models of words,
embeddings of any size in place of ids.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

from relucid.shrink import shrink

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.shrink_checks import (
    adversarial_batches,
    changed,
    check_later_life,
    largest,
    missing,
    random_batches,
    snapshot,
    wrong_gradients,
)
from support.shrink_zoo import ZOO, case, cast

AT_ONCE = 250
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}


def tried(name: str, dtype: torch.dtype, random: int, adversarial: int) -> bool:
    """Shrink a case, print a row, and return whether all is as it should be."""
    one = case(name, dtype)
    inputs, before = cast(one.keywords(2), dtype), snapshot(one.model)
    started = time.process_time()
    shrunk = shrink(one.model, inputs.get("x", inputs), one.domain)
    seconds = time.process_time() - started
    models = one.model, shrunk.model
    found = (
        largest(*models, random_batches(one, random, AT_ONCE, dtype)),
        largest(*models, adversarial_batches(one, *models, adversarial, AT_ONCE, dtype)),
    )
    wrong = [f"changed: {one}" for one in changed(before, snapshot(one.model))]
    wrong += missing(one, shrunk.receipt)
    if dtype is torch.float32:
        wrong += [f"gradient: {x}" for x in wrong_gradients(one, shrunk.model, shrunk.receipt)]
        check_later_life(one, shrunk.model)
    planted = sum(len(p.constant) + p.spare for p in one.planted)
    print(f"{one.name}, {str(dtype)[6:]}: {planted} planted, {shrunk.receipt.removed} removed; "
          f"random {found[0]:.1e}, adversarial {found[1]:.1e}; {seconds:.1f} s of processor time"
          + "".join(f"\n  WRONG {x}" for x in wrong), flush=True)  # fmt: skip
    return not wrong and max(found) <= TOLERANCE[dtype]


def main() -> int:
    """Try all cases; 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ZOO))
    parser.add_argument("--random", type=int, default=10_000)
    parser.add_argument("--adversarial", type=int, default=1_000)
    parser.add_argument("--dtypes", nargs="*", default=["float32", "float64"])
    given = parser.parse_args()
    torch.set_num_threads(1)
    right = [
        tried(name, getattr(torch, dtype), given.random, given.adversarial)
        for name in given.names or ZOO
        for dtype in given.dtypes
    ]
    return int(not all(right))


if __name__ == "__main__":
    raise SystemExit(main())
