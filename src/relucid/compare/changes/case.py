"""What a change is told, and how it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from relucid.compare.learner import Learner
from relucid.probes.batches import Batch
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

    @property
    def inputs(self) -> Any:
        """The example as :func:`relucid.nn.init_` takes it."""
        return dict(self.example.kwargs) or self.example.args


class Refusal(Exception):
    """A change cannot be made on this model; the message says why."""


Change = Callable[[Learner, Case], str]
"""Changes a learner in place and says in words what it did. Raises :class:`Refusal`."""
