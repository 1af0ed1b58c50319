"""Bounds of pre-activations over a declared input domain: what is proved, not only observed."""

from relucid.probes.bounds.domain import Boxes
from relucid.probes.bounds.run import with_bounds

__all__ = ["Boxes", "with_bounds"]
