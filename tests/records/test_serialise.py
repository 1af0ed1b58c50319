"""The JSON form of records: valid, versioned, and read back as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from relucid.errors import RecordError
from relucid.records import (
    Birth,
    Checkup,
    Finding,
    GradientRecord,
    Histogram,
    Layer,
    Observation,
    Prescription,
    Severity,
    Site,
    SiteRecord,
    Unobserved,
    from_json,
    to_json,
)
from support import checkups as make
from support.equality import same
from support.receipts import receipt

ALL = [make.healthy(), make.sick(), make.convolutional(), make.with_births(), make.hostile()]
ALL.append(replace(make.healthy(), title="shrunk", receipt=receipt()))


@pytest.mark.parametrize("checkup", ALL, ids=lambda checkup: checkup.title[:20])
def test_it_reads_back_what_it_wrote(checkup: Checkup) -> None:
    """Every field of every record survives, in type and value."""
    (read,) = from_json(to_json([checkup]))
    assert same(checkup, read)


def test_several_and_none() -> None:
    """The order is kept, and an empty list is a list."""
    assert [c.title for c in from_json(to_json(ALL))] == [c.title for c in ALL]
    assert from_json(to_json([])) == ()


def test_it_is_strict_json() -> None:
    """No bare NaN or Infinity, which other readers refuse, and a format and version first."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    document = json.loads(to_json(ALL), parse_constant=refuse)
    assert list(document) == ["format", "version", "checkups"]
    assert document["format"] == "relucid.checkup" and document["version"] == 1
    assert document["checkups"][3]["observation"]["loss"] == "NaN"
    assert document["checkups"][0]["findings"][0]["severity"] == "well"


names = st.text(max_size=12)
reals = st.floats()
counts = st.integers(0, 2**62)


def count_array() -> st.SearchStrategy[np.ndarray]:
    return arrays.arrays(np.int64, st.integers(0, 4), elements=st.integers(-(2**63), 2**63 - 1))


def real_array() -> st.SearchStrategy[np.ndarray]:
    return arrays.arrays(np.float64, st.integers(0, 4), elements=reals)


sites = st.builds(
    Site, names, names, st.dictionaries(names, reals, max_size=2),
    st.sampled_from(["module", "function", "method"]), names, st.none() | names, counts, counts,
    st.integers(-3, 3), st.tuples(counts, counts) | st.just(()),
)  # fmt: skip
site_records = st.builds(
    SiteRecord, sites, counts, counts, count_array(), count_array(), count_array(), count_array(),
    real_array(), real_array(), real_array(), counts, counts, counts, names,
    st.none() | st.builds(Histogram, real_array(), count_array(), counts, counts, real_array()),
    st.none() | st.builds(Layer, names, names, counts, reals, reals, st.none() | names),
    st.none() | st.builds(GradientRecord, counts, real_array(), reals, counts),
)  # fmt: skip
observations = st.builds(
    Observation, names, counts, st.sampled_from(["eval", "train", "mixed"]), counts, counts,
    st.none() | reals, st.lists(site_records, max_size=2).map(tuple),
    st.lists(st.builds(Unobserved, names, names), max_size=1).map(tuple),
    st.lists(
        st.builds(Birth, names, names, st.sampled_from(["nan", "inf"]), st.none() | names, counts,
                  st.sampled_from(["forward", "backward"])),
        max_size=1,
    ).map(tuple),
    st.dictionaries(names, names, max_size=2),
)  # fmt: skip
prescriptions = st.builds(Prescription, names, st.none() | names, st.none() | names)
findings = st.builds(
    Finding, names, st.sampled_from(Severity), names, names, st.none() | names,
    st.lists(counts, max_size=3).map(tuple), st.none() | reals, st.none() | reals, names, counts,
    st.none() | names, st.lists(prescriptions, max_size=2).map(tuple),
)  # fmt: skip
checkups = st.builds(
    Checkup, names, names, observations, st.lists(findings, max_size=2).map(tuple), names
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(checkups)
def test_any_record_survives(checkup: Checkup) -> None:
    """NaN, infinities, empty tuples and arrays, None and every letter come back."""
    (read,) = from_json(to_json([checkup]))
    assert same(checkup, read)


@pytest.mark.parametrize("text", ["", "{", "nonsense", "\x00", '{"format": '])
def test_what_is_not_json(text: str) -> None:
    """The error says so and what to pass instead."""
    with pytest.raises(RecordError, match="not JSON"):
        from_json(text)


@pytest.mark.parametrize("text", ["null", "[]", "3", '"relucid.checkup"', "{}", '{"format": "x"}'])
def test_json_of_something_else(text: str) -> None:
    """A JSON file of another program is refused by name."""
    with pytest.raises(RecordError, match=r"relucid\.checkup"):
        from_json(text)


@pytest.mark.parametrize("version", [0, 2, "1", None, [1]])
def test_another_version(version: object) -> None:
    """Neither older nor newer is guessed at."""
    document = {"format": "relucid.checkup", "version": version, "checkups": []}
    with pytest.raises(RecordError, match=r"reads version 1; run the checkup again"):
        from_json(json.dumps(document))


def damage(path: list[Any], value: Any) -> str:
    """Return a good document with one place replaced."""
    document = json.loads(to_json([make.sick()]))
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return json.dumps(document)


SITE = ["checkups", 0, "observation", "sites", 0]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["checkups"], None),
        (["checkups"], 3),
        (["checkups", 0], []),
        (["checkups", 0], "text"),
        (["checkups", 0, "title"], 3),
        (["checkups", 0, "title"], None),
        (["checkups", 0, "findings"], None),
        (["checkups", 0, "findings"], "abc"),
        (["checkups", 0, "findings", 0, "severity"], "mild"),
        (["checkups", 0, "findings", 0, "n"], 1.5),
        (["checkups", 0, "findings", 0, "n"], True),
        (["checkups", 0, "findings", 0, "measured"], "much"),
        (["checkups", 0, "findings", 0, "measured"], [1.0]),
        (["checkups", 0, "observation", "mode"], "asleep"),
        (["checkups", 0, "observation", "versions"], []),
        (["checkups", 0, "observation", "extra"], 1),
        ([*SITE, "fired"], 3),
        ([*SITE, "fired"], ["a"]),
        ([*SITE, "fired"], [0.5]),
        ([*SITE, "fired"], ["NaN"]),
        ([*SITE, "mean"], [[1.0]]),
        ([*SITE, "site", "shape"], ["8"]),
    ],
)
def test_a_damaged_record(path: list[Any], value: Any) -> None:
    """A wrong type, value or key anywhere is a RecordError, not a crash and not a guess."""
    with pytest.raises(RecordError, match="damaged"):
        from_json(damage(path, value))


@pytest.mark.parametrize("key", ["title", "observation", "findings"])
def test_a_missing_field(key: str) -> None:
    """A field without a default must be there."""
    document = json.loads(to_json([make.healthy()]))
    del document["checkups"][0][key]
    with pytest.raises(RecordError, match="damaged"):
        from_json(json.dumps(document))
