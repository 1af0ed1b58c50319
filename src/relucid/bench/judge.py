"""From rows to conclusions: means over functions, and which targets are met."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from relucid.bench.plan import LIST
from relucid.bench.record import FirstUse, Results, Row, Setting
from relucid.bench.statistics import geometric_mean
from relucid.bench.targets import TARGETS, Target

Outcome = Literal["met", "missed", "open"]


@dataclass(frozen=True)
class Verdict:
    """What the rows say of a target."""

    target: Target
    outcome: Outcome
    """``open``: rows that it needs were not measured or were discarded."""
    figure: float | None
    """The mean or the worst of what was measured; None where nothing was."""
    worst_at: str
    """The function, and with several peers the peer, of the worst row."""
    measured: int
    wanted: int


@dataclass(frozen=True)
class Summary:
    """relucid beside one peer over the list of functions, for one combination of the rest."""

    setting: Setting
    """With an empty function."""
    peer: str
    mean: float
    """Geometric mean of the peer's times over relucid's."""
    worst: float
    worst_function: str
    count: int
    """Functions that count: rows that were discarded do not."""


def judge(results: Results, targets: Sequence[Target] = TARGETS) -> list[Verdict]:
    """Hold the results against the targets."""
    rows = {row.setting: row for row in results.rows if not row.discarded}
    return [_verdict(target, rows, results.first_use) for target in targets]


def summarise(rows: Sequence[Row], functions: Sequence[str] = LIST) -> list[Summary]:
    """Means over the functions of each group of rows that differ in nothing else, by peer."""
    groups: dict[tuple[Setting, str], dict[str, float]] = {}
    for row in rows:
        if row.setting.function in functions and not row.discarded:
            rest = replace(row.setting, function="")
            for peer in _peers(row):
                speedups = groups.setdefault((rest, peer), {})
                speedups[row.setting.function] = _speedup(row, peer)
    return [_summary(*key, speedups) for key, speedups in groups.items()]


def _summary(rest: Setting, peer: str, speedups: dict[str, float]) -> Summary:
    slowest = min(speedups, key=lambda function: speedups[function])
    mean = geometric_mean(speedups.values())
    return Summary(rest, peer, mean, speedups[slowest], slowest, len(speedups))


def _verdict(target: Target, rows: dict[Setting, Row], first_use: FirstUse | None) -> Verdict:
    wanted = dict(_wanted(target, rows, first_use))
    found = {name: figure for name, figure in wanted.items() if figure is not None}
    if not found:
        return Verdict(target, "open", None, "", 0, len(wanted))
    pick: Callable[..., str] = min if target.at_least else max
    worst = pick(found, key=lambda name: found[name])
    figure = found[worst] if target.over == "worst" else geometric_mean(found.values())
    outcome = _outcome(target, figure, complete=len(found) == len(wanted))
    return Verdict(target, outcome, figure, worst, len(found), len(wanted))


def _outcome(target: Target, figure: float, complete: bool) -> Outcome:
    reached = figure >= target.bound if target.at_least else figure <= target.bound
    if not reached and (complete or target.over == "worst"):
        return "missed"  # a worst row that fails does so whatever the others would say
    return "met" if complete else "open"


def _wanted(
    target: Target, rows: dict[Setting, Row], first_use: FirstUse | None
) -> Iterator[tuple[str, float | None]]:
    """The figures that decide, by what to call them; None for one that is missing."""
    if target.figure in ("cold seconds", "cached seconds"):
        times = None if first_use is None else (first_use.cold, first_use.cached)
        which = 0 if target.figure == "cold seconds" else 1
        yield "" if first_use is None else first_use.function, times and times[which].median
        return
    combined = product(target.functions, target.sizes, target.forms, target.dtypes)
    for function, size, (work, policy), dtype in combined:
        row = rows.get(Setting(function, dtype, size, work, policy, threads=1))
        for peer in target.peers or ("",):
            name = " ".join(filter(None, (function, peer, f"{size:,}", work, policy)))
            yield name, None if row is None else _figure(target, row, peer)


def _figure(target: Target, row: Row, peer: str) -> float | None:
    name = {"speedup": peer, "relus": "relu"}.get(target.figure, "relucid")
    side = row.side(name)
    if side is None:
        return None
    if target.figure == "speedup":
        return side.speedup.median
    if target.figure == "relus":
        return 1.0 / side.speedup.median
    return side.copies.median if target.figure == "copies" else side.time.median / 1e3


def _peers(row: Row) -> list[str]:
    return [side.name for side in row.sides if side.name not in ("relucid", "copy", "relu")]


def _speedup(row: Row, peer: str) -> float:
    side = row.side(peer)
    assert side is not None
    return side.speedup.median
