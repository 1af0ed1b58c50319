"""Numbers and names as words, against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relucid.report import words
from relucid.report.strip import strip_of
from support.checkups import SAMPLES, site_record


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (-0.0, "0"), (0.0123456, "0.0123"), (2.5, "2.5"), (99.96, "100"),
        (1797, "1,797"), (123456.7, "123,457"), (4.2e-9, "4.2e-9"), (-3.14159e-5, "-3.14e-5"),
        (1e38, "1e38"), (0.000999999, "1e-3"), (math.nan, "NaN"), (math.inf, "infinite"),
        (-math.inf, "-infinite"), (None, "–"), (0.001, "0.001"), (-7.0, "-7"),
    ],
)  # fmt: skip
def test_figure(value: float | None, text: str) -> None:
    """Three significant digits in the shortest form."""
    assert words.figure(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0%"), (1.0, "100%"), (1e-9, "<0.1%"), (0.99999, ">99.9%"), (0.5312, "53.1%"),
     (0.0012, "0.12%"), (0.999, "99.9%"), (None, "–"), (math.nan, "NaN")],
)  # fmt: skip
def test_percent(share: float | None, text: str) -> None:
    """Never "0%" of something that is there, never "100%" of something that is not."""
    assert words.percent(share) == text


def test_amount_follows_the_quantity() -> None:
    """Shares and rates are percentages, ratios are not."""
    assert words.amount(0.25, "share of dead units") == "25%"
    assert words.amount(0.25, "lowest fire rate") == "25%"
    assert words.amount(0.25, "first over last gradient rms") == "0.25"


@given(st.sets(st.integers(0, 500), max_size=60))
def test_spans_name_exactly_the_indices(indices: set[int]) -> None:
    """Reading the spans back gives the set."""
    text = words.spans(sorted(indices), limit=1000)
    read: set[int] = set()
    for part in filter(None, text.split(", ")):
        low, _, high = part.partition("–")
        read |= set(range(int(low), int(high or low) + 1))
    assert read == indices


def test_long_spans_say_what_is_left() -> None:
    """Nothing disappears without a count."""
    assert words.spans([0, 1, 2, 5, 7, 8], limit=2) == "0–2, 5 and 2 more"


@given(st.text())
def test_plain_text_has_no_control_character(text: str) -> None:
    """Whatever the name, no C0 or C1 code, no surrogate and no direction mark is left."""
    seen = words.one_line(text)
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or 0xD800 <= ord(c) < 0xE000 for c in seen)
    assert not set(seen) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200f")
    assert words.ascii_only(seen).isascii()


@given(st.integers(1, 400), st.integers(3, 200), st.data())
def test_a_strip_shows_every_kind_that_is_there(
    units: int, limit: int, data: st.DataObject
) -> None:
    """Within the limit, in order, and one dead unit among many still has a cell."""
    dead = data.draw(st.integers(0, units))
    on = data.draw(st.integers(0, units - dead))
    record = site_record("act", units=units, dead=range(dead), always_on=range(dead, dead + on))
    strip = strip_of(record, limit)
    assert strip is not None
    assert (strip.dead, strip.always_on, strip.units) == (dead, on, units)
    assert len(strip.cells) <= limit
    kinds = [cell.kind for cell in strip.cells]
    assert kinds == sorted(kinds, key=["dead", "firing", "always on"].index)
    there = {"dead": dead, "firing": units - dead - on, "always on": on}
    assert set(kinds) == {kind for kind, count in there.items() if count}
    if units <= limit:
        rates = np.sort(record.fired) / SAMPLES
        assert [cell.rate for cell in strip.cells] == pytest.approx(list(rates))
