"""The contract is judged both ways: rows that break it, and exceptions that are none any more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from relucid.functions import get
from relucid.records.accuracy import (
    Accuracy,
    Checks,
    FunctionAccuracy,
    Half,
    Library,
    Quantity,
    Special,
    Tally,
    TruthCheck,
    Worst,
)
from relucid.verify.contract import Known, bound, judge

GOOD = Tally(100, Worst(0.5, 1.0), (0, 0, 0, 0), Worst(0.5, 1e-40), Worst(1e-8, -1.3))
CHECKS = Checks(
    TruthCheck(100, Worst(1e-8, 2.0), Worst()),
    (Half("float16", 3, 0, None), Half("bfloat16", 0, 0, None)),
    Worst(2.0, 3.0),
)


def accuracy(value: Tally = GOOD, checks: Checks = CHECKS, **changes: Any) -> Accuracy:
    right = (Special(0.0, 0.0, 0.0, True),)
    own = Library("relucid", Quantity(value, right), Quantity(GOOD, right))
    silu = FunctionAccuracy("silu", {}, True, checks, CHECKS, (own,))
    return replace(Accuracy("2026-01-01", "", {}, "default", "standard", (silu,)), **changes)


def test_a_good_run_keeps_the_contract() -> None:
    verdict = judge(accuracy(), {})
    assert verdict.kept
    assert not verdict.excused


@pytest.mark.parametrize(
    ("measure", "change"),
    [
        ("float32", {"normal": Worst(2.1, 3.0)}),
        ("subnormal", {"subnormal": Worst(2.1, 1e-40)}),
        ("near root", {"near_root": Worst(2e-7, -1.3)}),
        ("NaN", {"nan_lost": 1}),
        ("same bits", {"unlike": 1}),
    ],
)
def test_a_broken_float32_row_is_named(measure: str, change: dict[str, Any]) -> None:
    verdict = judge(accuracy(replace(GOOD, **change)), {})
    assert [row.key for row in verdict.broken] == [("silu", "value", measure)]
    assert not verdict.kept


@pytest.mark.parametrize(
    ("measure", "change"),
    [
        ("float64", {"float64": Worst(4.5, 3.0)}),
        ("truth", {"truth": TruthCheck(9, Worst(1e-5, 2.0), Worst())}),
        ("truth near root", {"truth": TruthCheck(9, Worst(), Worst(1e-9, 2.0))}),
        ("float16", {"halves": (Half("float16", 9, 1, 0.5), CHECKS.halves[1])}),
        ("bfloat16", {"halves": (CHECKS.halves[0], Half("bfloat16", 9, 1, 0.5))}),
    ],
)
def test_a_broken_check_is_named(measure: str, change: dict[str, Any]) -> None:
    verdict = judge(accuracy(checks=replace(CHECKS, **change)), {})
    assert [row.key for row in verdict.broken] == [("silu", "value", measure)]


def test_a_wrong_special_breaks_the_contract_at_its_input() -> None:
    wrong = (Special(float("inf"), float("inf"), 0.0, False),)
    run = accuracy()
    (silu,) = run.functions
    own = replace(silu.libraries[0], derivative=Quantity(GOOD, wrong))
    broken = judge(replace(run, functions=(replace(silu, libraries=(own,)),)), {}).broken
    assert [(row.key, row.at) for row in broken] == [
        (("silu", "derivative", "specials"), float("inf"))
    ]


KEY = ("silu", "value", "float32")


def test_a_declared_exception_is_excused_up_to_its_bound() -> None:
    known = {KEY: Known(3.0, "why")}
    assert judge(accuracy(replace(GOOD, normal=Worst(2.9, 1.0))), known).kept
    verdict = judge(accuracy(replace(GOOD, normal=Worst(2.9, 1.0))), known)
    assert [row.key for row in verdict.excused] == [KEY]
    assert not judge(accuracy(replace(GOOD, normal=Worst(3.1, 1.0))), known).kept


def test_an_exception_that_is_none_any_more_is_reported() -> None:
    known = {KEY: Known(3.0, "why")}
    verdict = judge(accuracy(), known)
    assert [row.key for row, _ in verdict.stale] == [KEY]
    assert not verdict.kept


def test_exceptions_of_the_default_route_are_not_stale_on_another() -> None:
    known = {KEY: Known(3.0, "why")}
    assert judge(accuracy(route="plain"), known).kept
    assert judge(accuracy(precision="correct"), known).kept


def test_an_exception_is_not_stale_where_its_function_was_not_measured() -> None:
    assert judge(accuracy(), {("gelu", "value", "float32"): Known(3.0, "why")}).kept


def test_a_sample_may_miss_the_worst_of_an_exception() -> None:
    key = ("silu", "value", "float64")
    assert judge(accuracy(), {key: Known(4.0, "why")}).kept  # 2.0 is half of it
    assert judge(accuracy(), {key: Known(4.1, "why")}).stale


@pytest.mark.parametrize(("name", "value", "derivative"), [("silu", 2.0, 4.0), ("relu", 0.5, 0.5)])
def test_piecewise_linear_functions_are_exact(name: str, value: float, derivative: float) -> None:
    bounds = [bound(get(name), which) for which in ("value", "derivative")]
    assert bounds == pytest.approx([value, derivative], rel=1e-5)
