"""Writing what a watch sees to MLflow."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from relucid.errors import MissingDependencyError, ModelError
from relucid.integrations.reading import scalars

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relucid.probes import Probe
    from relucid.records import Observation


def log(seen: Probe | Observation, step: int, run_id: str | None = None) -> None:
    """Write the newest point of each site as metrics ``relucid/<site>/<quantity>``.

    ``seen`` is a probe or its records, see :func:`~relucid.integrations.reading.scalars` for the
    quantities and errors. They go to the active run, or to that of ``run_id``, as with
    ``mlflow.log_metrics``. MLflow has no ``#`` in names: see :func:`permitted`. Raises
    :class:`~relucid.errors.MissingDependencyError` where mlflow is not installed.
    """
    try:
        import mlflow
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "relucid.integrations.mlflow needs MLflow: pip install mlflow"
        ) from error
    mlflow.log_metrics(permitted(scalars(seen)), step=step, run_id=run_id)


def permitted(numbers: Mapping[str, float]) -> dict[str, float]:
    """Name numbers as MLflow permits on every system: ``relu#2`` becomes ``relu-2``.

    ``#`` becomes ``-``; what else is no letter, digit, underscore, dash, period, space or slash
    becomes ``_``. Raises :class:`~relucid.errors.ModelError` where two names become the same.
    """
    found: dict[str, float] = {}
    for name, number in numbers.items():
        mapped = posixpath.normpath(re.sub(r"[^/\w.\- ]", "_", name.replace("#", "-")))
        if mapped in found:
            raise ModelError(
                f"two sites have the one name {mapped!r} in MLflow; give the module of {name!r} "
                "a name of letters, digits and underscores"
            )
        found[mapped] = number
    return found
