"""Frozen records of measured facts and of findings, and their JSON form. No torch here."""

from relucid.records.bounds import Bounds, Domain, Gap
from relucid.records.findings import Checkup, Finding, Prescription, Severity, worst
from relucid.records.history import SiteHistory
from relucid.records.serialise import (
    acceleration_from_json,
    acceleration_to_json,
    comparison_from_json,
    comparison_to_json,
    from_json,
    receipt_from_json,
    receipt_to_json,
    to_json,
)
from relucid.records.sites import (
    Birth,
    GradientRecord,
    Histogram,
    Layer,
    Observation,
    Reader,
    Site,
    SiteRecord,
    Unobserved,
)
from relucid.records.trials import Difference, Outcome, Run, Trials, Tried

__all__ = [
    "Birth",
    "Bounds",
    "Checkup",
    "Difference",
    "Domain",
    "Finding",
    "Gap",
    "GradientRecord",
    "Histogram",
    "Layer",
    "Observation",
    "Outcome",
    "Prescription",
    "Reader",
    "Run",
    "Severity",
    "Site",
    "SiteHistory",
    "SiteRecord",
    "Trials",
    "Tried",
    "Unobserved",
    "acceleration_from_json",
    "acceleration_to_json",
    "comparison_from_json",
    "comparison_to_json",
    "from_json",
    "receipt_from_json",
    "receipt_to_json",
    "to_json",
    "worst",
]
