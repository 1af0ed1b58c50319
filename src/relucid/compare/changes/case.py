"""What a change is told, and how it refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from relucid.compare.learner import Learner
from relucid.probes import observe
from relucid.probes.batches import Batch, read_batches
from relucid.records import Observation


@dataclass(frozen=True)
class Case:
    """What is known of the model that a prescription was given to."""

    observation: Observation
    example: Batch
    """Some samples, to see what a layer reads."""
    arguments: tuple[str, ...] = ()
    """Those of the prescription."""
    optimizer_given: bool = True


class Refusal(Exception):
    """A change cannot be made on this model; the message says why."""


Change = Callable[[Learner, Case], str]
"""Changes a learner in place and says in words what it did. Raises :class:`Refusal`."""


def seen_on(model: nn.Module, data: Any) -> Case:
    """Run a model on data as :func:`relucid.checkup` does; the example is the first batch."""
    batches = list(data) if isinstance(data, Iterator) else data
    return Case(observe(model, batches), next(read_batches(batches)))
