"""The one composition: probe a model, diagnose it, report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relucid.errors import OutputError
from relucid.records import Checkup, Finding, Observation, Severity, from_json, to_json, worst

# The rooms that a checkup puts together load on first use: `import relucid` would take half as
# long again.
if TYPE_CHECKING:
    from rich.console import Console
    from torch import nn


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

    def show(self, console: Console | None = None) -> None:
        """Print the findings to the terminal, or to a given Rich console."""
        from relucid.report import show

        show(self.checkups, console)

    def save(self, path: str | PathLike[str]) -> Path:
        """Write a report: ``.html`` for one self-contained page, ``.json`` for the records.

        Raises :class:`~relucid.errors.OutputError` where the path cannot be written or has
        another suffix. An existing file is replaced as a whole or not at all.
        """
        from relucid.report import save_html, save_json

        target = Path(path)
        writers = {".html": save_html, ".htm": save_html, ".json": save_json}
        if target.suffix.lower() not in writers:
            raise OutputError(
                f"cannot tell what to write to {str(target)!r}: end the name in .html for a report "
                "or .json for the records"
            )
        writers[target.suffix.lower()](self.checkups, target)
        return target

    def to_json(self) -> str:
        """Return the records as a JSON text, which :meth:`from_json` reads back."""
        return to_json(self.checkups)

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

    Raises:
        ModelError: if this is no module, or one without any activation.
        DataError: if there are no data, or the model refuses them.
        LossError: if the loss is not a scalar, or cannot be differentiated.

    """
    from relucid.diagnose import diagnose
    from relucid.probes import observe

    observation = observe(model, data, loss, batches=batches, progress=progress)
    several = "es" if observation.batches != 1 else ""
    record = Checkup(
        title=title or observation.model,
        data=f"{observation.samples:,} samples in {observation.batches} batch{several}",
        observation=observation,
        findings=diagnose(observation, thresholds=thresholds),
        story=story,
    )
    return Health((record,))


__all__ = ["Health", "checkup"]
