"""Facts about a checkup that every rendering tells: verdict, order, totals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from relucid.errors import RecordError
from relucid.records import Checkup, Finding, Gap, Observation, Severity, SiteRecord
from relucid.report.words import figure, in_words, listed, one_line, plural

ORDER = (
    Severity.ILL,
    Severity.TIP,
    Severity.UNOBSERVED,
    Severity.WELL,
    Severity.NOT_APPLICABLE,
)
PROMINENT = (Severity.ILL, Severity.TIP, Severity.UNOBSERVED)
BORN = {"nan": "NaN", "inf": "Infinity"}


@dataclass(frozen=True)
class Totals:
    """Sums over all sites of a checkup; None where nothing was counted."""

    units: int
    dead: int
    always_on: int
    sparsity: float | None
    first_gradient: float | None
    last_gradient: float | None


def as_tuple(checkups: Checkup | Sequence[Checkup]) -> tuple[Checkup, ...]:
    """Return one or several checkups as a tuple. Raises RecordError where there is none."""
    several = (checkups,) if isinstance(checkups, Checkup) else tuple(checkups)
    if not several:
        raise RecordError("there is no checkup to report; pass at least one")
    return several


def grouped(findings: Sequence[Finding]) -> list[tuple[Finding, ...]]:
    """Return findings by severity, worst first; those that say the same of many sites together.

    The order within a severity is that of the rules, so the first is the most important one.
    """
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for finding in sorted(findings, key=lambda finding: ORDER.index(finding.severity)):
        key = (finding.severity, finding.rule, finding.meaning, finding.prescriptions)
        groups.setdefault(key, []).append(finding)
    return [tuple(group) for group in groups.values()]


def counted(checkup: Checkup, severity: Severity) -> int:
    """Return how many findings have this severity."""
    return sum(finding.severity is severity for finding in checkup.findings)


def verdict(checkup: Checkup) -> str:
    """Return one sentence: what was found, and that something was looked at at all."""
    if not checkup.findings:
        return "No rule was applied, so nothing is known yet."
    ill, tips = counted(checkup, Severity.ILL), counted(checkup, Severity.TIP)
    well = counted(checkup, Severity.WELL)
    checks = f"; {plural(well, 'check')} came out well" if well else ""
    if not ill and not tips:
        return f"These checks found nothing wrong{checks}."
    found = [f"{ill:,} {'illness' if ill == 1 else 'illnesses'}"] if ill else []
    found += [plural(tips, "tip")] if tips else []
    return f"Found {listed(found)}{checks}."


def circumstances(checkup: Checkup) -> str:
    """Return in a sentence what was examined, on what and how."""
    seen = checkup.observation
    samples = plural(seen.samples, "sample")
    batches = f"{seen.batches:,} {'batch' if seen.batches == 1 else 'batches'}"
    # The description of the data often gives the number already.
    count = "" if samples in checkup.data else f": {samples} in {batches}"
    loss = "" if seen.loss is None else f", mean loss {figure(seen.loss)}"
    return (
        f"{one_line(seen.model)}, {plural(seen.parameters, 'parameter')}, examined in "
        f"{seen.mode} mode on {one_line(checkup.data)}{count}{loss}."
    )


def heading(checkups: Sequence[Checkup]) -> str:
    """Return the title of a report over these checkups."""
    if len(checkups) == 1:
        return checkups[0].title
    return f"{in_words(len(checkups)).capitalize()} networks were examined"


def comparison(checkups: Sequence[Checkup]) -> str:
    """Return a sentence that says how each of several networks came out."""
    words = {
        Severity.ILL: "is ill",
        Severity.TIP: "has only tips",
        Severity.WELL: "is well",
    }
    parts = [f"“{one_line(checkup.title)}” {words[checkup.worst()]}" for checkup in checkups]
    return f"{listed(parts)}."


def totals(checkup: Checkup) -> Totals:
    """Return the sums over all sites of a checkup."""
    records = [record for record in checkup.observation.sites if has_units(record)]
    outputs = sum(record.elements * len(record.fired) for record in records)
    gradients = [
        record.gradient.rms
        for record in in_order(checkup)
        if record.gradient is not None and np.isfinite(record.gradient.rms)
    ]
    return Totals(
        units=sum(len(record.fired) for record in records),
        dead=sum(len(record.dead) for record in records),
        always_on=sum(len(record.always_on) for record in records),
        sparsity=sum(int(record.zeros.sum()) for record in records) / outputs if outputs else None,
        first_gradient=gradients[0] if gradients else None,
        last_gradient=gradients[-1] if gradients else None,
    )


def gradient_note(records: Sequence[SiteRecord]) -> str:
    """Return what to say of gradients in place of a picture, empty where there is one to draw."""
    sizes = [record.gradient.rms for record in records if record.gradient is not None]
    if not sizes:
        return (
            "No gradient was recorded. Pass a loss to see where gradients fade or grow: "
            "relucid.checkup(model, data, loss=loss)."
        )
    finite = [size for size in sizes if np.isfinite(size)]
    if not finite:
        return "Every recorded gradient is NaN or infinite, so there is nothing to draw."
    if not any(finite):
        return "The gradient is exactly 0 at every site: no layer before them can learn."
    return ""


def in_order(checkup: Checkup) -> list[SiteRecord]:
    """Return the sites in the order of execution."""
    return sorted(checkup.observation.sites, key=lambda record: record.site.order)


def has_units(record: SiteRecord) -> bool:
    """Say whether units were counted: not for softmax, not where nothing passed."""
    return len(record.fired) > 0 and record.elements > 0


def share(counts: np.ndarray, record: SiteRecord) -> float | None:
    """Return counts summed over units as a share of all elements of a site."""
    return float(counts.sum()) / (record.elements * len(counts)) if has_units(record) else None


def function_name(record: SiteRecord) -> str:
    """Return the activation with the parameters that were changed: ``elu(alpha=0.5)``."""
    changed = ", ".join(f"{name}={value:g}" for name, value in record.site.parameters.items())
    return f"{record.site.activation}({changed})" if changed else record.site.activation


def proved(observation: Observation) -> str:
    """What holds for every input of the declared domain, in a sentence."""
    domain = observation.domain
    if domain is None:
        return ""
    bounds = [record.bounds for record in observation.sites if record.bounds is not None]
    dead, on = sum(int(one.dead.sum()) for one in bounds), sum(int(one.on.sum()) for one in bounds)
    inputs = "; ".join(
        f"{one_line(name)}: {one_line(told)}" for name, told in domain.inputs.items()
    )
    return (
        f"For every input of the domain ({inputs}) {plural(dead, 'unit')} provably "
        f"{'gives' if dead == 1 else 'give'} 0, and {plural(on, 'unit')} never "
        f"{'has' if on == 1 else 'have'} a z below 0."
    )


def in_gap(gap: Gap) -> str:
    """What stopped the bounds, in a line."""
    return f"{plural(gap.units, 'unit')} at {plural(gap.sites, 'site')}, by {one_line(gap.cause)}"
