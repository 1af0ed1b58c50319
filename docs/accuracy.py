"""Measure the accuracy of every elementwise function and write docs/accuracy.md.

Run by ``make docs``, or as ``PYTHONPATH=tests python docs/accuracy.py`` from the root of a
checkout, with the packages that the tests need; it takes under a minute.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from support.bounds import (
    FLOAT32,
    FLOAT64,
    FLOAT64_ROOT,
    HALF_FROM_FLOAT32,
    SPOILED,
)
from support.cases import ELEMENTWISE, Case
from support.fast import fast, rounded16
from support.pytorch import pytorch
from support.routes import ROUTES
from support.truth import exact
from support.ulp import (
    BFLOAT16,
    Worst,
    finite16,
    root_distance,
    root_size,
    sample32,
    sample64,
    ulps,
    worst,
)

ROOT = Path(__file__).parents[1]
WHICH = ("value", "derivative")
HALVES = (np.dtype(np.float16), BFLOAT16)
SAMPLE32, SAMPLE64 = 2_000_000, 9000
NEAR_A_ROOT = 1e-3

INTRODUCTION = f"""# Accuracy

Errors in units in the last place (ULP) of the result's own type, against the textbook definition
evaluated with mpmath; 0.5 is the best that a rounded result can do. `make docs`
writes this page, and the tests hold these bounds.

- **float32**, {SAMPLE32:,} inputs a function (every exponent, both signs, and the neighbours of
  every kink): evaluated in float64 and rounded once, on NumPy and on PyTorch's CPU route, so at
  most {FLOAT32} ULP, value and derivative.
- **float64**, {SAMPLE64:,} inputs a function: at most {FLOAT64:g} ULP. A derivative that crosses
  zero at r has no such bound nearer to r than abs(r): there its error is at most
  {FLOAT64_ROOT:.1e}, absolutely.
- **float16, bfloat16**, every finite input. NumPy rounds correctly. PyTorch evaluates in float32
  and rounds once more; the table counts the results that this moves to the other neighbour, of
  {sum(len(finite16(dtype)) for dtype in HALVES):,} inputs of both types. Where they are hundreds,
  the truth is half of an odd subnormal number but for digits beyond float32.
- **PyTorch's own function** stands beside, in float32 on this machine, away from roots of the
  derivative. It rounds a parameter such as 0.1 to float32; here that shows as one wrong input.
"""


def main() -> None:
    """Measure everything and write the page."""
    torch.set_num_threads(1)
    lines = [INTRODUCTION, *_machine(), *_table(), *_spoiled()]
    target = ROOT / "docs" / "accuracy.md"
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(target)


def _machine() -> Iterator[str]:
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}"
    yield f"Measured with {versions}, PyTorch {torch.__version__}, on {platform.machine()}.\n"


def _table() -> Iterator[str]:
    heads = ["function", "", "NumPy float32", "PyTorch route float32", "NumPy float64"]
    heads += ["PyTorch route float64", "16-bit moved", "PyTorch's own float32"]
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    for case in ELEMENTWISE:
        for which in WHICH:
            cells = [*_float32(case, which), *_float64(case, which)]
            cells += [str(_moved(case, which)), _own(case, which)]
            name = f"`{case.id}`" if which == "value" else ""
            yield f"| {name} | {which} | {' | '.join(cells)} |"
            print(case.id, which, *cells, file=sys.stderr)


def _float32(case: Case, which: str) -> Iterator[str]:
    points = sample32(case, SAMPLE32)
    truth = fast(case, which, points)
    for evaluate in ROUTES.values():
        result = evaluate(case.activation, which, points)
        yield _shown(worst(ulps(result, truth, 0.0, np.float32), points))


def _float64(case: Case, which: str) -> Iterator[str]:
    points = sample64(case, SAMPLE64)
    high, low = exact(case, which, points)
    away = root_distance(case, which, points) >= root_size(case)
    for evaluate in ROUTES.values():
        result = evaluate(case.activation, which, points)
        yield _shown(worst(np.where(away, ulps(result, high, low, np.float64), 0.0), points))


def _moved(case: Case, which: str) -> int:
    """Results of 16-bit inputs on PyTorch that are not the correctly rounded ones."""
    total = 0
    for dtype in HALVES:
        points = finite16(dtype)
        nearest, *_ = rounded16(case, which, points, dtype, HALF_FROM_FLOAT32)
        total += int((ROUTES["torch"](case.activation, which, points) != nearest).sum())
    return total


def _own(case: Case, which: str) -> str:
    function = pytorch(case)
    if function is None:
        return ""
    points = sample32(case, SAMPLE32)
    leaf = torch.from_numpy(points).requires_grad_(which == "derivative")
    result = function(leaf)
    if which == "derivative":
        (result,) = torch.autograd.grad(result.sum(), leaf)
    away = root_distance(case, which, points) >= NEAR_A_ROOT
    errors = ulps(result.numpy(), fast(case, which, points), 0.0, np.float32)
    return _shown(worst(np.where(away, errors, 0.0), points))


def _shown(found: Worst) -> str:
    if found.ulp == 0.0:
        return "0"
    if not np.isfinite(found.ulp):
        return f"not finite at {found.at:.3g}"
    size = f"{found.ulp:.2f}" if found.ulp < 100 else f"{found.ulp:.1e}"
    return f"{size} at {found.at:.3g}"


def _spoiled() -> Iterator[str]:
    yield "\n## Rows that miss the bound\n"
    yield "| row | bound held instead | why |"
    yield "|---|---|---|"
    for (case, which), spoiled in SPOILED.items():
        yield f"| `{case}`, {which}, float64 | {spoiled.ulp} ULP | {spoiled.culprit} |"


if __name__ == "__main__":
    main()
