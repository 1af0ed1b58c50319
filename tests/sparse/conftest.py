"""Accelerating small models in tests: any size, with the same times on every machine."""

from __future__ import annotations

from functools import partial

import pytest

from relucid.interleave import Effort
from relucid.shrink.measures import latency
from relucid.sparse.calibrate import Calibration

QUICK = Calibration(1000.0, ((0.0, 250.0), (1.0, 1250.0)))
"""Pays up to two thirds of the units."""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers of any size are replaced, by fixed times; what is measured is measured shortly."""
    monkeypatch.setattr("relucid.sparse.unfit.LEAST", 1)
    monkeypatch.setattr("relucid.sparse.layer.calibration_of", lambda *_: QUICK)
    short = partial(latency, effort=Effort(0.0, least=7, most=7))
    monkeypatch.setattr("relucid.sparse.perform.latency", short)
