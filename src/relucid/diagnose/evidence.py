"""What samples can prove: exact binomial bounds on a rate, one-sided, at 95%."""

from __future__ import annotations

ERROR = 0.05
"""Probability with which a bound may be wrong."""


def never_seen(n: int) -> float:
    """Upper bound of the rate of an event that n independent samples never showed.

    1 - 0.05**(1/n), near 3/n (the rule of three).
    """
    return 1.0 - ERROR ** (1.0 / n) if n > 0 else 1.0


def rate_below(seen: int, n: int) -> float:
    """Upper bound of the rate of an event seen in ``seen`` of n samples (Clopper-Pearson 1934)."""
    from scipy.special import betaincinv

    return 1.0 if seen >= n else float(betaincinv(seen + 1, n - seen, 1.0 - ERROR))


def heads_by_chance(heads: int, tails: int) -> float:
    """Probability that so many fair coins show at least ``heads`` heads: the sign test."""
    from scipy.special import betainc

    return float(betainc(heads, tails + 1, 0.5)) if heads > 0 else 1.0
