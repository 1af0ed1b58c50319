"""What a model takes, against counts by hand, and times by a clock of the test's own."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from relucid.interleave import Effort
from relucid.probes.batches import read_batches
from relucid.shrink.measures import _compared, largest_difference, latency, size_of


def batch(*shape: int) -> object:
    return next(read_batches(torch.randn(*shape)))


CONV = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10))
GROUPED = nn.Sequential(nn.Conv1d(6, 12, 3, groups=3), nn.BatchNorm1d(12), nn.SiLU())
ENCODER = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
CASES = [
    (CONV, (4, 3, 8, 8), 8 * 64 * 27 + 512 * 10),
    (GROUPED, (2, 6, 10), 12 * 8 * 2 * 3),
    # queries, keys, values and output; both layers; scores and their sums over values
    (ENCODER, (3, 6, 16), 6 * (16 * 48 + 16 * 16 + 2 * 16 * 32) + 2 * 6 * 6 * 16),
    (nn.LSTM(5, 7, batch_first=True), (2, 9, 5), 9 * 4 * 7 * (5 + 7)),
]


@pytest.mark.parametrize(("model", "shape", "macs"), CASES)
def test_multiplications_by_hand(model: nn.Module, shape: tuple[int, ...], macs: int) -> None:
    """Of one sample, whatever the batch; the model's mode and buffers are as they were."""
    state = {name: x.clone() for name, x in model.state_dict().items()}
    assert size_of(model, batch(*shape)).macs == macs
    assert model.training
    assert all(torch.equal(x, state[name]) for name, x in model.state_dict().items())


def test_a_shared_parameter_counts_once() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    model.register_buffer("steps", torch.zeros(3, dtype=torch.int64))
    size = size_of(model, batch(1, 4))
    assert (size.parameters, size.bytes) == (16 + 8, 4 * 24 + 8 * 3)


def test_the_interval_is_that_of_the_medians_order_statistics() -> None:
    """Of 41 pairs the 14th and the 28th: at least 95% by the binomial distribution."""
    before = np.random.default_rng(0).uniform(1.0, 2.0, 41)
    found = _compared(before, np.ones(41), "")
    ordered = np.sort(before)
    assert (found.low, found.high) == (ordered[13], ordered[27])
    assert stats.binom.cdf(27, 41, 0.5) - stats.binom.cdf(13, 41, 0.5) >= 0.95
    assert found.faster == ordered[20]


class Slow(nn.Module):
    """Takes a while by a clock that it moves itself."""

    def __init__(self, clock: list[int], length: int) -> None:
        super().__init__()
        self.clock, self.length = clock, length

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert not self.training and not torch.is_grad_enabled()
        self.clock[0] += self.length
        return x


def test_both_are_timed_in_turns() -> None:
    clock = [0]
    slow, fast = Slow(clock, 3_000_000), Slow(clock, 2_000_000)
    effort = Effort(seconds=1.0, least=11, most=11)
    found = latency(slow, fast, batch(2, 3), effort, lambda: clock[0])  # type: ignore[arg-type]
    assert (found.before, found.after, found.faster) == pytest.approx((3e-3, 2e-3, 1.5))
    assert found.low == found.high == 1.5 and found.pairs == 11
    assert "shape (2, 3)" in found.where and "thread" in found.where


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([1.0, -4.0], [1.0, -4.0], 0.0),
        ([1.0, -4.0], [1.5, -4.0], 0.125),
        ([math.nan, math.inf, 2.0], [math.nan, math.inf, 2.0], 0.0),
        ([math.nan, 2.0], [1.0, 2.0], math.nan),
        ([0.0], [1.0], math.inf),
        ([], [], 0.0),
    ],
)
def test_largest_difference(before: list[float], after: list[float], expected: float) -> None:
    found = largest_difference(torch.tensor(before), torch.tensor(after))
    assert found == pytest.approx(expected, nan_ok=True)
