"""What the callbacks of both training frameworks share: a watch over the training steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from torch import Tensor, nn

from relucid.errors import ModelError
from relucid.integrations.reading import Reader
from relucid.probes import Probe, watch
from relucid.records import Observation


class Options(TypedDict, total=False):
    """What :func:`relucid.watch` takes besides."""

    gradients: bool
    values: int | None
    window: int


class TrainingWatch:
    """A watch that is on the model only within training steps.

    What is evaluated between them is not counted, and nothing is left behind between them.
    """

    def __init__(self, every: int, options: Options) -> None:
        self._every, self._options = every, options
        self._watched: tuple[nn.Module, Probe, Reader] | None = None
        self._stored: Mapping[str, Tensor] = {}
        self._cure: str | None = None

    @property
    def probe(self) -> Probe:
        """The watch, whose ``records`` are what was counted so far, by this rank.

        Raises :class:`~relucid.errors.ModelError` before training has begun.
        """
        if self._watched is None:
            raise ModelError("nothing was watched yet: this callback has seen no training begin")
        return self._watched[1]

    def remove(self) -> None:
        """Take the watch off the model. What was counted stays readable."""
        if self._watched is not None:
            self.probe.remove()

    def state_dict(self) -> dict[str, Tensor]:
        """Return the counts, for a checkpoint; nothing before the first training begins."""
        return dict(self._stored) or (self.probe.state_dict() if self._watched else {})

    def load_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Go on from the counts of a checkpoint when training begins."""
        self._stored = state_dict

    def _begin(self, model: nn.Module, path: str, scaler: Any, cure: str) -> None:
        """Begin with a training, or go on with a further one of the same model.

        ``path`` is the model's in what the user calls the model, ``cure`` what to do where no
        training step calls it. Raises :class:`~relucid.errors.ModelError` for another model.
        """
        if self._watched is not None and self._watched[0] is not model:
            raise ModelError(
                f"this callback has watched another {type(self._watched[0]).__name__}, and the "
                "counts of two models cannot be added; make a new callback for each model, and "
                "search for hyperparameters without it"
            )
        self.remove()
        probe = watch(model, self._every, scaler=scaler, **self._options)
        if stored := self.state_dict():
            probe.load_state_dict(stored)
        self._watched, self._stored, self._cure = (model, probe, Reader(probe, path)), {}, cure

    def _check(self) -> None:
        """Look once, after a step that was watched, whether there is anything to log.

        Raises :class:`~relucid.errors.ModelError` if there is nothing.
        """
        if self._cure is not None:
            _check(self.probe.records(), self._cure)
            self._cure = None

    def _new(self) -> dict[str, float]:
        """Return what is to be logged: the means since the last time."""
        return {} if self._watched is None else self._watched[2].new()


def _check(seen: Observation, cure: str) -> None:
    if not seen.batches:
        raise ModelError(f"no training step has called this {seen.model}; {cure}")
    if not seen.sites:
        why = "; ".join(f"{one.name}: {one.reason}" for one in seen.unobserved[:3])
        raise ModelError(
            f"no activation was seen in this {seen.model}, so there is nothing to log"
            f"{f' ({why})' if why else ''}; leave the callback of relucid out"
        )
