"""Writing what a watch sees to TensorBoard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relucid.integrations.reading import scalars

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from relucid.probes import Probe
    from relucid.records import Observation


def log(seen: Probe | Observation, writer: SummaryWriter, step: int) -> None:
    """Write the newest point of each site as scalars ``relucid/<site>/<quantity>``.

    ``seen`` is a probe or its records, see :func:`~relucid.integrations.reading.scalars` for the
    quantities and errors; ``writer`` a ``torch.utils.tensorboard.SummaryWriter``.
    """
    for name, number in scalars(seen).items():
        writer.add_scalar(name, number, step)
