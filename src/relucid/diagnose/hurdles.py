"""Why a site's units cannot be judged: no units, no numbers, or nothing that reaches them."""

from __future__ import annotations

import numpy as np

from relucid.diagnose.words import percent
from relucid.records import Observation, SiteRecord

NONFINITE_SHARE = 0.01
"""Above this share of NaN and infinite values the counts of a site mean little."""


class Hurdles:
    """Reasons that keep rules from judging sites, computed once for an observation."""

    def __init__(self, observation: Observation) -> None:
        self._reasons: dict[str, str] = {}
        self.dead: list[SiteRecord] = []
        """Dead layers in order of depth, without those that others starve."""
        for record in in_order(observation):
            reason = _no_counts(record) or _repeated(record) or self._starved(record)
            if reason is not None:
                self._reasons[record.site.name] = reason
            elif record.silent.all():
                self.dead.append(record)

    def why(self, record: SiteRecord) -> str | None:
        """Return the reason why the units of a site cannot be judged, or None."""
        return self._reasons.get(record.site.name)

    def _starved(self, record: SiteRecord) -> str | None:
        if not self.dead or not same_in_every_sample(record):
            return None
        return (
            f"every sample gives the same values here, because nothing comes through the dead "
            f"layer {self.dead[0].site.name} before it; mend that one first"
        )


def in_order(observation: Observation) -> list[SiteRecord]:
    """Return the sites in the order of execution."""
    return sorted(observation.sites, key=lambda record: record.site.order)


def same_in_every_sample(record: SiteRecord) -> bool:
    """Whether the counts are those of values that do not depend on the sample.

    Positions may differ (a convolution's padding is seen at the border), so each count is a
    multiple of the samples.
    """
    n = record.samples
    always_or_never = np.isin(record.fired_samples, (0, n)).all()
    multiples = not (record.fired % n).any() and not (record.zeros % n).any()
    return bool(n > 1 and always_or_never and multiples)


def gives_back_its_input(record: SiteRecord) -> bool:
    """Whether h was z on every element of every unit."""
    unchanged = record.more.get("unchanged")
    return unchanged is not None and bool((unchanged == record.elements).all())


def repeats(record: SiteRecord) -> bool:
    """Whether a site hands on what another activation gave it, as a ReLU after a ReLU does."""
    return record.follows is not None and gives_back_its_input(record)


def _repeated(record: SiteRecord) -> str | None:
    if not repeats(record):
        return None
    return f"it gives back the output of {record.follows} unchanged, and its units are judged there"


def _no_counts(record: SiteRecord) -> str | None:
    if record.site.units == 0:
        return f"{record.site.activation} works on whole vectors, so it has no units to count"
    if record.elements == 0 or record.samples == 0:
        return "no value passed through here"
    share = record.nonfinite_in / (record.elements * record.site.units)
    if share > NONFINITE_SHARE:
        return f"{percent(share)} of its values are NaN or infinite, as rule nonfinite reports"
    return None
