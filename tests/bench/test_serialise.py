"""The JSON of results comes back as it was."""

from __future__ import annotations

import json
import math

import pytest

from bench.fakes import EXACT, at, results, row, setting, side
from relucid.bench import FirstUse, from_json, to_json
from relucid.errors import RecordError

WHOLE = results(
    row(setting("gelu"), side("eager", 2.5, value_error=math.inf, compile_seconds=1.5, note="é")),
    row(setting("elu", dtype="bfloat16"), control=1.2, wrong="its value is off"),
    first_use=FirstUse("gelu", at(0.8), EXACT),
)


def test_results_round_trip() -> None:
    assert from_json(to_json(WHOLE)) == WHOLE
    assert from_json(to_json(results())) == results()


def test_it_is_valid_json_with_a_version_and_a_row_a_line() -> None:
    text = to_json(WHOLE)
    document = json.loads(text, parse_constant=pytest.fail)
    assert (document["format"], document["version"]) == ("relucid.bench", 1)
    lines = [line.rstrip(",") for line in text.splitlines()[1:-1]]
    assert [json.loads(line) for line in lines] == document["rows"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t[:-20], "not JSON"),
        (lambda t: t.replace("relucid.bench", "relucid.checkup"), "has no"),
        (lambda t: t.replace('"version": 1', '"version": 99'), "version 99"),
        (lambda t: t.replace('"control"', '"kontrol"'), "damaged"),
        (lambda t: t.replace('"policy": "out"', '"policy": "in"'), "damaged"),
        (lambda t: "[]", "has no"),
    ],
)
def test_what_is_no_benchmark_is_refused(change: object, says: str) -> None:
    assert callable(change)
    with pytest.raises(RecordError, match=says):
        from_json(change(to_json(WHOLE)))
