"""The ranking of a comparison against what SciPy says, and its verdicts on planted differences."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from relucid.compare.advice import advice
from relucid.compare.ranking import area, needed, ranking
from relucid.records.comparison import Candidate, Ending, Point, Trained, Verdict

SEEDS = range(6)


def trained(name, seed, qualities, ending=Ending.COMPLETE, **more):
    curve = tuple(Point(10 * i, q, q, q) for i, q in enumerate(qualities))
    return Trained(name, seed, ending, curve, **more)


def runs_of(ends):
    return [
        trained(name, seed, (1.0, 0.8, end))
        for name, its in ends.items()
        for seed, end in enumerate(its)
    ]


def candidates(*names):
    return [Candidate(name, 1, milliseconds=1.0 + i, kept=100) for i, name in enumerate(names)]


def noise(seed, scale=0.01):
    return np.random.default_rng(seed).normal(0.0, scale, len(SEEDS))


def test_the_interval_of_accuracies_is_scipys_paired_t_interval():
    base, other = 0.9 + noise(1), 0.93 + noise(2)
    found = ranking(
        runs_of({"relu": base, "elu": other}), candidates("relu", "elu"), "relu", "accuracy"
    )
    difference = next(s.difference for s in found if s.candidate == "elu")
    wanted = stats.ttest_rel(other, base).confidence_interval(0.95)
    assert difference.mean == pytest.approx(np.mean(other - base))
    assert (difference.low, difference.high) == pytest.approx((wanted.low, wanted.high))
    assert difference.pairs == 6


def test_with_more_candidates_intervals_are_wider_as_bonferroni_asks():
    ends = {"relu": 0.9 + noise(1), "elu": 0.93 + noise(2), "silu": 0.9 + noise(3)}
    found = ranking(runs_of(ends), candidates(*ends), "relu", "accuracy")
    difference = next(s.difference for s in found if s.candidate == "elu")
    wanted = stats.ttest_rel(ends["elu"], ends["relu"]).confidence_interval(0.975)
    assert (difference.low, difference.high) == pytest.approx((wanted.low, wanted.high))


@pytest.mark.parametrize(
    ("metric", "best", "worst"), [("accuracy", 0.95, 0.5), ("loss", 0.5, 0.95)]
)
def test_the_better_is_first_and_the_worse_last(metric, best, worst):
    ends = {"relu": 0.8 + noise(1), "good": best + noise(2), "bad": worst + noise(3)}
    found = ranking(runs_of(ends), candidates(*ends), "relu", metric)
    assert [s.candidate for s in found] == ["good", "relu", "bad"]
    assert [s.verdict for s in found] == [Verdict.BETTER, Verdict.BASELINE, Verdict.WORSE]


def test_equal_ends_are_no_difference_worth_a_change_and_noisy_ones_not_shown():
    base = 0.9 + noise(1, 0.05)
    ends = {"relu": base, "same": base + noise(2, 0.0005), "noisy": 0.9 + noise(3, 0.05)}
    found = {s.candidate: s for s in ranking(runs_of(ends), candidates(*ends), "relu", "accuracy")}
    assert found["same"].verdict is Verdict.SAME
    assert found["noisy"].verdict is Verdict.NOT_SHOWN
    assert found["noisy"].needed is None or found["noisy"].needed > 6


def test_a_run_that_diverged_counts_as_infinitely_bad():
    ends = {"relu": 0.5 + noise(1), "wild": 0.4 + noise(2)}
    runs = runs_of(ends)
    at = next(i for i, run in enumerate(runs) if run.candidate == "wild")
    runs[at] = trained("wild", 0, (1.0, math.nan), Ending.DIVERGED)
    wild = next(
        s for s in ranking(runs, candidates(*ends), "relu", "loss") if s.candidate == "wild"
    )
    assert wild.diverged == 1 and wild.difference.pairs == 6
    assert wild.verdict is not Verdict.BETTER  # in 5 of 6 it was lower by a fifth


def test_failed_runs_are_counted_and_not_compared():
    ends = {"relu": 0.5 + noise(1), "other": 0.4 + noise(2)}
    runs = [run for run in runs_of(ends) if run.candidate == "relu"]
    runs += [Trained("other", seed, Ending.FAILED, why="no") for seed in (0, 1)]
    found = ranking(runs, candidates(*ends), "relu", "loss")
    assert [s.candidate for s in found] == ["relu", "other"]
    assert (found[1].failed, found[1].runs) == (2, 0)
    assert found[1].verdict is Verdict.NOT_RUN and math.isnan(found[1].quality)


def given_up(ends, kept):
    """Give up all runs of ``elu`` and ``silu`` but those that end above a threshold."""
    runs = runs_of(ends)
    return [
        run
        if run.candidate == "relu" or run.curve[-1].quality > kept
        else replace(run, ending=Ending.PRUNED, curve=run.curve[:2])
        for run in runs
    ]


def test_a_candidate_with_runs_that_were_given_up_comes_after_those_without():
    """Of its runs only the lucky went on: here they look better than all others."""
    ends = {"relu": [0.9] * 4, "elu": [0.99, 0.99, 0.99, 0.5], "silu": [0.89] * 4}
    found = ranking(given_up(ends, 0.6), candidates(*ends), "relu", "accuracy")
    assert [s.candidate for s in found] == ["relu", "silu", "elu"]
    last = found[-1]
    assert (last.verdict, last.pruned, last.runs) == (Verdict.GIVEN_UP, 1, 3)
    assert last.difference is None and math.isnan(last.quality) and not last.pareto


def test_giving_up_lucky_runs_claims_no_more_than_chance():
    """Equal candidates, the worse half of whose runs is given up: 200 comparisons."""
    generator, claims = np.random.default_rng(0), 0
    for _ in range(200):
        ends = {name: generator.normal(0.9, 0.01, 4) for name in ("relu", "elu", "silu")}
        found = ranking(given_up(ends, 0.9), candidates(*ends), "relu", "accuracy")
        claims += any(s.verdict in (Verdict.BETTER, Verdict.WORSE) for s in found)
    assert claims <= 10


def test_the_advice_says_of_whom_nothing_is_known():
    ends = {"relu": [0.9, 0.91, 0.9], "elu": [0.8, 0.95, 0.95], "silu": [0.7] * 3}
    its = candidates(*ends)
    for kept, said in ((0.6, "2 candidates was shown"), (0.75, "1 of the 2 was given up early")):
        found = ranking(given_up(ends, kept), its, "relu", "accuracy")
        assert said in advice(found, its, "relu", "accuracy")
    found = ranking(given_up(ends, 0.9), its, "relu", "accuracy")
    said = advice(found, its, "relu", "accuracy")
    assert said.startswith("Nothing can be said beside relu: each of the others had a run")


def test_the_area_under_a_curve_is_that_of_trapezes():
    run = Trained(
        "a", 0, Ending.COMPLETE, (Point(0, 1, 4.0, 1), Point(10, 1, 2.0, 1), Point(40, 1, 2.0, 1))
    )
    assert area(run) == pytest.approx((10 * 3.0 + 30 * 2.0) / 40)
    assert math.isnan(area(Trained("a", 0, Ending.COMPLETE, (Point(0, 1, 4.0, 1),))))


@pytest.mark.parametrize("effect", [0.3, 0.8, 2.0])
def test_so_many_seeds_as_are_said_to_be_needed_show_the_difference_in_four_of_five(effect):
    """A simulation of the t test that the ranking makes."""
    count = needed(effect, 0.95)
    sample = np.random.default_rng(0).normal(effect, 1.0, (20_000, count))
    shown = stats.ttest_1samp(sample, 0.0, axis=1).pvalue < 0.05
    assert 0.79 < shown.mean() < (0.83 if effect < 1 else 0.95)
    fewer = np.random.default_rng(1).normal(effect, 1.0, (20_000, count - 1))
    assert (stats.ttest_1samp(fewer, 0.0, axis=1).pvalue < 0.05).mean() < 0.805


def test_no_number_of_seeds_shows_nothing():
    assert needed(0.0, 0.95) is None
    assert needed(1e-4, 0.95) is None


def test_nobody_on_the_front_is_beaten_in_all_three():
    ends = {"relu": 0.8 + noise(1), "dear": 0.9 + noise(1), "bad": 0.7 + noise(1)}
    its = [
        Candidate("relu", 1, milliseconds=1.0, kept=10),
        Candidate("dear", 1, milliseconds=2.0, kept=20),
        Candidate("bad", 1, milliseconds=1.5, kept=10),
    ]
    found = ranking(runs_of(ends), its, "relu", "accuracy")
    assert {s.candidate: s.pareto for s in found} == {"relu": True, "dear": True, "bad": False}


def advised(ends, metric="accuracy"):
    its = candidates(*ends)
    standings = ranking(runs_of(ends), its, "relu", metric)
    return advice(standings, its, "relu", metric)


def test_the_advice_names_the_best_its_gain_and_its_cost():
    said = advised({"relu": 0.8 + noise(1), "elu": 0.9 + noise(2), "silu": 0.7 + noise(3)})
    assert said.startswith("Use elu: accuracy ")
    assert "points higher than with relu over 6 seeds (95% interval +" in said
    assert "corrected for 2 candidates" in said and "2 times the time a step" in said


def test_the_advice_names_who_ended_better_still_but_was_not_shown():
    """As on MNIST: the surest gain is not the largest."""
    ends = {"relu": [0.90, 0.91, 0.90], "gelu": [0.92, 0.93, 0.921], "silu": [0.99, 0.91, 0.95]}
    said = advised(ends)
    assert said.startswith("Use gelu: accuracy 2.0")
    assert said.endswith("; silu ended better still, which may be chance.")


def test_where_nothing_is_shown_the_advice_is_to_stay_and_says_how_many_seeds_it_takes():
    said = advised({"relu": 0.8 + noise(1, 0.05), "elu": 0.82 + noise(2, 0.05)})
    assert said.startswith(
        "Stay with relu (beside elu): it was not shown to be better with 6 seeds."
    )
    assert "seeds would show that" in said


def test_one_seed_concludes_nothing():
    said = advised({"relu": [0.8], "elu": [0.9]})
    assert said.startswith("Nothing can be concluded from one seed")


def test_without_a_finished_run_nothing_is_said():
    its = candidates("relu", "elu")
    said = advice(ranking([], its, "relu", "loss"), its, "relu", "loss")
    assert said.startswith("Nothing can be said yet")
