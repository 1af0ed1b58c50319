"""The size of signals and weights along the depth."""

from __future__ import annotations

import math

import numpy as np

from relucid.records import Layer, SiteRecord


def signal(record: SiteRecord) -> float:
    """Return the standard deviation of z over the data, root mean square over the units.

    Around each unit's mean: a bias carries no signal.
    """
    return math.sqrt(float(np.mean(record.variance)))


def weight_gain(layer: Layer) -> float:
    """Return the root mean square of the weights times the root of the fan-in."""
    return layer.weight_rms * math.sqrt(layer.fan_in)
