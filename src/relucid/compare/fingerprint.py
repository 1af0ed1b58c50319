"""What decides the results of an experiment, so that the runs of another are not taken for its."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn
from torch.utils import _pytree

from relucid.compare.described import digest
from relucid.compare.experiment import Choice, Experiment
from relucid.compare.learner import Learner, in_words, made, seed_all
from relucid.compare.samples import Samples
from relucid.functions import Elementwise, get
from relucid.probes.undisturbed import same_random_numbers

_ANY = cast(Elementwise, get("relu"))
"""For a builder that must be given one."""


def deciding(experiment: Experiment) -> dict[str, str]:
    """Return what decides a run, besides its candidate and seed, in words and digests.

    Candidates and seeds are no part of it, so that a comparison with more of them goes on from the
    runs that there are. Of the user's code what counts is the builder with all that it names
    (:mod:`relucid.compare.described`), the model that it builds, the loss, and the settings of the
    optimizer. Raises what the user's builder raises.
    """
    subject = experiment.subject
    model = _example(experiment)
    optimizer = made(model, subject.optimizer)
    settings = [{**group, "params": len(group["params"])} for group in optimizer.param_groups]
    return {
        "subject": subject.name,
        "builder": digest(subject.build),
        "model": digest(model),
        "data": digest(_data(experiment.samples)),
        "loss": digest(subject.loss),
        "metric": subject.metric,
        "optimizer": in_words(Learner(model, optimizer), given=True),
        "settings": digest([type(optimizer), settings]),
        "in place of": str(experiment.old),
        "steps": str(experiment.steps),
        "points": str(experiment.points),
        "gain": "righted" if experiment.right_gain else "as it is",
        "torch": torch.__version__,
    }


def made_of(choice: Choice) -> str:
    """Return a digest of a candidate: another formula under the same name is another candidate."""
    return digest(choice.activation)


def _example(experiment: Experiment) -> nn.Module:
    """Build the model as it always is, whichever candidates are compared."""
    subject = experiment.subject
    with same_random_numbers():
        seed_all(0)
        return subject.model(_ANY if subject.takes_activation else None)


def _data(samples: Samples) -> list[Any]:
    batches = (*samples.training, *samples.held_out)
    parts = [_pytree.tree_leaves((b.args, dict(b.kwargs), b.target)) for b in batches]
    return [samples.batch, samples.training_size, parts]
