"""No unit above its level is ever skipped; outputs are as near to the truth as the dense ones."""

from dataclasses import replace

import pytest

from relucid.sparse import certified
from support.adversarial_blocks import ALLOWED, checked, drawn, skipped, wrongly

SEEDS = range(160)
SIZES = {10_001: (4096, None), 10_003: (4096, None), 10_002: (70_000, None), 10_004: (8, 4096)}


@pytest.fixture(scope="module")
def checks():
    blocks = [drawn(seed) for seed in SEEDS]
    blocks += [drawn(seed, *sizes) for seed, sizes in SIZES.items()]
    return [(block, checked(block)) for block in blocks]


def test_nothing_above_the_level_is_skipped(checks):
    assert sum(check.wrong for _, check in checks) == 0


def test_nothing_that_the_dense_product_puts_above_the_level_is_skipped(checks):
    assert sum(check.denied for _, check in checks) == 0


def test_errors_are_those_of_the_dense_product(checks):
    for block, check in checks:
        for name, excess in check.excess.items():
            assert excess <= ALLOWED[block.x.dtype], (block.kind, name)


def test_much_of_what_is_zero_is_skipped(checks):
    """Else the tests above would say nothing: half of the units lie within roundings of 0."""
    assert sum(check.sparse for _, check in checks) > 0.9 * len(checks)
    skips, zeros = (sum(getattr(check, k) for _, check in checks) for k in ("skipped", "zero"))
    assert skips > 0.4 * zeros
    for width, _ in SIZES.values():
        assert any(check.skipped for block, check in checks if block.x.shape[1] == width)


@pytest.mark.parametrize("which", [2, 3], ids=["weights", "inputs"])
def test_a_margin_a_tenth_smaller_would_be_found(which, monkeypatch):
    def narrower(weight, bias, taken=certified.shadow_of):
        shadow = taken(weight, bias)
        facts = shadow.facts.clone()
        facts[which] *= 0.9
        return replace(shadow, facts=facts)

    monkeypatch.setattr(certified, "shadow_of", narrower)
    blocks = map(drawn, SEEDS)
    assert any(wrongly(block, skipped(block)) for block in blocks)
