"""Matched experiments: copies that differ in one thing, trained on the same batches."""

from relucid.compare.changes import reinitialise_dead
from relucid.compare.plan import Trial
from relucid.compare.trial import try_prescriptions

__all__ = ["Trial", "reinitialise_dead", "try_prescriptions"]
