"""Results as tables of text, for the terminal and for the documentation alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from relucid.bench.judge import Summary, Verdict, judge, summarise
from relucid.bench.record import Machine, Results, Row, Setting, Side
from relucid.bench.statistics import CONTROL

PEERS = ("eager", "compile", "jax", "numpy")
_PASSES = {"forward": "forward", "backward": "backward alone", "both": "forward and backward"}
_POLICIES = {"fresh": "fresh outputs", "out": "given buffers"}


@dataclass(frozen=True)
class Sheet:
    """A table with its title. The first column is a name; the others are figures."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def machine_line(results: Results) -> str:
    """Where and with what it was measured, in a sentence."""
    machine = results.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    commit = f" at commit {machine.commit}" if machine.commit else ""
    return f"{results.date}, {_hardware(machine)}. {versions}{commit}."


def sheets(results: Results) -> Iterator[Sheet]:
    """All tables: the rows first, then what they add up to."""
    yield from row_sheets(results.rows)
    yield from conclusions(results)


def conclusions(results: Results) -> Iterator[Sheet]:
    """The compile times, the means over functions, and the targets."""
    if any(side.compile_seconds is not None for row in results.rows for side in row.sides):
        yield _compile_sheet(results.rows)
    summaries = summarise(results.rows)
    if summaries:
        yield _summary_sheet(summaries)
    yield _target_sheet(judge(results))


def row_sheets(rows: Sequence[Row]) -> Iterator[Sheet]:
    """A table for each group of rows that differ in the function alone."""
    in_order = sorted(rows, key=lambda row: _order(row.setting))
    for rest, members in groupby(in_order, key=lambda row: replace(row.setting, function="")):
        yield _row_sheet(rest, list(members))


def _order(setting: Setting) -> tuple[object, ...]:
    return (
        setting.threads, setting.dtype != "float32", setting.dtype, setting.size,
        setting.work, setting.policy,
    )  # fmt: skip


def _row_sheet(rest: Setting, rows: Sequence[Row]) -> Sheet:
    heads = ("function", "time", "copies", *PEERS, "ReLUs", "ULP", "IQR", "control")
    cells = [_cells(row) for row in rows]
    used = [i for i in range(len(heads)) if any(line[i] for line in cells)]
    return Sheet(
        _title(rest),
        tuple(heads[i] for i in used),
        tuple(tuple(line[i] for i in used) for line in cells),
        tuple(_notes(rows)),
    )


def _cells(row: Row) -> tuple[str, ...]:
    own = row.side("relucid")
    assert own is not None
    name = f"{row.setting.function} (wrong)" if row.wrong else row.setting.function
    control = f"{row.control.median:.3f}"
    if row.discarded:
        return (name, "discarded", *[""] * (len(PEERS) + 4), control)
    relu = row.side("relu")
    peers = [row.side(peer) for peer in PEERS]
    return (
        name,
        duration(own.time.median),
        f"{own.copies.median:.2f}",
        *("" if side is None else f"{side.speedup.median:.2f}" for side in peers),
        "" if relu is None else f"{1.0 / relu.speedup.median:.2f}",
        _errors(own),
        f"{max((s.speedup.width for s in peers if s is not None), default=0.0):.0%}",
        control,
    )


def _notes(rows: Sequence[Row]) -> Iterator[str]:
    if any(row.discarded for row in rows):
        yield f"Discarded: relucid against itself came out beyond {CONTROL[0]} to {CONTROL[1]}."
    for row in rows:
        if row.wrong:
            yield f"{row.setting.function} is wrong: {row.wrong}."
    noted: dict[str, list[str]] = {}
    for row in rows:
        for side in row.sides:
            if side.note:
                noted.setdefault(f"{side.name}: {side.note}", []).append(row.setting.function)
    for note, names in noted.items():
        yield f"{note}." if len(names) == len(rows) else f"{', '.join(names)}, {note}."


def _errors(side: Side) -> str:
    both = (side.value_error, side.gradient_error)
    return " / ".join(f"{error:.2g}" for error in both if error is not None)


def _compile_sheet(rows: Sequence[Row]) -> Sheet:
    taken: dict[str, list[float]] = {}
    for row in rows:
        for side in row.sides:
            if side.compile_seconds is not None:
                taken.setdefault(side.name, []).append(side.compile_seconds)
    lines = (
        (name, f"{np.median(seconds):.2g}", f"{max(seconds):.2g}", f"{len(seconds):,}")
        for name, seconds in taken.items()
    )
    title = "Seconds of a row's first calls, which compile"
    return Sheet(title, ("side", "median", "longest", "rows"), tuple(lines))


def _summary_sheet(summaries: Sequence[Summary]) -> Sheet:
    heads = ("rows", *PEERS, "worst function")
    by_rest: dict[Setting, dict[str, Summary]] = {}
    for summary in sorted(summaries, key=lambda s: _order(s.setting)):
        by_rest.setdefault(summary.setting, {})[summary.peer] = summary
    lines = [
        (
            _short_title(rest),
            *(f"{found[peer].mean:.2f}" if peer in found else "" for peer in PEERS),
            _worst(min(found.values(), key=lambda summary: summary.worst)),
        )
        for rest, found in by_rest.items()
    ]
    used = [i for i in range(len(heads)) if any(line[i] for line in lines)]
    return Sheet(
        "Times as fast as each peer: geometric mean over the functions, and the worst function",
        tuple(heads[i] for i in used),
        tuple(tuple(line[i] for i in used) for line in lines),
    )


def _worst(summary: Summary) -> str:
    return f"{summary.worst_function} {summary.worst:.2f}, {summary.peer}"


def _target_sheet(verdicts: Sequence[Verdict]) -> Sheet:
    lines = (
        (
            verdict.target.claim,
            f"{'≥' if verdict.target.at_least else '≤'} {verdict.target.bound:.3g}",
            "" if verdict.figure is None else f"{verdict.figure:.3g}",
            verdict.outcome,
            f"{verdict.measured}/{verdict.wanted}",
            verdict.worst_at,
        )
        for verdict in verdicts
    )
    heads = ("one thread, float32 unless said", "wanted", "figure", "", "rows", "worst row")
    note = "open: rows that decide were not measured or were discarded."
    return Sheet("Targets", heads, tuple(lines), (note,))


def _title(rest: Setting) -> str:
    threads = f"{rest.threads} thread{'s' if rest.threads > 1 else ''}"
    elements = f"{rest.size:,} element{'s' if rest.size > 1 else ''}"
    return f"{rest.dtype}, {elements}, {_PASSES[rest.work]}, {_POLICIES[rest.policy]}, {threads}"


def _short_title(rest: Setting) -> str:
    return f"{rest.dtype} {rest.size:,} {rest.work} {rest.policy} x{rest.threads}"


def duration(nanoseconds: float) -> str:
    """A time in the unit that gives it one to three digits before the point."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.3g} {unit}"
    return f"{nanoseconds:.3g} ns"


def _hardware(machine: Machine) -> str:
    cache = f"{machine.cache / 2**20:g} MiB of last-level cache"
    return f"{machine.cpu}, {machine.cores} cores, {cache}, {machine.system}"
