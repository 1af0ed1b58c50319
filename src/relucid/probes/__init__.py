"""Find every activation call of any model, and count on it."""

from relucid.probes.batches import count_batches
from relucid.probes.birth import find_birth
from relucid.probes.observe import observe
from relucid.probes.probe import Probe, watch

__all__ = ["Probe", "count_batches", "find_birth", "observe", "watch"]
