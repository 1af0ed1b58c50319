"""The diagnosis as a whole: order, overrides, errors, and that nothing disappears."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest

from relucid.diagnose import diagnose, explain, rules
from relucid.diagnose.diagnosis import WORST_FIRST
from relucid.errors import RelucidError, RuleError
from relucid.records import Finding, Observation
from support.golden import observation

GOLDEN = Path(__file__).parent / "golden"
SICK = {
    "sites": [
        {"name": "a", "units": 64, "dead": 3, "gradient": 0.1},
        {"name": "b", "units": 32, "dead": 20, "gradient": 0.1},
        {"name": "c", "activation": "tanh", "saturation": 0.9, "gradient": 0.1},
        {"name": "d", "activation": "softmax", "units": 0, "gradient": 0.1},
    ]
}
WHOLE_MODEL = {"vanishing_gradients", "exploding_gradients", "input_scale", "unobserved_sites"}


def _diagnosed(rule: str, half: str, thresholds: dict[str, float]) -> list[tuple[str, str]]:
    cases = json.loads((GOLDEN / rule / f"{half}.json").read_text(encoding="utf-8"))
    return [
        (f.severity, f.title)
        for case in cases
        for f in diagnose(observation(case), thresholds=thresholds)
        if f.rule == rule
    ]


def test_worst_first_then_by_depth() -> None:
    """Severity decides, then the order of execution, which is not that of the names."""
    sites = [{**site, "name": name} for site, name in zip(SICK["sites"], "zyxw", strict=True)]
    found = diagnose(observation({"sites": sites}))
    keys = [(WORST_FIRST.index(f.severity), "zyxw".find(f.site or "")) for f in found]
    assert keys == sorted(keys)
    assert [f.site for f in found if f.severity == "ill"] == ["y", "x"]


def test_every_rule_speaks_about_every_site() -> None:
    """Nothing disappears: each rule has a finding for each site, or one for the whole model."""
    found = diagnose(observation(SICK))
    for rule in rules():
        sites = {finding.site for finding in found if finding.rule == rule}
        assert sites if rule in WHOLE_MODEL else sites == {"a", "b", "c", "d"}, rule


def test_an_observation_without_sites_is_no_error() -> None:
    """A model with nothing to judge gets no illness and no exception."""
    found = diagnose(observation({"sites": []}))
    assert {finding.severity for finding in found} <= {"well", "not applicable"}


@pytest.mark.parametrize(
    ("rule", "threshold"), [(r.name, name) for r in rules().values() for name in r.thresholds]
)
def test_every_threshold_can_be_overridden(rule: str, threshold: str) -> None:
    """Some golden case turns out otherwise for another value, so none is read in vain."""
    plain = [_diagnosed(rule, half, {}) for half in ("fires", "silent")]
    changed = [
        [_diagnosed(rule, half, {f"{rule}.{threshold}": value}) for half in ("fires", "silent")]
        for value in (-1.0, 0.9999, 1e12)
    ]
    assert any(other != plain for other in changed)


def test_thresholds_have_a_meaning_and_a_source() -> None:
    """A limit without a source is an opinion without an author."""
    for rule in rules().values():
        for limit in rule.thresholds.values():
            assert len(limit.meaning) > 15
            assert len(limit.source) > 15 or limit.source.startswith("that of")


def test_an_unknown_threshold_names_the_nearest() -> None:
    """A typing error in an override is an error and not a limit that is silently ignored."""
    with pytest.raises(RuleError, match=r"'dead_units\.shear'.*did you mean 'dead_units\.share'"):
        diagnose(observation(SICK), thresholds={"dead_units.shear": 0.2})


@pytest.mark.parametrize("value", [float("nan"), "0.2", True, None])
def test_a_threshold_must_be_a_number(value: object) -> None:
    """NaN compares as false with everything, so it would switch a rule off."""
    with pytest.raises(RelucidError, match="must be a number"):
        diagnose(observation(SICK), thresholds={"dead_units.share": value})


def test_explain_returns_the_docstring_in_four_parts() -> None:
    """The explanation says what is measured, why it matters and what to do."""
    for name in rules():
        text = explain(name)
        assert "**Measured.**" in text
        assert "**Why it " in text
        assert "**What to do.**" in text
        assert text == inspect.cleandoc(text)


def test_explain_names_the_nearest_rule() -> None:
    """An unknown rule is refused with what may have been meant."""
    with pytest.raises(RuleError, match="did you mean 'dead_units'"):
        explain("dead_unit")


def test_names_from_a_model_pass_through_untouched() -> None:
    """The rules build no markup: a hostile site name comes out as it went in."""
    hostile = "</script><img src=x onerror=alert(1)>{0}%s"
    case = {"sites": [{"name": hostile, "units": 32, "dead": 20}]}
    found: tuple[Finding, ...] = diagnose(observation(case))
    assert {f.site for f in found if f.severity == "ill"} == {hostile}


def test_the_observation_is_not_changed() -> None:
    """Rules read: the counts are the same arrays with the same values afterwards."""
    seen: Observation = observation(SICK)
    before = [record.zeros.copy() for record in seen.sites]
    diagnose(seen)
    assert all((b == r.zeros).all() for b, r in zip(before, seen.sites, strict=True))
