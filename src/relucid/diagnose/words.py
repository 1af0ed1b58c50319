"""Numbers and names in sentences."""

from __future__ import annotations

from relucid.records import SiteRecord


def percent(share: float) -> str:
    """Write a share: ``17%``, ``0.17%``; 0% and 100% only where it is so exactly."""
    if 0 < share < 0.0001:
        return "less than 0.01%"
    if 0.9995 <= share < 1:
        return "more than 99.9%"
    return f"{100 * share:.3g}%" if share >= 0.01 else f"{100 * share:.2g}%"


def times(factor: float) -> str:
    """Write a factor: ``12``, ``4,300``, ``2.5e9``."""
    if factor < 1e6:
        return f"{factor:,.0f}" if factor >= 1000 else f"{factor:.3g}"
    return f"{factor:.1e}"


def counted(count: int, noun: str) -> str:
    """Write a count with its noun: ``1 unit``, ``17 units``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def of_units(count: int, record: SiteRecord, state: str) -> str:
    """Write how many units of a site are in a state: ``17 of 32 units are dead``."""
    verb = "is" if count == 1 else "are"
    return f"{count:,} of {counted(record.site.units, 'unit')} {verb} {state}"
