"""Early stop, against the rule of Li et al. 2020 written out by hand."""

import math
import random

import pytest
from torch import nn

from relucid.compare.experiment import Choice, Experiment, Job
from relucid.compare.halving import halving
from relucid.compare.subject import Subject
from relucid.records.comparison import Ending, Point, Trained

NAMES = ("base", "a", "b", "c", "d", "e")
STEPS = 40
EVERY = 2


def experiment(metric="loss", steps=STEPS):
    subject = Subject("invented", nn.Identity, None, nn.functional.mse_loss, None, metric)
    choices = tuple(Choice(name, None) for name in NAMES)
    return Experiment(subject, choices, "base", None, tuple(range(4)), steps)


def curve_of(job, seed=0):
    """Return invented qualities that fall from step to step, each run to a level of its own."""
    numbers = random.Random(f"{job} {seed}")
    level = numbers.uniform(0.2, 1.0)
    steps = range(0, STEPS + 1, EVERY)
    return [Point(s, 0.0, level + math.exp(-s / 10) + numbers.gauss(0, 0.02), 0.0) for s in steps]


def one_after_another(report, jobs, seed=0):
    """Return the step at which each run was given up, or None."""
    return {
        job: next((p.step for p in curve_of(job, seed) if report(job, p)), None) for job in jobs
    }


def side_by_side(report, jobs, seed=0):
    given_up = dict.fromkeys(jobs)
    for index in range(STEPS // EVERY + 1):
        for job in jobs:
            point = curve_of(job, seed)[index]
            if given_up[job] is None and report(job, point):
                given_up[job] = point.step
    return given_up


class ByHand:
    """At a rung a run goes on if it is among the better half of those that got there, rounded
    down, or the best of all."""

    def __init__(self, rungs):
        self.there = {rung: [] for rung in rungs}

    def __call__(self, job, point):
        if point.step not in self.there:
            return False
        values = self.there[point.step]
        values.append(point.quality)
        better = sum(other < point.quality for other in values)
        return job.candidate != "base" and better >= max(len(values) // 2, 1)


@pytest.mark.parametrize("order", [one_after_another, side_by_side])
@pytest.mark.parametrize("seed", range(3))
def test_the_rule_is_that_of_successive_halving(order, seed):
    jobs = experiment().jobs()
    found = order(halving(experiment()), jobs, seed)
    assert found == order(ByHand([STEPS // 4, STEPS // 2]), jobs, seed)
    assert {STEPS // 4, STEPS // 2} <= set(found.values())


@pytest.mark.parametrize("order", [one_after_another, side_by_side])
def test_the_baseline_and_the_best_go_on(order):
    jobs = experiment().jobs()
    given_up = order(halving(experiment()), jobs)
    last = {job: curve_of(job)[STEPS // EVERY // 2].quality for job in jobs}
    assert given_up[min(last, key=last.get)] is None
    assert all(given_up[job] is None for job in jobs if job.candidate == "base")


def test_an_accuracy_is_better_where_it_is_higher():
    report = halving(experiment("accuracy"))
    assert not report(Job("a", 0), Point(10, 0.0, 0.5, 0.0))
    assert report(Job("b", 0), Point(10, 0.0, 0.4, 0.0))
    assert not report(Job("c", 0), Point(10, 0.0, 0.6, 0.0))


def test_a_run_that_is_at_its_end_is_not_given_up():
    report = halving(experiment())
    assert not report(Job("a", 0), Point(STEPS, 0.0, 1.0, 0.0))
    assert not report(Job("b", 0), Point(STEPS, 0.0, 2.0, 0.0))


def test_a_run_that_an_engine_begins_anew_is_judged_once():
    report = halving(experiment())
    first = [report(Job("a", 0), point) for point in curve_of(Job("a", 0))]
    report(Job("b", 0), Point(10, 0.0, 5.0, 0.0))
    assert [report(Job("a", 0), point) for point in curve_of(Job("a", 0))] == first
    assert not any(first)


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_few_steps_have_rungs_too(steps):
    report = halving(experiment(steps=steps))
    judged = [report(Job("base", 0), Point(s, 0.0, 0.0, 0.0)) for s in range(steps + 1)]
    assert not any(judged)
    given_up = [s for s in range(steps + 1) if report(Job("a", 0), Point(s, 0.0, 1.0, 0.0))]
    assert given_up[:1] == [] if steps == 1 else given_up[0] == -(-steps // 4)


@pytest.mark.parametrize("finished", [1, 7, 15])
def test_a_resumed_comparison_judges_as_one_that_was_not_interrupted(finished):
    jobs = experiment().jobs()
    whole = one_after_another(halving(experiment()), jobs)
    done = [trained(job, whole[job]) for job in jobs[:finished]]
    rest = one_after_another(halving(experiment(), done), jobs[finished:])
    assert rest == {job: whole[job] for job in jobs[finished:]}
    if finished > 6:  # without them it judges otherwise
        assert one_after_another(halving(experiment()), jobs[finished:]) != rest


def trained(job, given_up):
    ending = Ending.COMPLETE if given_up is None else Ending.PRUNED
    curve = [p for p in curve_of(job) if given_up is None or p.step <= given_up]
    return Trained(job.candidate, job.seed, ending, tuple(curve))
