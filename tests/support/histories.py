"""Sites that were watched over time, with invented numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from relucid.records import Checkup, SiteHistory, SiteRecord


def watched(
    record: SiteRecord, dead: Any, *, passes: int = 1, step: Any = None, **other: Any
) -> SiteRecord:
    """Give a site a history in which so many units were dead at each point."""
    dead = np.asarray(dead, dtype=np.float64)
    count, units = len(dead), max(record.site.units, 1)
    fields: dict[str, Any] = {
        "step": np.arange(count, dtype=np.float64) * passes if step is None else np.asarray(step),
        "passes": np.full(count, passes), "samples": np.full(count, 32 * passes),
        "fire_rate": 0.5 * (1 - dead / units), "dead": dead, "window_dead": 0.0 * dead,
        "revived": 0.0 * dead, "returned": 0.0 * dead, "gradient": np.geomspace(1e-2, 1e-5, count),
        "scale": np.linspace(1.0, 2.0, count), "window": 1000,
        "quiet": np.zeros(units, np.int64), **other,
    }  # fmt: skip
    return replace(record, history=SiteHistory(**fields))


def with_histories(checkup: Checkup, points: int = 40) -> Checkup:
    """Let the sites die one after another, the first one first."""
    records = checkup.observation.sites
    turns = np.linspace(0.3, 0.9, len(records)) * points
    sites = tuple(
        watched(record, np.where(np.arange(points) >= turn, record.site.units, 0))
        for record, turn in zip(records, turns, strict=True)
    )
    return replace(checkup, observation=replace(checkup.observation, sites=sites))
