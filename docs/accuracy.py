"""Write docs/accuracy.md from the newest run of ``relucid verify`` in benchmarks/accuracy.

Run by ``make docs``, or as ``PYTHONPATH=tests python docs/accuracy.py`` from the root of a
checkout, with the packages that the tests need. Functions with other parameters, and all of them
where there is no run yet, are measured on a sample: a minute or two.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from relucid.functions import Elementwise
from relucid.records.accuracy import Accuracy
from relucid.report.files import write_atomically
from relucid.verify import Store, everything, measure, plans
from relucid.verify.contract import DERIVATIVE, FLOAT64, NEAR_ROOT, TRUTH, VALUE
from relucid.verify.page import (
    FOLDER,
    checks_table,
    exceptions_table,
    float32_table,
    machine_line,
    newest,
    specials_table,
)
from support.cases import ELEMENTWISE

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "accuracy.md"
SAMPLE = 1_000_000

INTRODUCTION = f"""# Accuracy

Errors in units in the last place (ULP) of the result's own type; 0.5 is the best that a rounded
result can do. [`relucid verify`](verify.md) measures them, and `make docs` writes this page.

What relucid promises on PyTorch's CPU tensors:

- **float32**: values within {VALUE:g} ULP, derivatives within {DERIVATIVE:g} ULP; within 1e-3 of
  a root of the derivative, derivatives within {NEAR_ROOT:g} absolutely. Piecewise linear functions
  are correctly rounded. Subnormal results have the same bounds in units of the smallest subnormal.
- **float64**, on a sample: within {FLOAT64:g} ULP. A derivative that crosses zero at r has no such
  bound nearer to r than abs(r): there its error is at most 3.3e-16, absolutely.
- **float16, bfloat16**: evaluated in float32 and rounded once more.
- NaN in, NaN out, value and gradient, and the limits at the infinities.

On NumPy float32 is evaluated in float64 and rounded once: within 0.501 ULP, as the tests hold.
"""

FLOAT32 = """
"above" counts relucid's results that are off by more than so many ULP. "subnormal" is the worst
subnormal result, in units of the smallest subnormal; "near root" the worst absolute error of a
derivative within 1e-3 of its root. PyTorch and JAX are their own functions on the same inputs; they
round a parameter such as 0.1 to float32, and where they take another derivative at a kink that is
not counted.
"""

CHECKS = f"""
Of the 65,536 inputs of each 16-bit type, "moved" counts the results that are not the correctly
rounded ones: the second rounding took them to the other neighbour. Where they are hundreds, the
truth is half of an odd subnormal number but for digits beyond float32. "float64" is the worst of a
sample. "truth" is how far the float64 truth, by which float32 is judged, is from the textbook
definition in arbitrary precision, at so many points: at most {TRUTH:g} ULP of float32.
"""

SPECIALS = """
Inputs are NaN, the infinities, -0.0, the largest finite and the smallest subnormal numbers, each in
67 lanes of a tensor. Rows where every library is right are left out.
"""


def main() -> None:
    """Gather what is measured and write the page."""
    run = newest(ROOT / FOLDER) or sampled(everything())
    others = sampled([case.activation for case in ELEMENTWISE if case.parameters])
    write_atomically(PAGE, "\n".join(page(run, others)) + "\n")
    print(PAGE)


def sampled(activations: Sequence[Elementwise]) -> Accuracy:
    """Measure functions on a sample of inputs."""
    with TemporaryDirectory() as folder:
        store = Store(Path(folder), "docs")
        return measure(plans(activations, sample=SAMPLE), store, workers=os.cpu_count() or 1)


def page(run: Accuracy, others: Accuracy) -> Iterator[str]:
    """Yield the page by paragraphs and lines of tables."""
    yield from (INTRODUCTION, machine_line(run), "")
    yield from (f"## float32, {_inputs(run)}", FLOAT32, *float32_table(run), "")
    yield from ("## float32, other parameters, on a sample", "", *float32_table(others), "")
    yield from ("## Other types, and the truth", CHECKS, *checks_table(run), "")
    yield from ("## What other libraries get wrong", SPECIALS, *specials_table(run), "")
    yield from ("## Rows that miss the bound", "", *exceptions_table())


def _inputs(run: Accuracy) -> str:
    if run.complete:
        return "all 2³² inputs"
    largest = max(f.libraries[0].value.tally.inputs for f in run.functions)
    return f"a sample of {largest:,} inputs"


if __name__ == "__main__":
    main()
