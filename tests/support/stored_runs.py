"""A tiny comparison that keeps its runs in a store, here or in a process that can be killed."""

import os
import signal
import sys
from dataclasses import replace

import torch
from torch import nn

from relucid.compare.experiment import Choice, Experiment
from relucid.compare.store import Store
from relucid.compare.subject import Subject
from relucid.compare.training import train
from relucid.functions import get
from relucid.records.serialise import encode

LOADED = {"optuna", "sqlalchemy"} & sys.modules.keys()
"""What the imports above load, where this module is the first that a process imports."""

NAMES = (
    "relu", "elu", "gelu", "silu", "mish", "tanh",
    "sigmoid", "softplus", "selu", "celu", "hardswish", "leaky_relu",
)  # fmt: skip


def build(activation):
    return nn.Sequential(nn.Linear(4, 8), activation(), nn.Linear(8, 2))


def data():
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(60, 4, generator=generator)
    return x, (x.sum(1) > 0).long()


def tiny(names=NAMES, *, seeds=range(5), title="tiny", build=build, steps=4, **other):
    """Return the experiment; ``other`` are parts of its subject."""
    parts = {"data": data(), "loss": nn.functional.cross_entropy, **other}
    choices = tuple(Choice(name, get(name)) for name in names)
    return Experiment(
        Subject(title, build, **parts), choices, names[0], None, tuple(seeds), steps, points=2
    )


def timeless(trained):
    """Return a run as it reads, without what it took, which is never the same."""
    return encode(replace(trained, seconds=0.0))


def carry_out(where, experiment):
    """Do what the store does not hold yet, and yield each job when it is kept."""
    store = Store.open(where, experiment)
    done = store.done()
    for job in experiment.jobs():
        if job not in done:
            store.add(train(experiment, job))
            yield job


def main(pipe, where, title, seeds, at=None):
    """Carry the comparison out as a process of its own, which says each job through a pipe.

    It says at first what was loaded with the package, and waits for an answer before it opens the
    store. It kills itself ``at`` ``middle:N`` or ``commit:N``: in the transaction that writes its
    N-th run, before or at the end of that.
    """
    torch.set_num_threads(1)
    pipe.send(LOADED)
    pipe.recv()
    if at is not None:
        _kill_in_transaction(*at.split(":"))
    for job in carry_out(where, tiny(title=title, seeds=range(seeds))):
        pipe.send(job)


def _kill_in_transaction(where, number):
    import sqlalchemy

    runs = 0

    def before_statement(connection, cursor, statement, *_):
        nonlocal runs
        runs += statement.startswith("INSERT INTO trials ")
        if where == "middle" and "trial_intermediate_values" in statement:
            kill()

    def at_commit(connection):
        if where == "commit":
            kill()

    def kill():
        if runs == int(number):
            os.kill(os.getpid(), signal.SIGKILL)

    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", before_statement)
    sqlalchemy.event.listen(sqlalchemy.Engine, "commit", at_commit)
