"""The history of a watch as named numbers, as trackers take them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from relucid.errors import ParameterError, RecordError
from relucid.probes import Probe
from relucid.records import Observation, SiteHistory


def scalars(seen: Probe | Observation) -> dict[str, float]:
    """Return the newest point of each site as ``{"relucid/layer1.relu/dead": 3.0, ...}``.

    ``seen`` is the probe of :func:`relucid.watch` or what its ``records`` or ``merge_ranks``
    returned. A point is the last watched pass, and in a long run the mean of the last few, as
    :class:`~relucid.records.SiteHistory` has it. The quantities are ``fire_rate``; ``dead``,
    ``window_dead`` and ``revived`` in units; ``gradient`` and ``scale``, root mean squares at the
    pre-activation. What was not measured is left out: the gradient of a pass without backward.

    Raises :class:`~relucid.errors.ParameterError` for anything else, and
    :class:`~relucid.errors.RecordError` for records that no watch made.
    """
    found: dict[str, float] = {}
    for name, history in _histories(seen).items():
        found |= _numbers(name, history, len(history.passes) - 1)
    return found


class Reader:
    """Reads a probe again and again: each time the mean of what is new."""

    def __init__(self, probe: Probe, module: str = "") -> None:
        """``module`` is the path of the watched module within what the user calls the model."""
        self._probe, self._prefix = probe, f"{module}." if module else ""
        self._read = {name: int(one.passes.sum()) for name, one in probe.history().items()}

    def new(self) -> dict[str, float]:
        """Return the numbers, named as in :func:`scalars`, of the sites that were watched since.

        They are means over the points since the last reading. In a long run a point is a stretch
        of passes, at most a 128th of the run, and the first one may begin before that reading.
        """
        found: dict[str, float] = {}
        for name, history in self._probe.history().items():
            passes = np.cumsum(history.passes)
            first = int(np.searchsorted(passes, self._read.get(name, 0), side="right"))
            if first < len(passes):
                self._read[name] = int(passes[-1])
                found |= _numbers(self._prefix + name, history, first)
        return found


def _histories(seen: Probe | Observation) -> Mapping[str, SiteHistory]:
    if isinstance(seen, Probe):
        return seen.history()
    if not isinstance(seen, Observation):
        raise ParameterError(
            f"a probe of relucid.watch, or its records, can be logged, and this is {seen!r:.80}"
        )
    found = {one.site.name: one.history for one in seen.sites if one.history is not None}
    if seen.sites and not found:
        raise RecordError(
            "these records hold no history to log; take those of relucid.watch: probe.records()"
        )
    return found


def _numbers(site: str, history: SiteHistory, first: int) -> dict[str, float]:
    """Return means over the points from ``first`` on."""
    passes = history.passes[first:]
    numbers = {
        "fire_rate": _mean(history.fire_rate[first:], passes),
        "dead": _mean(history.dead[first:], passes),
        "window_dead": _mean(history.window_dead[first:], passes),
        "revived": float(history.revived[first:].sum() / passes.sum()),
        "gradient": _mean(history.gradient[first:] ** 2, passes) ** 0.5,
        "scale": _mean(history.scale[first:] ** 2, passes) ** 0.5,
    }
    return {f"relucid/{site}/{name}": x for name, x in numbers.items() if not np.isnan(x)}


def _mean(values: NDArray[np.float64], passes: NDArray[np.int64]) -> float:
    """Return the mean over the passes in which something was measured; NaN where nothing was."""
    known = ~np.isnan(values)
    return float(np.average(values[known], weights=passes[known])) if known.any() else np.nan
