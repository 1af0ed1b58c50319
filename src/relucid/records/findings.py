"""What the rules conclude from the measurements."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from relucid.records.receipt import Receipt
from relucid.records.sites import Observation
from relucid.records.trials import Trials


class Severity(StrEnum):
    """How bad a finding is. Nothing a rule looked at disappears: it is at least ``well``."""

    ILL = "ill"
    TIP = "tip"
    WELL = "well"
    NOT_APPLICABLE = "not applicable"
    UNOBSERVED = "unobserved"


def worst(severities: Iterable[Severity]) -> Severity:
    """Return the most severe of those that say something is wrong, or ``well``."""
    found = set(severities)
    return next((s for s in (Severity.ILL, Severity.TIP) if s in found), Severity.WELL)


@dataclass(frozen=True)
class Prescription:
    """A change that may help. It is a hypothesis until it has been tried."""

    text: str
    """One sentence that says what to change and why it should help."""
    code: str | None = None
    """Lines of Python that make the change."""
    trial: str | None = None
    """Name of the trial that tests it."""
    arguments: tuple[str, ...] = ()
    """What that trial needs to know: of a swap, the old and the new function."""


@dataclass(frozen=True)
class Finding:
    """One rule's verdict about one site, or about the whole model where ``site`` is None."""

    rule: str
    """Name of the rule, the file in ``diagnose/`` that explains it: ``dead_units``."""
    severity: Severity
    title: str
    """A few words: ``17 of 32 units are dead``."""
    meaning: str
    """What it means, in a sentence or two that a newcomer understands."""
    site: str | None = None
    units: tuple[int, ...] = ()
    measured: float | None = None
    threshold: float | None = None
    quantity: str = ""
    """What ``measured`` and ``threshold`` count: ``share of dead units``."""
    n: int = 0
    """Independent samples behind it."""
    confidence: str | None = None
    """The 95% bound in words: ``true fire rate below 0.3%``."""
    prescriptions: tuple[Prescription, ...] = ()


@dataclass(frozen=True)
class Checkup:
    """One model's observation and the findings drawn from it."""

    title: str
    data: str
    """What the data were, in words."""
    observation: Observation
    findings: tuple[Finding, ...]
    story: str = ""
    """A sentence of context: how this network was trained, for example."""
    trials: Trials | None = None
    """What came of the prescriptions, where they were tried."""
    receipt: Receipt | None = None
    """What came of shrinking the model, where that was done."""

    def worst(self) -> Severity:
        """The most severe finding: ``ill``, ``tip`` or ``well``."""
        return worst(finding.severity for finding in self.findings)
