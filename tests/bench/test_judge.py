"""Means over functions, and targets met, missed and open."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.fakes import at, results, row, setting, side
from relucid.bench import FirstUse, judge, summarise
from relucid.bench.choices import Peer
from relucid.bench.plan import LIST, STANDARD, standard
from relucid.bench.record import Row
from relucid.bench.targets import TARGETS, Target

MEAN = Target(
    "twice as fast", "speedup", 2.0, over="mean", functions=("elu", "silu"), sizes=(65_536,),
    forms=(("both", "out"),), peers=("eager",),
)  # fmt: skip
WORST = replace(MEAN, over="worst")
COPIES = replace(MEAN, figure="copies", bound=4.0, at_least=False, over="worst", peers=())


def rows(elu: float, silu: float, **changes: float) -> list[Row]:
    speedups = {"elu": elu, "silu": silu}
    return [row(setting(name), side("eager", s), **changes) for name, s in speedups.items()]


def outcome(target: Target, *found: Row) -> tuple[str, float | None, str]:
    (verdict,) = judge(results(*found), [target])
    return verdict.outcome, verdict.figure, verdict.worst_at.partition(" ")[0]


def test_a_mean_is_geometric_and_names_the_worst() -> None:
    assert outcome(MEAN, *rows(1.0, 9.0)) == ("met", pytest.approx(3.0), "elu")
    assert outcome(MEAN, *rows(3.0, 1.0)) == ("missed", pytest.approx(3.0**0.5), "silu")


def test_the_worst_row_decides_where_every_function_must_hold() -> None:
    assert outcome(WORST, *rows(1.5, 9.0)) == ("missed", 1.5, "elu")
    assert outcome(WORST, *rows(2.0, 9.0)) == ("met", 2.0, "elu")


def test_an_upper_bound_is_held_by_the_largest() -> None:
    assert outcome(COPIES, *rows(1.0, 1.0, copies=3.5)) == ("met", 3.5, "elu")
    slow = [*rows(1.0, 1.0)[:1], row(setting("silu"), copies=4.5)]
    assert outcome(COPIES, *slow) == ("missed", 4.5, "silu")


def test_a_missing_or_discarded_row_leaves_a_target_open() -> None:
    first, second = rows(5.0, 5.0)
    alone = ("open", pytest.approx(5.0), "elu")
    assert outcome(MEAN, first) == alone
    assert outcome(MEAN, first, replace(second, control=at(1.1))) == alone
    assert outcome(MEAN) == ("open", None, "")
    # One row below its bound settles it, whatever the other would be.
    assert outcome(WORST, rows(1.0, 5.0)[0])[0] == "missed"
    # A mean that is too low is not settled: the missing row may lift it.
    assert outcome(MEAN, rows(1.0, 5.0)[0])[0] == "open"


def test_only_rows_of_one_thread_count() -> None:
    threaded = [replace(r, setting=replace(r.setting, threads=2)) for r in rows(5.0, 5.0)]
    assert outcome(MEAN, *threaded)[0] == "open"


def test_prices_in_relus_and_times() -> None:
    target = replace(COPIES, figure="relus", bound=1.25, functions=("elu",))
    found = row(setting("elu"), side("relu", speedup=0.8))
    assert outcome(target, found) == ("met", 1.25, "elu")
    assert outcome(replace(target, bound=1.2), found)[0] == "missed"
    assert outcome(replace(target, figure="microseconds"), found) == ("met", 1.0, "elu")


def test_first_use() -> None:
    cold, cached = TARGETS[-2:]
    first = FirstUse("gelu", cold=at(1.6), cached=at(0.05))
    found = judge(results(first_use=first), [cold, cached])
    assert [(v.outcome, v.figure) for v in found] == [("missed", 1.6), ("met", 0.05)]
    assert judge(results(), [cold])[0].outcome == "open"


def test_summaries_group_by_all_but_the_function() -> None:
    found = [
        *rows(2.0, 8.0),
        row(setting("relu"), side("eager", 0.1)),  # not on the list
        row(setting("gelu"), side("eager", 0.1), control=1.5),  # discarded
        row(setting("elu", threads=2), side("eager", 7.0), side("compile", 3.0), side("copy", 9.0)),
    ]
    one, *two = summarise(found)
    assert (one.mean, one.worst, one.worst_function, one.count) == (
        pytest.approx(4.0), 2.0, "elu", 2,
    )  # fmt: skip
    assert [(s.peer, s.mean, s.setting.threads) for s in two] == [
        ("eager", pytest.approx(7.0), 2),
        ("compile", pytest.approx(3.0), 2),
    ]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: f"{target.claim}-{target.peers}")
def test_the_standard_set_measures_all_that_a_target_asks_for(target: Target) -> None:
    measured = [
        row(task.setting, *(side(peer.value) for peer in task.peers), side("relu"))
        for task in standard((), tuple(Peer), quick=False)
    ]
    first = FirstUse("gelu", at(1.0), at(1.0))
    (verdict,) = judge(results(*measured, first_use=first), [target])
    assert verdict.measured == verdict.wanted > 0


def test_the_list_is_the_thirteen() -> None:
    assert len(LIST) == len(set(LIST)) == 13
    assert STANDARD[0].functions[:13] == LIST
