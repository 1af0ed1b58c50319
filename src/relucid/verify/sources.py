"""What decides a measured number: the code and the libraries, as digests.

They are listed here and nowhere else. What is not listed (reports, commands, the page, how a run
is arranged) can be changed without losing hours of measurement.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from relucid.errors import KernelError
from relucid.functions import Elementwise
from relucid.kernels.build import Builder
from relucid.kernels.contract import Storage
from relucid.kernels.describe import describe
from relucid.verify.contract import bound
from relucid.verify.machine import machine, versions
from relucid.verify.plan import Plan
from relucid.verify.points import joints
from relucid.verify.reference import WHICH

PACKAGE = Path(__file__).parents[1]

MEASURING = (
    "functions/*.py",
    "nn/words.py",
    "records/accuracy.py",
    "verify/checks.py",
    "verify/halves.py",
    "verify/libraries.py",
    "verify/measure.py",
    "verify/plan.py",
    "verify/points.py",
    "verify/reference.py",
    "verify/sides.py",
    "verify/specials.py",
    "verify/sweep.py",
    "verify/textbook.py",
    "verify/units.py",
)
"""What measures, and the truth: every number depends on it. A function's family comes to it."""
OWN = (
    "kernels/build.py",
    "kernels/choose.py",
    "kernels/contract.py",
    "kernels/llvm/*.py",
    "nn/*.py",
)
"""What relucid's numbers depend on besides. The rest of ``kernels`` makes the loops, which are
told as text: changed, it only measures those functions again whose loops it changes."""

ENGINES = ("torch", "numpy", "scipy", "mpmath")
"""The libraries that measure."""
LIBRARIES = {"relucid": ("llvmlite",), "pytorch": (), "jax": ("jax", "jaxlib")}
"""What decides the numbers of each that is measured, where it is not among those."""
_ARITHMETICS: tuple[tuple[Storage, int], ...] = (("float32", 32), ("float64", 64))


def fingerprint(installed: Mapping[str, str], files: Iterable[str] = ("**/*.py",)) -> str:
    """A digest of what is installed and of relucid's files that match a pattern; default: all."""
    digest = hashlib.sha256(repr(sorted(installed.items())).encode())
    for path in sorted({path for pattern in files for path in PACKAGE.glob(pattern)}):
        digest.update(path.relative_to(PACKAGE).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def measuring() -> str:
    """What every number depends on, the processor among it."""
    return fingerprint({**versions(ENGINES), "machine": machine()}, MEASURING)


def deciding(plan: Plan, library: str) -> str:
    """What the numbers of one library's function depend on besides."""
    files = [_family(plan.activation), *(OWN if library == "relucid" else ())]
    told = [fingerprint(versions(LIBRARIES[library]), files), repr(joints(plan.activation))]
    if library == "relucid":
        told += [*_loops(plan.activation), repr([bound(plan.activation, w) for w in WHICH])]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]


def _family(activation: Elementwise) -> str:
    """The file that declares the function."""
    return f"{activation.formula.__module__.removeprefix('relucid.').replace('.', '/')}.py"


def _loops(activation: Elementwise) -> list[str]:
    """The programs of value and derivative, of which all loops are made; none without kernels."""
    builders = [Builder(activation, storage, bits) for storage, bits in _ARITHMETICS]
    try:
        return [describe(loop) for b in builders for loop in (b.forward(), b.derivative())]
    except KernelError:
        return []
