"""Some seeds of the golden set; ``python benchmarks/diagnosis.py`` runs it over twenty."""

from __future__ import annotations

import pytest

from support.golden_set import HEALTHY, SICK, healthy


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", SICK)
def test_a_planted_illness_is_found_and_no_other(name: str, seed: int) -> None:
    """The right rule, site and units; what follows from the planted one is not a second one."""
    assert SICK[name](seed).complaints() == []


@pytest.mark.parametrize("name", [n for n in HEALTHY if n.startswith(("residual", "transformer"))])
def test_healthy_networks_are_well(name: str) -> None:
    """Nothing is ill at the start, in training or trained. See also test_healthy_networks."""
    for stage, patient in healthy(name, 1).items():
        assert patient.complaints() == [], stage
