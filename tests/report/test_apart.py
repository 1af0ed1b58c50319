"""Quality against cost: circles stand apart, the first in their places; ticks are plain numbers."""

import math
import re
from dataclasses import replace
from itertools import combinations

import numpy as np

from relucid.report.charts import COSTS, pareto_chart
from relucid.report.charts.apart import apart
from relucid.report.comparison_words import rows
from relucid.report.learning import height_of
from support import comparisons as make

ROOM = (300.0, 230.0)


def test_circles_do_not_lie_on_each_other_and_stay_inside() -> None:
    generator = np.random.default_rng(0)
    for spread in (0.0, 5.0, 60.0):
        spots = [(290.0 - abs(x), 225.0 - abs(y)) for x, y in generator.normal(0, spread, (30, 2))]
        found = apart(spots, 20.0, ROOM)
        assert all(math.dist(a, b) >= 20.0 - 1e-9 for a, b in combinations(found, 2))
        assert all(10 <= x <= 290 and 10 <= y <= 220 for x, y in found)


def test_who_is_alone_stays_and_so_does_the_first() -> None:
    spots = [(100.0, 100.0), (101.0, 100.0), (200.0, 100.0)]
    first, second, third = apart(spots, 20.0, ROOM)
    assert (first, third) == (spots[0], spots[2])
    assert math.dist(second, spots[1]) <= 21.0


def test_where_it_is_full_they_stay() -> None:
    assert apart([(15.0, 15.0)] * 3, 20.0, (30.0, 30.0)) == [(15.0, 15.0)] * 3


def test_ticks_are_plain_numbers() -> None:
    """Of times from 0.5 ms to 0.5 s, and of losses near 20."""
    found = make.lossy()
    costs = [replace(c, milliseconds=0.5 * 2**i) for i, c in enumerate(found.candidates[:11])]
    standings = [replace(s, quality=200.0 * s.quality) for s in found.standings[:11]]
    found = replace(found, candidates=tuple(costs), standings=tuple(standings))
    drawn = pareto_chart(rows(found), COSTS[0], height_of(found))
    assert drawn is not None
    written = set(re.findall(r">([^<>]+)</text>", drawn))
    assert {"1", "10", "100", "20"} <= written
    assert not [text for text in written if "e" in text and text.startswith("1")]
