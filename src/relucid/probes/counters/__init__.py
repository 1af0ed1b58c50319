"""What is counted at a site: one quantity a file. Each adds its own fields to the record."""

from relucid.probes.counters.firing import Firing
from relucid.probes.counters.gradient import Gradient
from relucid.probes.counters.histogram import HistogramCounter
from relucid.probes.counters.kinks import Kinks
from relucid.probes.counters.moments import Moments
from relucid.probes.counters.nonfinite import Nonfinite
from relucid.probes.counters.outputs import Outputs
from relucid.probes.counters.saturation import Saturation

__all__ = [
    "Firing",
    "Gradient",
    "HistogramCounter",
    "Kinks",
    "Moments",
    "Nonfinite",
    "Outputs",
    "Saturation",
]
