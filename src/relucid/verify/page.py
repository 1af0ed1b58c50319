"""A run of verify as the tables of docs/accuracy.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from relucid.records.accuracy import (
    LIMITS,
    Accuracy,
    Checks,
    FunctionAccuracy,
    Special,
    Worst,
    accuracy_from_json,
)
from relucid.verify.contract import KNOWN
from relucid.verify.plan import everything
from relucid.verify.reference import WHICH
from relucid.verify.words import MISSING, TITLES, error, normal, quantity, worst

FOLDER = Path("benchmarks") / "accuracy"
"""Where the runs that are kept lie, in a checkout."""


def newest(folder: Path) -> Accuracy | None:
    """The latest run in ``folder`` on all inputs of the whole catalogue by the default route.

    None where there is no such run. Raises :class:`~relucid.errors.RecordError` for a file that
    is none.
    """
    for path in sorted(folder.glob("*.json"), reverse=True):
        found = accuracy_from_json(path.read_text("utf-8"))
        default = found.route == "default" and found.precision == "standard"
        whole = {a.name for a in everything()} <= {f.id for f in found.functions}
        if default and whole and found.complete:
            return found
    return None


def machine_line(accuracy: Accuracy) -> str:
    """When, on what and with what it was measured."""
    versions = ", ".join(f"{name} {version}" for name, version in accuracy.versions.items())
    return f"Measured on {accuracy.date} on {accuracy.machine}; {versions}."


def float32_table(accuracy: Accuracy) -> Iterator[str]:
    """Worst float32 results of every library, and how many of relucid's exceed each limit."""
    above = [f"above {limit:g}" for limit in LIMITS]
    others = [title for name, title in TITLES.items() if name != "relucid"]
    yield from _head(["function", "", "relucid", *above, "subnormal", "near root", *others])
    for function in accuracy.functions:
        for which in WHICH:
            yield _line([_name(function, which), which, *_float32_cells(function, which)])


def _float32_cells(function: FunctionAccuracy, which: str) -> Iterator[str]:
    own = quantity(function, "relucid", which)
    assert own is not None  # relucid is always measured
    tally = own.tally
    yield worst(tally.normal)
    yield from (f"{count:,}" for count in tally.above)
    yield _unless_none(tally.subnormal)
    yield _unless_none(tally.near_root)
    yield from (normal(function, name, which) for name in TITLES if name != "relucid")


def checks_table(accuracy: Accuracy) -> Iterator[str]:
    """16-bit and float64 results of relucid, and how far the truth is from the textbook."""
    halves = ["float16 moved", "bfloat16 moved"]
    yield from _head(["function", "", *halves, "float64", "points", "truth, ULP", "near root"])
    for function in accuracy.functions:
        for which in WHICH:
            checks: Checks = getattr(function, which)
            moved = [f"{half.moved:,}" for half in checks.halves]
            truth = checks.truth
            cells = [worst(checks.float64), f"{truth.points:,}", error(truth.ulp.error)]
            cells.append(_unless_none(Worst(truth.near_root.error)))
            yield _line([_name(function, which), which, *moved, *cells])


def specials_table(accuracy: Accuracy) -> Iterator[str]:
    """What a library gives at an input that is often got wrong, wherever any of them is wrong."""
    yield from _head(["function", "", "x", "due", *TITLES.values()])
    for function in accuracy.functions:
        for which in WHICH:
            for cells in _wrong_specials(function, which):
                yield _line([f"`{function.id}`", which, *cells])


def _wrong_specials(function: FunctionAccuracy, which: str) -> Iterator[list[str]]:
    found = {name: quantity(function, name, which) for name in TITLES}
    by_library = [own.specials if own else () for own in found.values()]
    for i, due in enumerate(by_library[0]):
        at = [specials[i] if specials else None for specials in by_library]
        if any(special is not None and not special.right for special in at):
            yield [f"{due.input:.3g}", f"{due.expected:.9g}", *map(_verdict, at)]


def _verdict(special: Special | None) -> str:
    if special is None:
        return MISSING
    return "right" if special.right else f"{special.found:.9g}"


def exceptions_table() -> Iterator[str]:
    """The rows of the contract that are known to miss their bound."""
    yield from _head(["row", "bound held instead", "why"])
    for (function, which, measure), known in KNOWN.items():
        yield _line([f"`{function}`, {which}, {measure}", f"{known.bound:g}", known.reason])


def _name(function: FunctionAccuracy, which: str) -> str:
    return f"`{function.id}`" if which == "value" else ""


def _unless_none(found: Worst) -> str:
    return error(found.error) if found.error else ""


def _head(cells: Sequence[str]) -> Iterator[str]:
    yield _line(cells)
    yield "|---" * len(cells) + "|"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
