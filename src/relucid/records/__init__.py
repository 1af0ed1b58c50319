"""Frozen records of measured facts and of findings, and their JSON form. No torch here."""

from relucid.records.findings import Checkup, Finding, Prescription, Severity, worst
from relucid.records.serialise import from_json, to_json
from relucid.records.sites import (
    Birth,
    GradientRecord,
    Histogram,
    Layer,
    Observation,
    Site,
    SiteRecord,
    Unobserved,
)

__all__ = [
    "Birth",
    "Checkup",
    "Finding",
    "GradientRecord",
    "Histogram",
    "Layer",
    "Observation",
    "Prescription",
    "Severity",
    "Site",
    "SiteRecord",
    "Unobserved",
    "from_json",
    "to_json",
    "worst",
]
