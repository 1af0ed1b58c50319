"""The JSON form of comparisons: read back as they were, or refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relucid.errors import RecordError
from relucid.records import Difference, comparison_from_json, comparison_to_json, to_json
from relucid.records.comparison import (
    Candidate,
    Comparison,
    Ending,
    Point,
    Standing,
    Trained,
    Verdict,
)
from support import checkups, comparisons
from support.equality import same

SHAPES = [comparisons.comparison, comparisons.lossy, comparisons.broken, comparisons.unbegun,
          comparisons.hostile]  # fmt: skip


@pytest.mark.parametrize("make", SHAPES)
def test_it_reads_back_what_it_wrote(make: Any) -> None:
    """Every field of every record survives, in type and value."""
    assert same(make(), comparison_from_json(comparison_to_json(make())))


def test_it_is_strict_json() -> None:
    """No bare NaN or Infinity, which other readers refuse, and a format and version first."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    document = json.loads(comparison_to_json(comparisons.broken()), parse_constant=refuse)
    assert list(document) == ["format", "version", "comparison"]
    assert document["format"] == "relucid.comparison" and document["version"] == 1
    (lost,) = [
        run
        for run in document["comparison"]["runs"]
        if (run["candidate"], run["seed"]) == ("gelu", 1)
    ]
    assert lost["ending"] == "diverged"
    assert lost["curve"][-1]["loss"] == "NaN" and lost["curve"][-1]["training"] == "Infinity"


names = st.text(max_size=12)
reals = st.floats()
counts = st.integers(0, 2**62)
optional = st.none() | reals
differences = st.builds(
    Difference, st.sampled_from(["ratio", "difference"]), counts, reals, reals, reals, reals
)
runs = st.builds(
    Trained, names, counts, st.sampled_from(Ending),
    st.lists(st.builds(Point, counts, reals, reals, reals), max_size=2).map(tuple),
    names, optional, optional, optional, reals,
)  # fmt: skip
candidates = st.builds(
    Candidate, names, counts, st.lists(names, max_size=2).map(tuple), reals, optional,
    st.none() | counts,
)  # fmt: skip
standings = st.builds(
    Standing, names, counts, counts, counts, reals, reals, reals, st.sampled_from(Verdict),
    st.none() | differences, st.none() | counts, optional, optional, optional, counts,
    st.booleans(),
)  # fmt: skip


def some(strategy: Any) -> Any:
    return st.lists(strategy, max_size=2).map(tuple)


found = st.builds(
    Comparison, names, st.sampled_from(["accuracy", "loss"]), names, some(candidates), some(runs),
    some(standings), names, some(counts), counts, counts, counts, counts, names, names, names,
    names, reals, names,
)  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(found)
def test_any_comparison_survives(comparison: Comparison) -> None:
    """NaN, infinities, empty tuples, None and every letter come back."""
    assert same(comparison, comparison_from_json(comparison_to_json(comparison)))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nonsense", "not JSON"),
        ("[]", r"relucid\.comparison"),
        (to_json([checkups.healthy()]), r"relucid\.comparison"),
        ('{"format": "relucid.comparison", "version": 2}', "run the comparison again"),
        ('{"format": "relucid.comparison", "version": 1}', "damaged"),
    ],
)
def test_what_is_no_comparison(text: str, says: str) -> None:
    """A checkup is none either."""
    with pytest.raises(RecordError, match=says):
        comparison_from_json(text)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["metric"], "speed"),
        (["candidates"], {}),
        (["candidates", 0, "kept"], 1.5),
        (["runs", 0, "ending"], "asleep"),
        (["runs", 0, "curve", 0, "loss"], "much"),
        (["standings", 0, "verdict"], "perhaps"),
        (["standings", 0, "pareto"], 1),
        (["seeds"], [0.5]),
        (["extra"], 1),
    ],
)
def test_a_damaged_comparison(path: list[Any], value: Any) -> None:
    """A wrong type, value or key anywhere is a RecordError, not a crash and not a guess."""
    document = json.loads(comparison_to_json(comparisons.one_seed()))
    place = document["comparison"]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(RecordError, match="damaged"):
        comparison_from_json(json.dumps(document))
