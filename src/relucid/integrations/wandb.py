"""Writing what a watch sees to Weights & Biases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relucid.integrations.reading import scalars

if TYPE_CHECKING:
    from wandb import Run

    from relucid.probes import Probe
    from relucid.records import Observation


def log(seen: Probe | Observation, run: Run, step: int | None = None) -> None:
    """Write the newest point of each site as ``relucid/<site>/<quantity>``.

    ``seen`` is a probe or its records, see :func:`~relucid.integrations.reading.scalars` for the
    quantities and errors; ``run`` what ``wandb.init`` returned. ``step`` is that of ``Run.log``:
    give it here if you give it there, since W&B drops what comes with an earlier step.
    """
    if numbers := scalars(seen):  # an empty call would count as a step
        run.log(numbers, step=step)
