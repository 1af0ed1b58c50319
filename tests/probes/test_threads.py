"""A watched model that several threads call, as Hogwild training and servers do."""

import sys
import threading

import pytest
import torch
from torch import nn

from relucid.probes import watch
from support.calling import Failing, Mlp
from support.watching import process_state, state

THREADS = 4


@pytest.fixture
def restless():
    """Let Python switch between threads as often as it can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def in_threads(work, count=THREADS):
    """Run ``work(number)`` in threads; raise the first error of any."""
    errors = []

    def guarded(number):
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_threads_do_not_mix(restless):
    """One thread's pass is sampled at a time; the others run unseen.

    How many are seen is up to the scheduler. Each one seen is counted whole, forward and back.
    """
    model, before, around = Mlp(), None, process_state()
    before = state(model)

    def work(_):
        for _ in range(30):
            model(torch.randn(2, 6)).sum().backward()

    with watch(model) as probe:
        in_threads(work)
    record = probe.records()
    (site,) = record.sites
    assert 1 <= record.batches <= 30 * THREADS
    assert record.samples == site.samples == site.elements == 2 * record.batches
    assert site.gradient.batches == record.batches
    model.zero_grad()
    assert state(model) == before and process_state() == around


def test_each_thread_may_watch_a_model_of_its_own(restless):
    """What the passes change in all of PyTorch is as before, whichever ends first."""
    around, found = process_state(), {}

    def work(number):
        model = Mlp()
        with watch(model) as probe:
            for _ in range(10):
                model(torch.randn(2, 6)).sum().backward()
        found[number] = probe.records()

    in_threads(work)
    assert process_state() == around
    assert [found[i].sites[0].samples for i in range(THREADS)] == [20] * THREADS


def test_records_may_be_read_while_another_thread_trains(restless):
    """Also while it meets sites that were not there before."""

    class Growing(nn.Module):
        def forward(self, x, calls):
            for _ in range(calls):
                x = torch.relu(x)
            return x

    with watch(model := Growing()) as probe:

        def train(_):
            for calls in range(1, 60):
                model(torch.randn(2, 2), calls)

        thread = threading.Thread(target=train, args=(0,))
        thread.start()
        counts = [0]
        while thread.is_alive():
            counts.append(len(probe.records().sites))
        thread.join()
    assert counts == sorted(counts) and len(probe.records().sites) == 59


class Waiting(nn.Module):
    """Stops in the middle of its forward until it is let go."""

    def __init__(self):
        super().__init__()
        self.inside, self.go_on = threading.Event(), threading.Event()

    def forward(self, x):
        x = torch.tanh(x)
        self.inside.set()
        assert self.go_on.wait(10)
        return torch.sigmoid(x)


def test_a_watch_removed_while_another_thread_is_in_a_pass():
    """That thread counts the pass to its end and cleans up after it."""
    model, left_behind = nn.Sequential(Waiting()), []
    before = state(model)

    def work(_):
        model(torch.randn(3, 2))
        left_behind.append(torch.overrides._get_current_function_mode_stack())

    probe = watch(model).start()
    thread = threading.Thread(target=work, args=(0,))
    thread.start()
    assert model[0].inside.wait(10)
    probe.remove()
    model[0].go_on.set()
    thread.join()
    assert left_behind == [[]] and state(model) == before
    assert [(s.site.name, s.samples) for s in probe.records().sites] == [
        ("0.tanh", 3),
        ("0.sigmoid", 3),
    ]


def test_a_thread_that_ended_within_a_pass_does_not_stop_the_watch():
    """``SystemExit`` ends a thread and runs no ``always_call`` hook."""
    model, around = Failing(), process_state()
    before = state(model)

    def work(_):
        model.inner.error = SystemExit()
        model(torch.randn(2, 3))

    with watch(model) as probe:
        with pytest.raises(SystemExit):
            in_threads(work, 1)
        model.inner.error = None
        model(torch.randn(5, 3))
    found = {s.site.name: s.samples for s in probe.records().sites}
    assert found == {"inner.relu": 7, "sigmoid": 5}
    assert state(model) == before and process_state() == around
