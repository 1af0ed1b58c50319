"""An even draw: each item as often as any other, always the same, in order."""

import numpy as np
from scipy.stats import chisquare

from relucid.compare.tasks.reading.draw import drawn


def test_a_draw_keeps_the_order_and_the_number() -> None:
    kept, total = drawn(iter(range(1000)), 100)
    assert total == 1000
    assert len(set(kept)) == 100
    assert kept == sorted(kept)
    assert kept == drawn(range(1000), 100)[0]


def test_all_are_kept_where_there_are_few() -> None:
    assert drawn("abc", 5) == (["a", "b", "c"], 3)
    assert drawn("", 5) == ([], 0)


def test_each_part_of_a_stream_is_drawn_alike() -> None:
    kept, _ = drawn(range(100_000), 4000)
    counts, _ = np.histogram(kept, bins=10, range=(0, 100_000))
    assert chisquare(counts).pvalue > 1e-3
