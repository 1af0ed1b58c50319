"""The JSON form of receipts: read back as they were, or refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relucid.errors import RecordError
from relucid.records import receipt_from_json, receipt_to_json
from relucid.records.receipt import (
    Agreement,
    Guarantee,
    Kind,
    Latency,
    Quality,
    Receipt,
    Refusal,
    Removal,
    ShrunkLayer,
    Size,
)
from support import receipts as make
from support.equality import same


def some(strategy: Any) -> Any:
    return st.lists(strategy, max_size=2).map(tuple)


names, reals, counts = st.text(max_size=8), st.floats(), st.integers(0, 2**62)
removals = st.builds(
    Removal, st.sampled_from(Kind), st.sampled_from(Guarantee), st.lists(counts).map(tuple)
)
layers = st.builds(
    ShrunkLayer, names, names, names, counts, counts, some(removals), names
)  # fmt: skip
sizes = st.builds(Size, counts, counts, st.none() | counts)
latencies = st.builds(Latency, reals, reals, reals, reals, reals, reals, counts, names)
agreements = st.builds(
    Agreement, st.sampled_from(["random", "adversarial", "given"]), counts, reals
)
qualities = st.builds(
    Quality, st.sampled_from(["loss", "accuracy"]), counts, reals, reals, st.none() | reals, counts
)
receipts = st.builds(
    Receipt, names, names, names, names, names, some(layers),
    some(st.builds(Refusal, names, counts, names)), sizes, sizes, some(agreements), reals,
    st.none() | latencies, some(qualities), some(names), names, reals,
)  # fmt: skip


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(receipts)
def test_any_receipt_survives(receipt: Receipt) -> None:
    """NaN, infinities, empty tuples, None and every letter come back, as strict JSON."""
    text = receipt_to_json(receipt)
    document = json.loads(text, parse_constant=pytest.fail)
    assert list(document) == ["format", "version", "receipt"]
    assert document["format"] == "relucid.receipt" and document["version"] == 1
    assert same(receipt, receipt_from_json(text))


def test_counts() -> None:
    """Of units by guarantee and kind, over all layers, and what the whole promises."""
    receipt = make.receipt()
    assert receipt.count(Guarantee.DOMAIN) == 4 + 1 + 128
    assert receipt.count(Guarantee.DOMAIN, Kind.ALWAYS_ON) == 129
    assert (receipt.removed, receipt.units_before) == (3 + 133 + 2, 32 + 64 + 128 + 10)
    assert receipt.weakest is Guarantee.OBSERVED
    assert make.pruned().weakest is Guarantee.PRUNED and make.nothing().weakest is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", r"relucid\.receipt"),
        ('{"format": "relucid.comparison", "version": 1}', r"relucid\.receipt"),
        ('{"format": "relucid.receipt", "version": 2}', "run the shrink again"),
        ('{"format": "relucid.receipt", "version": 1, "receipt": {"title": 1}}', "damaged"),
    ],
)
def test_what_is_no_receipt(text: str, says: str) -> None:
    with pytest.raises(RecordError, match=says):
        receipt_from_json(text)
