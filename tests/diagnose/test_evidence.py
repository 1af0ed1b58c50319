"""The bounds on rates against sums of binomial probabilities."""

from __future__ import annotations

from math import comb

import pytest

from relucid.diagnose.evidence import heads_by_chance, never_seen, rate_below


def _at_most(seen: int, n: int, rate: float) -> float:
    return sum(comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(seen + 1))


@pytest.mark.parametrize(("seen", "n"), [(0, 3), (0, 100), (2, 300), (9, 1000), (50, 60)])
def test_rate_below_is_clopper_pearsons_bound(seen: int, n: int) -> None:
    """At the bound, so few or fewer are seen with a probability of exactly 5%."""
    assert _at_most(seen, n, rate_below(seen, n)) == pytest.approx(0.05, rel=1e-6)


def test_never_seen_is_the_same_bound_in_closed_form() -> None:
    """1 - 0.05**(1/n), near 3/n; three samples prove next to nothing."""
    for n in (3, 100, 1797):
        assert never_seen(n) == pytest.approx(rate_below(0, n), rel=1e-9)
    assert never_seen(1797) == pytest.approx(3 / 1797, rel=5e-3)
    assert never_seen(3) > 0.6
    assert never_seen(0) == rate_below(0, 0) == 1.0


@pytest.mark.parametrize(("heads", "tails"), [(0, 5), (3, 0), (7, 0), (17, 4), (20, 20)])
def test_heads_by_chance_is_the_sign_test(heads: int, tails: int) -> None:
    """The probability of at least so many heads among fair coins."""
    coins = heads + tails
    exact = sum(comb(coins, k) for k in range(heads, coins + 1)) / 2**coins
    assert heads_by_chance(heads, tails) == pytest.approx(exact, rel=1e-9)
