"""The size of signals and weights along the depth."""

from __future__ import annotations

import math

import numpy as np

from relucid.records import Layer, SiteRecord

MOVED = 3.0
"""Factor of change of z in a watch, above which its deviation is that of no time: limits for
scales are 10 and more."""


def why_no_scale(record: SiteRecord) -> str | None:
    """Return why a site's deviation and its layer's present weights say nothing together."""
    if record.history is None or not len(record.history.scale):
        return None
    sizes = record.history.scale
    if not float(np.max(sizes)) > MOVED * float(np.min(sizes)):
        return None
    return "its scale changed while it was watched; a checkup judges it at one time"


def signal(record: SiteRecord) -> float:
    """Return the standard deviation of z over the data, root mean square over the units.

    Around each unit's mean: a bias carries no signal.
    """
    return math.sqrt(float(np.mean(record.variance)))


def weight_gain(layer: Layer) -> float:
    """Return the root mean square of the weights times the root of the fan-in."""
    return layer.weight_rms * math.sqrt(layer.fan_in)
