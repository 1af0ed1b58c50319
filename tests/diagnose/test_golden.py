"""Every rule fires where its golden cases say so, and is silent where they say so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relucid.diagnose import diagnose, rules
from relucid.records import Finding
from support.golden import observation

GOLDEN = Path(__file__).parent / "golden"
LOUD = {"ill", "tip", "unobserved"}


def _cases(half: str) -> Iterator[Any]:
    for file in sorted(GOLDEN.glob(f"*/{half}.json")):
        for case in json.loads(file.read_text(encoding="utf-8")):
            yield pytest.param(file.parent.name, case, id=f"{file.parent.name}: {case['why']}")


def _of_rule(rule: str, case: dict[str, Any]) -> list[Finding]:
    return [finding for finding in diagnose(observation(case)) if finding.rule == rule]


def test_every_rule_has_a_golden_folder_with_both_halves() -> None:
    """A rule without a firing and a silent case is not finished."""
    for half in ("fires", "silent"):
        assert {file.parent.name for file in GOLDEN.glob(f"*/{half}.json")} == set(rules())


@pytest.mark.parametrize(("rule", "case"), list(_cases("fires")))
def test_fires(rule: str, case: dict[str, Any]) -> None:
    """The rule reports these findings and no other loud one: severity, site, units, value."""
    loud = [finding for finding in _of_rule(rule, case) if finding.severity in LOUD]
    assert [(f.severity, f.site) for f in loud] == [
        (expected["severity"], expected["site"]) for expected in case["expect"]
    ]
    for finding, expected in zip(loud, case["expect"], strict=True):
        assert list(finding.units) == expected.get("units", [])
        if "measured" in expected:
            assert finding.measured == pytest.approx(expected["measured"], rel=1e-3)
        assert finding.title and expected.get("says", "") in finding.title
        assert expected.get("means", "") in finding.meaning
        assert finding.meaning.endswith(".")


@pytest.mark.parametrize(("rule", "case"), list(_cases("silent")))
def test_is_silent(rule: str, case: dict[str, Any]) -> None:
    """The rule says ``well`` or ``not applicable``, with the reason, and nothing loud."""
    findings = _of_rule(rule, case)
    if "of" in case:
        findings = [finding for finding in findings if finding.site == case["of"]]
    assert findings
    assert {finding.severity for finding in findings} == {case["expect"]}
    assert all(case.get("says", "") in finding.title for finding in findings)
