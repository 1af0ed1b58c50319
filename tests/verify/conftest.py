"""Small runs of verify."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from relucid.verify import checks, plan


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small blocks, and few points in arbitrary precision."""
    monkeypatch.setattr(plan, "BLOCK", 1 << 12)
    monkeypatch.setattr(plan, "CHUNK", 1 << 10)
    monkeypatch.setattr(checks, "TRUTH_POINTS", 100)
    monkeypatch.setattr(checks, "FLOAT64_POINTS", 99)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """One thread a worker: xdist spreads the tests."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
