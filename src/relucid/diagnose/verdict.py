"""Writing findings: the five severities as words that a rule says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from relucid.records import Finding, Severity, SiteRecord

Place = SiteRecord | str | None
"""Where: a site's record, a name, or None for the whole model."""


@dataclass(frozen=True)
class Verdict:
    """Makes one rule's findings. Numbers are the fields of :class:`~relucid.records.Finding`."""

    rule: str

    def ill(self, place: Place, title: str, meaning: str, **numbers: Any) -> Finding:
        """Something harms the network."""
        return self._finding(Severity.ILL, place, title, meaning, numbers)

    def tip(self, place: Place, title: str, meaning: str, **numbers: Any) -> Finding:
        """Something could be better, or may harm."""
        return self._finding(Severity.TIP, place, title, meaning, numbers)

    def well(self, place: Place, title: str, meaning: str, **numbers: Any) -> Finding:
        """All is well: the rule looked and found nothing wrong."""
        return self._finding(Severity.WELL, place, title, meaning, numbers)

    def not_applicable(self, place: Place, reason: str, **numbers: Any) -> Finding:
        """Nothing can be said; ``reason`` completes *not applicable: ...*."""
        meaning = "This rule says nothing here, neither good nor bad."
        return self._finding(Severity.NOT_APPLICABLE, place, reason, meaning, numbers)

    def unobserved(self, place: Place, title: str, meaning: str, **numbers: Any) -> Finding:
        """Something is there and could not be counted."""
        return self._finding(Severity.UNOBSERVED, place, title, meaning, numbers)

    def _finding(
        self, severity: Severity, place: Place, title: str, meaning: str, numbers: dict[str, Any]
    ) -> Finding:
        if isinstance(place, SiteRecord):
            numbers = {"n": place.samples, **numbers}
            place = place.site.name
        return Finding(self.rule, severity, title, meaning, place, **numbers)


def unless_few(finding: Finding, minimum: float) -> Finding:
    """Return ``finding``, as a tip where it is ill on fewer samples than ``minimum``."""
    if finding.severity is not Severity.ILL or finding.n >= minimum:
        return finding
    said = f"{finding.title} in only {finding.n} samples"
    meaning = f"{finding.meaning} At least {minimum:.0f} samples are needed to be sure."
    return replace(finding, severity=Severity.TIP, title=said, meaning=meaning)
