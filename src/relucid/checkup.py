"""The one composition: probe a model, diagnose it, report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relucid.errors import LossError
from relucid.records import (
    Checkup,
    Finding,
    Observation,
    Severity,
    Trials,
    from_json,
    to_json,
    worst,
)

# The rooms that a checkup puts together load on first use: `import relucid` would take half as
# long again.
if TYPE_CHECKING:
    from rich.console import Console
    from torch import nn

    from relucid.compare import Trial
    from relucid.records.receipt import Receipt


@dataclass(frozen=True)
class Health:
    """What one checkup, or several taken together, found.

    ``health.findings`` and ``health.observation`` are those of the first checkup; ``a + b``
    joins the checkups of both into one report.
    """

    checkups: tuple[Checkup, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings, worst first."""
        return self.checkups[0].findings

    @property
    def observation(self) -> Observation:
        """The measurements that the findings rest on."""
        return self.checkups[0].observation

    @property
    def worst(self) -> Severity:
        """The most severe finding of all checkups: ``ill``, ``tip`` or ``well``."""
        return worst(checkup.worst() for checkup in self.checkups)

    def __add__(self, other: Health) -> Health:
        return Health(self.checkups + other.checkups)

    def with_receipt(self, receipt: Receipt) -> Health:
        """Add the receipt of a shrink of the (first) model: ``shrunk.receipt``.

        It becomes a section of the report in all of its forms.
        """
        first, *others = self.checkups
        return Health((replace(first, receipt=receipt), *others))

    def show(self, console: Console | None = None) -> None:
        """Print the findings to the terminal, or to a given Rich console."""
        from relucid.report import show

        show(self.checkups, console)

    def save(self, path: str | PathLike[str]) -> Path:
        """Write a report: ``.html`` for one self-contained page, ``.json`` for the records.

        Raises :class:`~relucid.errors.OutputError` where the path cannot be written or has
        another suffix. An existing file is replaced as a whole or not at all.
        """
        from relucid.report import render_html, save_by_suffix

        return save_by_suffix(path, html=lambda: render_html(self.checkups), json=self.to_json)

    def to_json(self) -> str:
        """Return the records as a JSON text, which :meth:`from_json` reads back."""
        return to_json(self.checkups)

    @classmethod
    def of(
        cls,
        observation: Observation,
        *,
        title: str | None = None,
        data: str | None = None,
        story: str = "",
        thresholds: Mapping[str, float] | None = None,
    ) -> Health:
        """Diagnose what was observed: of a watch over training, ``Health.of(probe.records())``.

        ``data`` says in words what the data were; ``title``, ``story`` and ``thresholds`` as for
        :func:`checkup`. Raises
        :class:`~relucid.errors.RuleError` where a threshold has no such name, or is no number.
        """
        from relucid.diagnose import diagnose

        several = "es" if observation.batches != 1 else ""
        record = Checkup(
            title=title or observation.model,
            data=data or f"{observation.samples:,} samples in {observation.batches} batch{several}",
            observation=observation,
            findings=diagnose(observation, thresholds=thresholds),
            story=story,
        )
        return cls((record,))

    @classmethod
    def from_json(cls, text: str) -> Health:
        """Read what :meth:`to_json` wrote."""
        return cls(from_json(text))


def checkup(
    model: nn.Module,
    data: Any,
    loss: Callable[[Any, Any], Any] | None = None,
    *,
    title: str | None = None,
    story: str = "",
    batches: int | None = None,
    thresholds: Mapping[str, float] | None = None,
    progress: Callable[[int], None] | None = None,
    trial: bool | Trial = False,
    domain: Any = None,
    bounding: Callable[[int, int], object] | None = None,
) -> Health:
    """Examine every activation of a model on data and say what is wrong with it.

    Args:
        model: any ``torch.nn.Module``. It is left as it was: weights, gradients, buffers, mode,
            hooks and random state. It is run in eval mode.
        data: a batch or an iterable of batches, a ``DataLoader`` for example. A batch is a tensor,
            a pair of inputs and target, or a dict of arguments for the model. Take a few hundred
            samples or more: what a rule can conclude from n samples is part of each finding.
        loss: ``loss(output, target)``, for dict batches ``loss(output, batch)``, returning a
            scalar. With it the gradients are examined too.
        title: heading of the report; the class name of the model where None.
        story: a sentence of context for the report.
        batches: the most batches to run; all of them where None.
        thresholds: other limits than the rules' own, by name: ``{"dead_units.share": 0.2}``.
        progress: called after each batch with the number of batches done.
        trial: whether to try what is prescribed on copies of the model, trained on these data;
            a :class:`relucid.Trial` says for how long, how often and with which optimizer. Needs
            a loss.
        domain: the range of the inputs, as (low, high): numbers for all entries, or arrays that
            broadcast to one sample. For several inputs a dict of such pairs by name, or a tuple of
            them in order; None stands for integers such as token ids, which may be any. With it,
            units are told that are dead, or always on, for *every* input of the domain.
        bounding: called while that is worked out, which may take as long as many batches: with the
            number of activations done, and of how many.

    Raises:
        ModelError: if this is no module, or one without any activation, or cannot be copied for
            a trial.
        DataError: if there are no data, or the model refuses them.
        DomainError: if the domain is no range, does not fit the inputs, or the data leave it.
        LossError: if the loss is not a scalar, or cannot be differentiated, or a trial has none.
        RuleError: if a threshold has no such name, or is not a number.

    """
    from relucid.diagnose import values_in_force
    from relucid.probes import observe

    values_in_force(thresholds or {})  # a typing error is told before the model runs
    if trial:
        _check_loss(loss)
        if isinstance(data, Iterator):  # which gives its batches once, and a trial needs them too
            data = list(islice(data, batches))
    observation = observe(
        model,
        data,
        loss,
        batches=batches,
        progress=progress,
        domain=domain,
        bounding=bounding,
    )
    health = Health.of(observation, title=title, story=story, thresholds=thresholds)
    if not trial:
        return health
    (record,) = health.checkups
    return Health((replace(record, trials=_tried(model, data, loss, record, trial, batches)),))


def _check_loss(loss: object) -> None:
    if loss is None:
        raise LossError(
            "a trial trains copies of the model, which needs a loss: "
            "checkup(model, data, loss=..., trial=True)"
        )


def _tried(
    model: nn.Module,
    data: Any,
    loss: Any,
    record: Checkup,
    trial: bool | Trial,
    batches: int | None,
) -> Trials:
    from relucid.compare import Trial, try_prescriptions

    return try_prescriptions(
        model,
        data,
        loss,
        observation=record.observation,
        findings=record.findings,
        plan=trial if isinstance(trial, Trial) else Trial(),
        batches=batches,
    )


__all__ = ["Health", "checkup"]
