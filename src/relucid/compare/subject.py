"""What a comparison trains: a function that builds the model, data, loss and optimizer."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from relucid.compare.learner import Loss, MakeOptimizer
from relucid.errors import ModelError
from relucid.functions import Elementwise
from relucid.records.comparison import Metric

NAMED = "activation"
"""The argument by which a builder takes the activation itself."""


@dataclass(frozen=True)
class Subject:
    """A training that is repeated with one activation after the other.

    ``data`` is anything that :func:`relucid.checkup` takes: batches of inputs and targets, which
    are mixed anew for each seed. A fifth is kept apart.
    """

    name: str
    build: Callable[..., nn.Module]
    """Builds a fresh model from torch's random numbers. One that takes ``activation`` is given a
    function that makes a module, and puts it where it belongs; for the model of any other,
    relucid swaps."""
    data: Any
    loss: Loss
    optimizer: MakeOptimizer | None = None
    """Makes the optimizer of a model's parameters; None is Adam at learning rate 0.001."""
    metric: Metric = "loss"
    """``accuracy``: the largest of the last dimension of the output is the class (of axis 1 where
    the target says so), as for :func:`torch.nn.functional.cross_entropy`."""
    source: Callable[[], Subject] | None = None
    """Makes this subject anew: workers call it, so that data are loaded where they are used."""

    def __reduce__(self) -> Any:
        """Send only how it is made, where that is known."""
        if self.source is not None:
            return _again, (self.source, self.name, self.metric)
        parts = (self.name, self.build, self.data, self.loss, self.optimizer, self.metric)
        return Subject, parts

    @property
    def takes_activation(self) -> bool:
        """Whether the builder has an argument for the activation."""
        return takes_activation(self.build)

    def model(
        self, activation: Elementwise | None = None, modules: list[nn.Module] | None = None
    ) -> nn.Module:
        """Build a model, with the activation where the builder takes one.

        The modules of it that were made are appended to ``modules``. Raises
        :class:`~relucid.errors.ModelError` where it returns no model.
        """
        from relucid.nn import make

        made: list[nn.Module] = [] if modules is None else modules

        def one() -> nn.Module:
            made.append(make(activation))
            return made[-1]

        takes = activation is not None and self.takes_activation
        model = self.build(**({NAMED: one} if takes else {}))
        if not isinstance(model, nn.Module):
            raise ModelError(
                f"{self.name} must build a torch.nn.Module, and it returned a "
                f"{type(model).__name__}"
            )
        return model


def takes_activation(function: Callable[..., object]) -> bool:
    """Whether a function has an argument for the activation."""
    try:
        return NAMED in inspect.signature(function).parameters
    except (TypeError, ValueError):  # a callable without a signature, such as some built-ins
        return False


def _again(source: Callable[[], Subject], name: str, metric: Metric) -> Subject:
    return replace(source(), name=name, metric=metric)
